"""The study of presets/massive.yaml in miniature: a small archive, and an encoder of XLM-R's architecture with two layers."""

from pathlib import Path
from typing import Any

from tests.conftest import preset
from tests.massive import write_archive

BASE = "xlm-roberta-base"  # a folder of this name in the working directory stands for the hub's model


def rehearsal_config(locales: list[str] | None = None) -> dict[str, Any]:
    """Return the preset with all its experiments; with fewer locales, without those that need more sources."""
    config = preset("massive")
    chosen = locales or config["locales"]
    for block in config["ablations"]:
        most = len(chosen) // 2 - 1 if "sinkhorn" in str(block) else len(chosen) - 1  # it drops sources by itself
        for settings in (block["fixed"], block["sweep"]):
            if "num_languages" in settings:
                settings["num_languages"] = _possible(settings["num_languages"], most)
    training = {"learning_rate": 5.0e-3, "batch_size": 16, "epochs": 5}
    return {
        **config,
        "locales": chosen,
        "data": {**config["data"], "path": "massive.tar.gz"},
        "finetune": {**config["finetune"], **training},
    }


def _possible(wanted: Any, most: int) -> Any:
    return [k for k in wanted if k <= most] if isinstance(wanted, list) else min(wanted, most)


def write_rehearsal(directory: Path, locales: list[str]) -> None:
    """Write the archive and the encoder into a working directory."""
    write_archive(directory / "massive.tar.gz", locales)
    write_encoder(directory / BASE)


def write_encoder(folder: Path) -> None:
    """Write a random encoder of XLM-R's architecture and a small tokenizer."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from workflow_scripts.models.encoders.tiny_encoder import write_random

    write_random(folder, XLMRobertaConfig, XLMRobertaModel, positions=130)  # it counts them from behind the padding id
