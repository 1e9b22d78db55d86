"""The evaluation of one target: which scores lie where."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from workflow_scripts.data.examples import read_examples
from workflow_scripts.evaluation.packs import read_pack
from workflow_scripts.evaluation.systems import Row, TargetData, baseline_rows, merge_rows


def target_table(
    inputs: Mapping[str, Any],
    settings: Mapping[str, Any],
    entries: list[Mapping[str, Any]],
    validation: Mapping[int, pd.DataFrame],
) -> list[Row]:
    """Return the rows of one target.

    Parameters
    ----------
    inputs : mapping
        ``table`` and ``table_digest``; ``rows``: packs in the order of locales × seeds;
        ``merges`` and ``merges_validation``: packs in the order of `entries`.
    settings : mapping
        ``target``, ``locales``, ``seeds``, ``pivot``.
    entries : list of mapping
        The plan's entries for this target.
    validation : mapping
        Seed → A_val.
    """
    target, table = settings["target"], read_examples(inputs["table"], inputs["table_digest"])
    cells = [(locale, seed) for locale in settings["locales"] for seed in settings["seeds"]]
    models = {cell: read_pack(path, target) for cell, path in zip(cells, inputs["rows"], strict=True)}
    data = {
        seed: TargetData(
            target,
            seed,
            table,
            {locale: models[locale, seed] for locale in settings["locales"]},
            validation[seed][target].to_dict(),
            settings["pivot"],
        )
        for seed in settings["seeds"]
    }
    rows = [row for seed in settings["seeds"] for row in baseline_rows(data[seed])]
    packs = zip(entries, inputs["merges"], inputs["merges_validation"], strict=True)
    return rows + list(_merges(packs, data, target))


def _merges(packs: Any, data: Mapping[int, TargetData], target: str) -> Iterator[Row]:
    for entry, test, validation in packs:
        accuracy = read_pack(validation, target).accuracy
        yield from merge_rows(data[entry["seed"]], entry, read_pack(test, target), accuracy)
