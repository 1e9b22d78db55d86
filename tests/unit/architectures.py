"""Tiny random encoders in the form in which the hub has the real ones: a masked language model and its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedTokenizerFast

WORDS = [f"{a}{b}" for a in ("ka", "li", "mo", "ne", "pu", "ra", "si", "to") for b in ("ba", "de", "fi", "go", "hu")]
XLM_R = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
GEMMA = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
DEBERTA = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}


@dataclass(frozen=True)
class Encoder:
    """What makes an encoder different from others.

    Attributes
    ----------
    kind : str
        transformers' name of the architecture.
    special : dict
        Special tokens in the order of their ids.
    config : dict
        Beside the sizes.
    before, after : int
        Unused entries of the vocabulary before and after the special tokens.
    surplus : int
        Rows of the embedding that no token has.
    """

    kind: str
    special: dict[str, str]
    config: dict[str, Any] = field(default_factory=dict)
    before: int = 0
    after: int = 0
    surplus: int = 0


SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ROBERTA = {**NO_DROPOUT, "max_position_embeddings": 34, "type_vocab_size": 1}
ENCODERS = {
    "xlm-roberta": Encoder("xlm-roberta", XLM_R, ROBERTA),
    "glot500": Encoder("xlm-roberta", XLM_R, ROBERTA, surplus=7),
    "bert-base-multilingual": Encoder("bert", BERT, {**NO_DROPOUT, "max_position_embeddings": 32}, after=5),
    "multilingual-e5-small": Encoder("bert", XLM_R, {**NO_DROPOUT, "max_position_embeddings": 32}),
    "mdeberta-v3": Encoder(
        "deberta-v2",
        DEBERTA,
        {**NO_DROPOUT, "max_position_embeddings": 32, "type_vocab_size": 0, "relative_attention": True,
         "max_relative_positions": -1, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
         "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "pooler_hidden_size": 32},
        surplus=9,
    ),
    "modernbert": Encoder("modernbert", BERT, {"local_attention": 8, "classifier_pooling": "cls"}, before=50),
    "mmbert": Encoder("modernbert", GEMMA, {"local_attention": 8, "classifier_pooling": "mean"}, surplus=3),
    "distilbert-multilingual": Encoder(
        "distilbert",
        BERT,
        {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 2, "dropout": 0.0, "attention_dropout": 0.0,
         "max_position_embeddings": 32},
        after=5,
    ),
    "rembert": Encoder("rembert", BERT, {**NO_DROPOUT, "max_position_embeddings": 32, "input_embedding_size": 8, "output_embedding_size": 12}),
}  # fmt: skip


def write_encoder(name: str, folder: Path) -> Path:
    """Write a checkpoint folder: weights with the head of a masked language model, config, tokenizer."""
    encoder = ENCODERS[name]
    tokenizer = make_tokenizer(encoder)
    ids = {f"{key}_id": getattr(tokenizer, f"{key}_id") for key in encoder.special if key != "unk_token"}
    size = {} if encoder.kind == "distilbert" else SIZE
    vocab_size = len(tokenizer) + encoder.surplus
    config = AutoConfig.for_model(encoder.kind, vocab_size=vocab_size, **size, **ids, **encoder.config)
    config.initializer_range = 0.15
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(encoder: Encoder) -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words, the special tokens where the encoder has them."""
    special = list(encoder.special.values())
    vocabulary = [f"<before{i}>" for i in range(encoder.before)] + special
    vocabulary += [f"<after{i}>" for i in range(encoder.after)] + WORDS
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, encoder.special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    first, last = (_first(encoder.special, keys) for keys in (("cls_token", "bos_token"), ("sep_token", "eos_token")))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(t, vocabulary.index(t)) for t in (first, last)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **encoder.special)


def _first(special: dict[str, str], keys: Sequence[str]) -> str:
    return next(special[key] for key in keys if key in special)
