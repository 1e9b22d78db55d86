"""A dataset of the Hugging Face hub that holds MASSIVE in data files, downloaded once or taken from the hub's cache."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, disable_progress_bars, get_dataset_config_names, load_dataset
from huggingface_hub import snapshot_download

from workflow_scripts.core.downloads import drop_damaged
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.providers.massive.facts import LOCALES, Settings
from workflow_scripts.data.providers.massive.rows import Row

disable_progress_bars()


def read(settings: Settings) -> tuple[str, Iterator[tuple[str, Iterator[Row]]]]:
    """Return where the data come from, and per locale that the dataset has, its rows.

    Raises
    ------
    XlmergeError
        If the dataset is neither in the cache nor within reach, or is not made of data files.
    """
    origin = f"{settings.hub}@{settings.revision or 'main'}"
    try:
        folder = snapshot_download(settings.hub, repo_type="dataset", revision=settings.revision)
        if drop_damaged(folder):
            folder = snapshot_download(settings.hub, repo_type="dataset", revision=settings.revision)
    except Exception as error:  # one of a dozen types, by what fails: name, revision, access, network, offline mode
        raise XlmergeError(
            f"the dataset {origin} can be taken neither from the hub nor from its cache on this machine: {error}\n"
            "Run this step once where there is a network (`snakemake data`), or copy the archive of MASSIVE there "
            "and use `source: archive` with `path:`"
        ) from error
    return origin, _locales(settings, folder, origin)


def _locales(settings: Settings, folder: str, origin: str) -> Iterator[tuple[str, Iterator[Row]]]:
    try:
        configs = get_dataset_config_names(folder)
    except Exception as error:  # datasets says in many ways that it finds no data
        raise XlmergeError(f"{origin} is not made of data files that `datasets` reads: {error}") from error
    for locale in LOCALES:
        names = [name.format(locale=locale, language=locale.split("-")[0]) for name in settings.configs]
        place = next((p for name in names for p in _places(name, configs, folder)), None)
        if place:
            yield locale, _rows(settings, folder, place, f"{origin}, {'/'.join(place.values())}")


def _places(name: str, configs: list[str], folder: str) -> Iterator[dict[str, str]]:
    """Yield how `datasets` is asked for a locale: by the name of a config, or of a folder."""
    if name in configs:
        yield {"name": name}
    elif Path(folder, name).is_dir():
        yield {"data_dir": name}


def _rows(settings: Settings, folder: str, place: dict[str, str], where: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as cache:
        try:
            splits = load_dataset(folder, **place, cache_dir=cache)
        except Exception as error:  # datasets wraps the parsers' errors in its own
            raise XlmergeError(f"{where} cannot be read: {error.__cause__ or error}") from error
        for partition, table in splits.items():
            columns = [_values(table, settings.columns[key], where) for key in ("id", "text", "label")]
            for identity, text, label in zip(*columns, strict=True):
                yield Row(str(identity), str(partition), text, label, where)


def _values(table: Dataset, column: str, where: str) -> list[Any]:
    """Return a column's values; numbers of classes become their names."""
    if column not in table.column_names:
        raise XlmergeError(f"{where} has no column {column!r} (it has: {', '.join(table.column_names)}); see `columns`")
    feature, values = table.features[column], table[column][:]
    return [feature.int2str(value) for value in values] if isinstance(feature, ClassLabel) else values
