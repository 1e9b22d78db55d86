"""A random two-layer encoder made on the spot, for tests and rehearsals: real in shape, knows nothing."""

import json
from pathlib import Path

import home_assistant_intents
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt")
VOCABULARY = 2000


def build(folder: Path) -> None:
    """Write the encoder as a Hugging Face folder."""
    write_random(folder, BertConfig, BertModel)


def write_random(
    folder: Path, config: type[PreTrainedConfig], model: type[PreTrainedModel], positions: int = 128
) -> None:
    """Write a random encoder of some architecture, and a small tokenizer."""
    tokenizer = tiny_tokenizer()
    shape = config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = model(shape, add_pooling_layer=False)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a small BPE tokenizer trained on the words of the bundled templates."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIALS, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=128,
    )


def _texts() -> list[str]:
    folder = Path(home_assistant_intents.__file__).parent / "data"
    texts = []
    for language in LANGUAGES:
        content = json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
        blocks = (b for intent in content["intents"].values() for b in intent["data"])
        texts += [sentence for block in blocks for sentence in block["sentences"]]
    return texts
