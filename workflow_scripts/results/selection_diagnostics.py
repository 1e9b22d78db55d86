"""What selectors picked, against what they could have picked: are the chosen sources near, and do they transfer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from workflow_scripts.results.tables import SELECTION, listed
from workflow_scripts.selection.question import ranked


def selection_diagnostics(
    plan: Iterable[Mapping[str, Any]],
    experiments: Mapping[str, Mapping[str, Any]],
    transfer: Mapping[int, pd.DataFrame],
    similarities: Mapping[tuple[str, int], pd.DataFrame],
) -> pd.DataFrame:
    """Return one row per target, seed and way of selecting; experiments that differ in the merge alone share one.

    Parameters
    ----------
    plan : iterable of mapping
        The plan's entries of experiments.
    experiments : mapping
        Experiment → its settings.
    transfer : mapping
        Seed → A_test (rows = models, columns = evaluation locales).
    similarities : mapping
        (similarity type, seed) → matrix (rows = target, columns = source).

    Returns
    -------
    DataFrame
        ``sources``; ``rank_by_transfer`` and ``rank_by_similarity``: of each source, 1 = best, among the locales that
        are not the target; ``overlap``: how many of the chosen are among the as many best by transfer;
        ``mean_rank_by_transfer``; ``chance_rank``: what random sources would have; ``transfer`` and ``best_transfer``:
        mean zero-shot accuracy of the chosen, and of the as many best. The target's own model (IncTar) is left out.
    """
    selections: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in plan:
        settings = experiments[entry["experiment"]]
        key = (entry["target"], entry["seed"], *(str(settings[k]) for k in SELECTION))
        if key not in selections:
            seed = entry["seed"]
            selections[key] = _row(entry, settings, transfer[seed], similarities[settings["similarity_type"], seed])
    rows = pd.DataFrame(selections.values())
    return rows.sort_values(
        ["similarity_type", "selector", "num_languages", "target", "seed"], ignore_index=True, key=_text
    )


def _text(column: pd.Series) -> pd.Series:
    return column.astype(str)


def _row(
    entry: Mapping[str, Any], settings: Mapping[str, Any], transfer: pd.DataFrame, similarity: pd.DataFrame
) -> dict[str, Any]:
    target = entry["target"]
    accuracy = transfer[target].drop(target).to_dict()
    by_transfer, by_similarity = ranked(accuracy), ranked(similarity.loc[target].drop(target).to_dict())
    chosen = [s["locale"] for s in entry["sources"] if s["locale"] != target]
    best, ranks = by_transfer[: len(chosen)], [by_transfer.index(s) + 1 for s in chosen]
    return {
        "target": target,
        "seed": entry["seed"],
        **{k: settings[k] for k in ("similarity_type", "selector", "num_languages", "include_target", "compatibility")},
        "selector_parameters": listed(settings["selector_parameters"]),
        "tier": entry["selection_tier"],
        "sources": ";".join(chosen),
        "rank_by_transfer": ";".join(map(str, ranks)),
        "rank_by_similarity": ";".join(str(by_similarity.index(s) + 1) for s in chosen),
        "candidates": len(by_transfer),
        "overlap": len(set(chosen) & set(best)),
        "chosen": len(chosen),
        "mean_rank_by_transfer": _mean(ranks),
        "chance_rank": (len(by_transfer) + 1) / 2,
        "transfer": _mean([accuracy[s] for s in chosen]),
        "best_transfer": _mean([accuracy[s] for s in best]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


# What a way of selecting is.
WAY = ["similarity_type", "selector", "selector_parameters", "num_languages", "include_target", "compatibility"]


def selector_overview(diagnostics: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, per way of selecting, means over targets and seeds, best transfer first.

    A selector's parameters are in its name where they vary; ``way`` is its values of `WAY`.
    """
    variants = diagnostics.groupby("selector")["selector_parameters"].nunique()
    rows = []
    for values, group in diagnostics.groupby(WAY, sort=False):
        settings = dict(zip(WAY, values, strict=True))
        told_by = variants[settings["selector"]] > 1
        name = settings["selector"] + (f" ({settings['selector_parameters']})" if told_by else "")
        rows.append(
            {
                "way": values,
                "similarity": settings["similarity_type"],
                "selector": name + (", compatible" if settings["compatibility"] else ""),
                "k": f"{settings['num_languages']}{' IncTar' if settings['include_target'] else ''}",
                "supervision": group["tier"].iloc[0],
                "mean rank": group["mean_rank_by_transfer"].mean(),
                "chance": group["chance_rank"].mean(),
                "overlap": group["overlap"].sum() / max(1, group["chosen"].sum()),
                "transfer": group["transfer"].mean(),
                "best possible": group["best_transfer"].mean(),
            }
        )
    return sorted(rows, key=lambda row: -row["transfer"])
