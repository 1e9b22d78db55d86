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
        for settings in (block["fixed"], block["sweep"]):
            if "num_languages" in settings:
                settings["num_languages"] = _possible(settings["num_languages"], len(chosen) - 1)
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
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from workflow_scripts.models.encoders.tiny_encoder import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = XLMRobertaModel(config, add_pooling_layer=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
