"""Amazon MASSIVE: the same utterances with 60 intents in 52 locales (FitzGerald et al. 2022, arXiv:2204.08582).

The data (CC BY 4.0) are fetched once per run, where Snakemake runs, and from then on read like a user's own files: a
JSONL file per locale and split. An utterance has the same id in all locales; it is also the cluster, so that locales
can be compared on the same utterances.
"""

from pathlib import Path
from typing import Any

from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.data.providers import local_files
from workflow_scripts.data.providers.massive.facts import CATALAN, HUB, LABELS, LOCALES, Settings


def labels(settings: Settings, locales: list[str]) -> list[str]:
    """Return the 60 intents."""
    return list(LABELS)


def check_labels(settings: Settings, intents: list[str]) -> None:
    """Raise an `XlmergeError` for an intent that MASSIVE does not have; other intents' utterances are left out."""
    for intent in intents:
        if intent not in LABELS:
            raise XlmergeError(f"labels: {unknown('intent', intent, LABELS)}")


def check(settings: Settings, locales: list[str]) -> None:
    """Raise an `XlmergeError` for a locale that the source does not have, or a missing archive or folder."""
    for locale in locales:
        if locale not in LOCALES:
            raise XlmergeError(
                f"massive has no locale {locale!r}{did_you_mean(locale, LOCALES)} (it has: {', '.join(LOCALES)})"
            )
    old = settings.release == "1.0" if settings.source == "archive" else settings.hub == HUB
    if old and CATALAN in locales:
        source = settings.hub if settings.source == "hub" else "MASSIVE 1.0"
        raise XlmergeError(f"{source} has no {CATALAN}: use the archive of release 1.1, or drop the locale")
    if settings.path and not Path(settings.path).expanduser().exists():
        raise XlmergeError(f"data.path: there is no file or folder {settings.path!r}")


def files_to_fetch(settings: Settings) -> list[str]:
    """Return the local files that the data are fetched from; a download has none."""
    from workflow_scripts.data.providers.massive.archive import files_of

    return files_of(settings.path) if settings.path else []


def fetch(settings: Settings, intents: list[str], folder: Path) -> dict[str, Any]:
    """Write ``{locale}/{split}.jsonl`` for every locale that the source has.

    Parameters
    ----------
    settings : Settings
    intents : list of str
        The run's labels; utterances of other intents are left out.
    folder : path

    Returns
    -------
    dict
        Facts: where the data came from, rows per locale and split, locales that the source lacks.

    Raises
    ------
    XlmergeError
        If the source cannot be reached or read.
    """
    from workflow_scripts.data.providers.massive import archive, hub
    from workflow_scripts.data.providers.massive.rows import write_locale

    reader = hub if settings.source == "hub" else archive
    origin, tables = reader.read(settings)
    rows = {locale: write_locale(locale, table, intents, folder / locale) for locale, table in tables}
    if not rows:
        raise XlmergeError(f"{origin} holds no data of MASSIVE: there is no file or config for any of its locales")
    return {"origin": origin, "rows": rows, "missing": [name for name in LOCALES if name not in rows]}


def fetched(folder: str) -> local_files.Settings:
    """Return the settings with which fetched data are read."""
    return local_files.Settings(
        folder=folder,
        files="{locale}/{split}.jsonl",
        text_column="text",
        label_column="label",
        id_column="id",
        cluster_column="id",
    )
