"""What the inference and training benchmarks share: a random XLM-R base, its tokenizer, MASSIVE-like sentences."""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCABULARY = 250_002
LABELS = 60
LOCALES, TEST = 49, 2974  # of MASSIVE
MEDIAN, SIGMA = (
    9.0,
    0.42,
)  # of the pieces of a sentence, log-normal: 11.8 tokens in the mean with <s> and </s>, 5 % above 20


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder; `small` ones are for trying the script out."""

    layers: int = 12
    hidden: int = 768
    vocabulary: int = VOCABULARY


@contextlib.contextmanager
def model_folder(options: argparse.Namespace, shape: Shape) -> Iterator[Path]:
    """Return the model that the options name, made if there is none, or a temporary one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.model or Path(temporary) / "model"
        if not folder.exists():
            write_model(folder, shape)
        yield folder


def write_model(folder: Path, shape: Shape) -> None:
    """Write a sequence classifier with random weights and its tokenizer as a Hugging Face folder."""
    tokenizer = make_tokenizer(shape.vocabulary)
    config = XLMRobertaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        intermediate_size=4 * shape.hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.02,
        id2label={i: f"intent {i}" for i in range(LABELS)},
        label2id={f"intent {i}": i for i in range(LABELS)},
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def piece(number: int) -> str:
    """Return the piece of a token id: a word start and six letters that no other piece has."""
    letters = []
    for _ in range(6):
        number, rest = divmod(number, 26)
        letters.append(chr(97 + rest))
    return "▁" + "".join(letters)


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a unigram tokenizer with as many pieces as XLM-R's."""
    pieces = [(token, 0.0) for token in SPECIAL] + [(piece(i), -10.0) for i in range(len(SPECIAL), vocabulary)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        cls_token="<s>", sep_token="</s>", model_max_length=512,
    )  # fmt: skip


def sentences(count: int, seed: int, shape: Shape, pieces: int) -> list[str]:
    """Return sentences whose lengths are distributed like MASSIVE's in XLM-R's pieces, of so many different ones."""
    draw = np.random.default_rng(seed)
    lengths = np.clip(np.rint(draw.lognormal(np.log(MEDIAN), SIGMA, count)), 1, 60).astype(int)
    known = np.random.default_rng(0).permutation(np.arange(len(SPECIAL), shape.vocabulary))[:pieces]
    return [" ".join(piece(i).removeprefix("▁") for i in draw.choice(known, n)) for n in lengths]


@dataclass(frozen=True)
class Clock:
    """Seconds: CPU seconds of this process on a CPU, wall seconds around finished work on a GPU."""

    device: str

    def __call__(self) -> float:
        """Return the time now."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def of(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Return what some work takes, and its result."""
        start = self()
        result = work()
        return self() - start, result


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--model", type=Path, help="folder to make the model in, or to find it in; default: temporary")
    parser.add_argument("--small", action="store_true", help="a small encoder: to try the script out")
    return parser


def chosen(options: argparse.Namespace) -> tuple[str, Shape]:
    """Return the device and the encoder's sizes; one CPU thread."""
    torch.set_num_threads(1)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    device = found if options.device == "auto" else options.device
    if device == "cpu" and found == "cuda":
        torch.cuda.is_available = lambda: False
    return device, Shape(2, 128, 5000) if options.small else Shape()


def machine(device: str) -> str:
    """Return what was measured on, and how busy it was."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")
    return f"{name}, torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows with the same keys as a Markdown table."""
    head = list(rows[0])
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *([_cell(row[key]) for key in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
