"""Correctness per test item of every system of a target: what two systems are paired by."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow_scripts.core.atomic import atomic_path
from workflow_scripts.core.errors import XlmergeError

Key = tuple[str, str, int]  # (experiment, system, seed); the experiment is empty for baselines that none shapes
SCHEMA = {
    "experiment": pa.string(),
    "system": pa.string(),
    "seed": pa.int64(),
    "correct": pa.list_(pa.float32()),
}
NOTE = b"items"


@dataclass(frozen=True)
class Correctness:
    """Correctness per item of one target's test set.

    Attributes
    ----------
    ids, clusters : ndarray of str, shape (n,)
        In the order of the target's test table. Clusters may be shared with other targets (parallel utterances).
    correct : dict of (experiment, system, seed) to ndarray of float32, shape (n,)
        0 or 1; of a mean over models, its mean.
    """

    ids: np.ndarray
    clusters: np.ndarray
    correct: dict[Key, np.ndarray]

    @cached_property
    def seeds(self) -> dict[tuple[str, str], list[int]]:
        """(experiment, system) → its seeds; a soup of seeds has the first one only."""
        seeds: dict[tuple[str, str], list[int]] = {}
        for experiment, system, seed in self.correct:
            seeds.setdefault((experiment, system), []).append(seed)
        return seeds

    def per_seed(self, experiment: str, system: str) -> np.ndarray:
        """Return a system's correctness, shape (seeds, n)."""
        return np.stack([self.correct[experiment, system, seed] for seed in self.seeds[experiment, system]])

    def mean(self, experiment: str, system: str) -> np.ndarray:
        """Return a system's mean correctness over its seeds, float64, shape (n,)."""
        return self.per_seed(experiment, system).mean(0, dtype=np.float64)


def write_items(
    path: str | Path, ids: Iterable[str], clusters: Iterable[str], rows: Iterable[tuple[str, str, int, np.ndarray]]
) -> None:
    """Write a target's items, atomically: one row per (experiment, system, seed, correctness of shape (n,))."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    columns[3] = tuple(np.asarray(correct, np.float32) for correct in columns[3])
    arrays = [pa.array(values, type=kind) for values, kind in zip(columns, SCHEMA.values(), strict=True)]
    note = json.dumps({"ids": list(ids), "clusters": list(clusters)}, ensure_ascii=False)
    table = pa.Table.from_arrays(arrays, names=list(SCHEMA)).replace_schema_metadata({NOTE: note.encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_items(path: str | Path, systems: Collection[str] | None = None) -> Correctness:
    """Read a target's items.

    Parameters
    ----------
    path : path
        ``evaluation/{target}.items.parquet``.
    systems : collection of str, optional
        Only these; default: all.

    Raises
    ------
    XlmergeError
        If the file cannot be read or is not such a file.
    """
    try:
        table = pq.read_table(path, columns=list(SCHEMA))
        note = json.loads(table.schema.metadata[NOTE])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise XlmergeError(f"{path} is damaged ({error}); delete it and rerun") from None
    if systems is not None:
        table = table.filter(pc.is_in(table["system"], pa.array(sorted(systems), pa.string())))
    ids, clusters = (np.asarray(note[name], dtype=str) for name in ("ids", "clusters"))
    lists = table["correct"].combine_chunks()
    values = lists.flatten().to_numpy().reshape(table.num_rows, len(ids))
    keys = zip(*(table[name].to_pylist() for name in ("experiment", "system", "seed")), strict=True)
    return Correctness(ids, clusters, dict(zip(keys, values, strict=True)))
