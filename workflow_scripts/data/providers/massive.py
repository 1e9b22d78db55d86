"""Amazon MASSIVE: the same utterances with 60 intents in 52 locales (FitzGerald et al. 2022, arXiv:2204.08582).

The data (CC BY 4.0) are fetched once per run, where Snakemake runs, and from then on read like a user's own files: a
JSONL file per locale and split. An utterance has the same id in all locales; it is also the cluster, so that locales
can be compared on the same utterances.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from workflow_scripts.core.config_types import Closed
from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.data.providers import local_files

LOCALES = (
    "af-ZA", "am-ET", "ar-SA", "az-AZ", "bn-BD", "ca-ES", "cy-GB", "da-DK", "de-DE", "el-GR", "en-US", "es-ES", "fa-IR",
    "fi-FI", "fr-FR", "he-IL", "hi-IN", "hu-HU", "hy-AM", "id-ID", "is-IS", "it-IT", "ja-JP", "jv-ID", "ka-GE", "km-KH",
    "kn-IN", "ko-KR", "lv-LV", "ml-IN", "mn-MN", "ms-MY", "my-MM", "nb-NO", "nl-NL", "pl-PL", "pt-PT", "ro-RO", "ru-RU",
    "sl-SL", "sq-AL", "sv-SE", "sw-KE", "ta-IN", "te-IN", "th-TH", "tl-PH", "tr-TR", "ur-PK", "vi-VN", "zh-CN", "zh-TW",
)  # fmt: skip

LABELS = (  # in the order of the dataset's own class numbers
    "datetime_query", "iot_hue_lightchange", "transport_ticket", "takeaway_query", "qa_stock", "general_greet",
    "recommendation_events", "music_dislikeness", "iot_wemo_off", "cooking_recipe", "qa_currency", "transport_traffic",
    "general_quirky", "weather_query", "audio_volume_up", "email_addcontact", "takeaway_order", "email_querycontact",
    "iot_hue_lightup", "recommendation_locations", "play_audiobook", "lists_createoradd", "news_query", "alarm_query",
    "iot_wemo_on", "general_joke", "qa_definition", "social_query", "music_settings", "audio_volume_other",
    "calendar_remove", "iot_hue_lightdim", "calendar_query", "email_sendemail", "iot_cleaning", "audio_volume_down",
    "play_radio", "cooking_query", "datetime_convert", "qa_maths", "iot_hue_lightoff", "iot_hue_lighton",
    "transport_query", "music_likeness", "email_query", "play_music", "audio_volume_mute", "social_post", "alarm_set",
    "qa_factoid", "calendar_set", "play_game", "alarm_remove", "lists_remove", "transport_taxi",
    "recommendation_movies", "iot_coffee", "music_query", "play_podcasts", "lists_query",
)  # fmt: skip

CATALAN = "ca-ES"  # added in release 1.1
HUB = "mteb/amazon_massive_intent"  # made of data files, from release 1.0


class Settings(Closed):
    """Amazon MASSIVE: from the official archive, which is downloaded once, or from the Hugging Face hub."""

    provider: Literal["massive"] = "massive"
    source: Literal["archive", "hub"] = Field("archive", description="Where the data come from.")
    release: Literal["1.0", "1.1"] = Field(
        "1.1", description="Release of the archive; 1.1 is 1.0 and Catalan (`ca-ES`)."
    )
    path: str | None = Field(
        None,
        description="The archive (`amazon-massive-dataset-1.1.tar.gz`) or the folder that it unpacks to; default: "
        "downloaded to `~/.cache/xlmerge` (`XLMERGE_CACHE`).",
    )
    hub: str = Field(HUB, description="A dataset of the hub that is made of data files (not of a script).")
    revision: str | None = Field(None, description="Branch, tag or commit of the hub's dataset.")
    configs: list[str] = Field(
        default=["{locale}", "{language}"],
        min_length=1,
        description="What the hub's dataset may call a locale, as a config or a folder: the first that it has counts.",
    )
    columns: dict[Literal["id", "text", "label"], str] = Field(
        default_factory=lambda: {"id": "id", "text": "text", "label": "label"},  # type: ignore[arg-type]
        description="Columns of the hub's dataset.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Settings":
        if self.source == "hub" and self.path:
            raise ValueError("`path` belongs to `source: archive`")
        if missing := {"id", "text", "label"} - set(self.columns):
            raise ValueError(f"`columns` lacks {', '.join(sorted(missing))}")
        return self


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
    from workflow_scripts.data.massive_archive import files_of

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
    from workflow_scripts.data import massive_archive, massive_hub
    from workflow_scripts.data.massive_rows import write_locale

    reader = massive_hub if settings.source == "hub" else massive_archive
    origin, found = reader.read(settings)
    rows = {locale: write_locale(locale, table, intents, folder / locale) for locale, table in found}
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
