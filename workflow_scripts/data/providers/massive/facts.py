"""What MASSIVE consists of, and what a config may say of it."""

from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.core.validation import Closed

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
