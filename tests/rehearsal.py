"""The study of presets/massive.yaml in miniature: a small archive, and an encoder of XLM-R's architecture with two layers."""

from pathlib import Path
from typing import Any

from tests.conftest import preset
from tests.massive import GROUPS, utterance, write_archive
from workflow_scripts.data.providers.massive.facts import LABELS
from workflow_scripts.data.providers.massive.facts import LOCALES as EVERY_LOCALE

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
    training = {"learning_rate": 5.0e-3, "batch_size": 16, "epochs": 5, "min_steps": 1, "precision": "float32"}
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
    """Write a random encoder of XLM-R's architecture whose tokens are the archive's words.

    Sentences have two or three words that count: so few lengths are so few batches, which are most of what a tiny
    encoder costs.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    from workflow_scripts.models.encoders.tiny_encoder import SPECIALS, VOCABULARY, write_random

    write_random(folder, XLMRobertaConfig, XLMRobertaModel, positions=130)  # it counts them from behind the padding id
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = (
        utterance(locale, number, "train")["utt"] for locale in EVERY_LOCALE[:GROUPS] for number in range(len(LABELS))
    )
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=VOCABULARY, special_tokens=SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **roles, unk_token="<unk>", pad_token="<pad>", model_max_length=128
    ).save_pretrained(folder)
