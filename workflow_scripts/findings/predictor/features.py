"""What is known about a merge before it is made, by the supervision that knowing it takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.selection.systems import TIERS

Values = dict[str, float]
OMITTED = {"random", "nxn"}  # measures: noise; transfer itself, which has features of its own


@dataclass(frozen=True)
class Known:
    """What features are computed from; matrices are arrays in the order of `locales`.

    Attributes
    ----------
    locales : list of str
    languages : mapping
        Locale → its row of the locale table.
    titles : mapping
        Experiment → its method's title.
    tiers : mapping
        Similarity type → supervision tier; `OMITTED` measures are not among them.
    similarities : mapping
        (similarity type, seed) → array (rows = target, columns = source).
    validation : mapping
        Seed → A_val (rows = models, columns = evaluation locales).
    agreement : mapping
        (target, seed) → share of the target's validation sentences that two locales' models label alike
        (locale × locale).
    """

    locales: Sequence[str]
    languages: Mapping[str, Mapping[str, Any]]
    titles: Mapping[str, str]
    tiers: Mapping[str, str]
    similarities: Mapping[tuple[str, int], np.ndarray]
    validation: Mapping[int, np.ndarray]
    agreement: Mapping[tuple[str, int], np.ndarray]


def feature_table(entries: Iterable[Mapping[str, Any]], known: Known) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the features of every merge, means over seeds, and the tier of each feature.

    Parameters
    ----------
    entries : iterable of mapping
        The plan's entries of experiments without the target's own model.
    known : Known

    Returns
    -------
    features : DataFrame
        Rows (experiment, target). Features that never vary, or that some merge lacks, are left out.
    tiers : dict of str to str
        Feature → the supervision that knowing it takes.
    """
    rows: list[dict[str, Any]] = []
    tiers: dict[str, str] = {}
    for entry in entries:
        found = merge_features(entry, known)
        tiers |= {name: tier for tier, values in found.items() for name in values}
        values = {name: value for part in found.values() for name, value in part.items()}
        rows.append({"experiment": entry["experiment"], "target": entry["target"], **values})
    table = pd.DataFrame(rows).groupby(["experiment", "target"], sort=False).mean()
    kept = [name for name in table if table[name].notna().all() and np.ptp(table[name]) > 1e-9]
    return table[kept], {name: tiers[name] for name in kept}


def merge_features(entry: Mapping[str, Any], known: Known) -> dict[str, Values]:
    """Return tier → feature → value of one plan entry."""
    target, seed = entry["target"], entry["seed"]
    sources = [s["locale"] for s in entry["sources"]]
    places = np.array([known.locales.index(name) for name in sources])
    place = known.locales.index(target)
    others = np.delete(np.arange(len(known.locales)), place)
    found: dict[str, Values] = {tier: {} for tier in TIERS}
    found["none"] |= {"sources": len(sources), "effective sources": entry["effective_sources"]}
    methods = sorted(set(known.titles.values()))
    found["none"] |= {f"method: {m}": float(m == known.titles[entry["experiment"]]) for m in methods}
    found["none"] |= _languages(target, sources, known.languages)
    for name, tier in known.tiers.items():
        found[tier] |= _similarity(name, known.similarities[name, seed], place, places, others)
    if len(sources) > 1:
        found["unlabelled"]["sources agree on the target"] = _between(known.agreement[target, seed], places)
    transfer = known.validation[seed][:, place]
    best = float(transfer[others].max())
    found["labelled validation"] |= {
        "best zero-shot": best,
        "best source": float(transfer[places].max()),
        "mean source": float(transfer[places].mean()),
        "spread of sources": float(transfer[places].std()),
    }
    own = float(transfer[place])
    found["labelled training"] |= {"self": own, "ZS/self": best / own if own else float("nan")}
    return found


def _languages(target: str, sources: Sequence[str], languages: Mapping[str, Mapping[str, Any]]) -> Values:
    """Return what the locale table says; what it does not know of the target is not a number."""
    own = languages[target]
    found = {}
    for group in ("family", "genus", "script"):
        same = float(np.mean([languages[s][group] == own[group] for s in sources]))
        found[f"share of sources of its {group}"] = float("nan") if own[group] == "unknown" else same
    text = [languages[name].get("cc100_gib", float("nan")) for name in (target, *sources)]
    return found | {
        "log GiB of text, target": float(np.log1p(text[0])),
        "log GiB of text, sources": float(np.mean(np.log1p(text[1:]))),
    }


def _similarity(name: str, matrix: np.ndarray, target: int, sources: np.ndarray, others: np.ndarray) -> Values:
    found = {
        f"{name} to sources": float(matrix[target, sources].mean()),
        f"{name} to the nearest": float(matrix[target, others].max()),
    }
    if len(sources) < 2:
        return found
    return found | {f"{name} among sources": _between(matrix, sources)}


def _between(matrix: np.ndarray, sources: np.ndarray) -> float:
    """Return the mean over ordered pairs of different sources."""
    block = matrix[np.ix_(sources, sources)]
    return float(block[~np.eye(len(sources), dtype=bool)].mean())
