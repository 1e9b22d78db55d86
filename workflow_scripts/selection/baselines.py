"""Baselines that are merges themselves: entries of the plan beside those of the experiments."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from workflow_scripts.core.signatures import parameters
from workflow_scripts.selection.systems import AVERAGE_ALL, SCALED_TOP1, SEED_SOUP, scaled_name, sized_name

Accuracies = Mapping[int, Mapping[str, Mapping[str, float]]]  # seed → model → evaluation locale → accuracy


def baseline_names(
    wanted: Sequence[str], seeds: Sequence[int], sizes: Sequence[int], grid: Sequence[float]
) -> list[str]:
    """Return the names of the baselines' plan entries.

    Parameters
    ----------
    wanted : sequence of str
        The config's `baselines`.
    seeds : sequence of int
    sizes : sequence of int
        The experiments' numbers of sources. A seed soup has as many models as the experiment that it is compared with,
        or as there are seeds; with one seed there is none.
    grid : sequence of float
        The λ of `scaled_top1`; 1 is the source as it is, and no merge.
    """
    names = [AVERAGE_ALL] if AVERAGE_ALL in wanted else []
    if SEED_SOUP in wanted:
        names += sorted({sized_name(SEED_SOUP, min(k, len(seeds))) for k in sizes if min(k, len(seeds)) > 1})
    if SCALED_TOP1 in wanted:
        names += [scaled_name(scaling) for scaling in grid if scaling != 1]
    return names


def baseline_entries(
    names: Sequence[str],
    targets: Sequence[str],
    seeds: Sequence[int],
    locales: Sequence[str],
    validation: Accuracies,
    grid: Sequence[float],
) -> Iterator[dict[str, Any]]:
    """Yield plan entries (see `selection.plan`) with ``baseline: true``.

    ``average_all``: the uniform average of all other locales' models, per seed. ``seed_soup_k…``: the uniform average
    of the first seeds of the locale that is best on the target's validation data, as a mean over all seeds; it belongs
    to the first seed's merges (Schmidt et al. 2023, arXiv 2305.16834 and 2310.10532). ``scaled_top1_x…``: λ·τ of the
    locale that is best on the target's validation data, per seed.

    Parameters
    ----------
    names : sequence of str
        See `baseline_names`.
    targets, seeds, locales : sequence
    validation : mapping
        A_val per seed; only soups and scaled sources read it.
    grid : sequence of float
        The λ of scaled sources.
    """
    scalings = {scaled_name(scaling): scaling for scaling in grid}
    for target in targets:
        others = [name for name in locales if name != target]
        for name in names:
            if name == AVERAGE_ALL:
                for seed in seeds:
                    yield _entry(name, target, seed, [(source, seed) for source in others], "none")
            elif name in scalings:
                for seed in seeds:
                    best = min(others, key=lambda s: (-validation[seed][s][target], s))
                    scaled = {"parameters": {"scaling": scalings[name]}}
                    yield _entry(name, target, seed, [(best, seed)], "labelled validation") | scaled
            else:
                best = min(others, key=lambda s: (-fmean(validation[i][s][target] for i in seeds), s))
                size = next(k for k in range(2, len(seeds) + 1) if sized_name(SEED_SOUP, k) == name)
                yield _entry(name, target, seeds[0], [(best, i) for i in seeds[:size]], "labelled validation")


def _entry(name: str, target: str, seed: int, models: list[tuple[str, int]], tier: str) -> dict[str, Any]:
    weight = 1 / len(models)
    sources = [{"locale": locale, "seed": i, "weight": weight, "similarity": None} for locale, i in models]
    return {
        "experiment": name,
        "baseline": True,
        "target": target,
        "seed": seed,
        "method": "average",
        "parameters": parameters("merge method", "average", {}),  # as an experiment has them: made once
        "sources": sources,
        "tier": tier,
        "selection_tier": tier,
        "effective_sources": float(len(models)),
        "warnings": [],
    }
