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
class Knowledge:
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


def feature_table(entries: Iterable[Mapping[str, Any]], knowledge: Knowledge) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the features of every merge, means over seeds, and the tier of each feature.

    Parameters
    ----------
    entries : iterable of mapping
        The plan's entries of experiments without the target's own model.
    knowledge : Knowledge

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
        by_tier = merge_features(entry, knowledge)
        tiers |= {name: tier for tier, values in by_tier.items() for name in values}
        values = {name: value for part in by_tier.values() for name, value in part.items()}
        rows.append({"experiment": entry["experiment"], "target": entry["target"], **values})
    table = pd.DataFrame(rows).groupby(["experiment", "target"], sort=False).mean()
    kept = [name for name in table if table[name].notna().all() and np.ptp(table[name]) > 1e-9]
    return table[kept], {name: tiers[name] for name in kept}


def merge_features(entry: Mapping[str, Any], knowledge: Knowledge) -> dict[str, Values]:
    """Return tier → feature → value of one plan entry."""
    target, seed = entry["target"], entry["seed"]
    sources = [s["locale"] for s in entry["sources"]]
    places = np.array([knowledge.locales.index(name) for name in sources])
    place = knowledge.locales.index(target)
    others = np.delete(np.arange(len(knowledge.locales)), place)
    by_tier: dict[str, Values] = {tier: {} for tier in TIERS}
    by_tier["none"] |= {"sources": len(sources), "effective sources": entry["effective_sources"]}
    methods = sorted(set(knowledge.titles.values()))
    by_tier["none"] |= {f"method: {m}": float(m == knowledge.titles[entry["experiment"]]) for m in methods}
    by_tier["none"] |= _languages(target, sources, knowledge.languages)
    for name, tier in knowledge.tiers.items():
        by_tier[tier] |= _similarity(name, knowledge.similarities[name, seed], place, places, others)
    if len(sources) > 1:
        by_tier["unlabelled"]["sources agree on the target"] = _between(knowledge.agreement[target, seed], places)
    transfer = knowledge.validation[seed][:, place]
    best = float(transfer[others].max())
    by_tier["labelled validation"] |= {
        "best zero-shot": best,
        "best source": float(transfer[places].max()),
        "mean source": float(transfer[places].mean()),
        "spread of sources": float(transfer[places].std()),
    }
    trained = float(transfer[place])
    by_tier["labelled training"] |= {"self": trained, "ZS/self": best / trained if trained else float("nan")}
    return by_tier


def _languages(target: str, sources: Sequence[str], languages: Mapping[str, Mapping[str, Any]]) -> Values:
    """Return what the locale table says; what it does not know of the target is not a number."""
    described = languages[target]
    shares = {}
    for group in ("family", "genus", "script"):
        same = float(np.mean([languages[s][group] == described[group] for s in sources]))
        shares[f"share of sources of its {group}"] = float("nan") if described[group] == "unknown" else same
    text = [languages[name].get("cc100_gib", float("nan")) for name in (target, *sources)]
    return shares | {
        "log GiB of text, target": float(np.log1p(text[0])),
        "log GiB of text, sources": float(np.mean(np.log1p(text[1:]))),
    }


def _similarity(name: str, matrix: np.ndarray, target: int, sources: np.ndarray, others: np.ndarray) -> Values:
    features = {
        f"{name} to sources": float(matrix[target, sources].mean()),
        f"{name} to the nearest": float(matrix[target, others].max()),
    }
    if len(sources) < 2:
        return features
    return features | {f"{name} among sources": _between(matrix, sources)}


def _between(matrix: np.ndarray, sources: np.ndarray) -> float:
    """Return the mean over ordered pairs of different sources."""
    block = matrix[np.ix_(sources, sources)]
    return float(block[~np.eye(len(sources), dtype=bool)].mean())
