"""How large a run's encoder and data are, as far as that is known before it starts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from workflow_scripts.planning.rates import Expected, read_rates
from workflow_scripts.study.study import Study

SPLITS = ("train", "validation", "test")
LAYERS = ("num_hidden_layers", "n_layers")  # as configs of different architectures call it
HIDDEN = ("hidden_size", "dim")
VOCABULARY = ("vocab_size",)


@dataclass(frozen=True)
class Encoder:
    """Sizes of an encoder.

    Attributes
    ----------
    layers, hidden, vocabulary : int
    body : int
        Parameters beside the token embedding.
    """

    layers: int
    hidden: int
    vocabulary: int
    body: int

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.body + self.vocabulary * self.hidden


@dataclass(frozen=True)
class Data:
    """Sizes of a run's data.

    Attributes
    ----------
    sentences : dict
        Locale → split → number of sentences.
    tokens : float
        Of a sentence, in the mean.
    lengths : int
        Different lengths of the sentences of a table.
    pieces : int
        Different tokens in a locale's training and validation sentences.
    """

    sentences: Mapping[str, Mapping[str, int]]
    tokens: float
    lengths: int
    pieces: int

    def batches(self, sentences: float, batch_tokens: int) -> float:
        """Return the forward passes of scoring a table; a batch holds one length."""
        return self.lengths + sentences * self.tokens // batch_tokens


def find_encoder(study: Study) -> Encoder | None:
    """Return the sizes of the run's encoder: from its files if they are there, else of a known one, else None."""
    for folder in (Path(study.paths.base), Path(study.run.base.name).expanduser()):
        if (folder / "config.json").is_file() and (weights := sorted(folder.glob("*.safetensors"))):
            return _measure(json.loads((folder / "config.json").read_text(encoding="utf-8")), weights)
    listed = read_rates().encoders.get(study.run.base.name)
    return listed and Encoder(*listed[:3], body=round(listed[3] * 1e6))


def _measure(config: Mapping[str, Any], weights: Iterable[Path]) -> Encoder | None:
    """Return the sizes of an encoder that is there; None if its config calls them otherwise or its weights are damaged.

    Damage is for the jobs that load the encoder to name: a forecast does without.
    """
    from safetensors import SafetensorError

    sizes = [int(config[key]) for keys in (LAYERS, HIDDEN, VOCABULARY) for key in keys if key in config]
    if len(sizes) != 3:
        return None
    layers, hidden, vocabulary = sizes
    try:
        numbers = sum(map(_numbers, weights))
    except (SafetensorError, OSError):
        return None
    return Encoder(layers, hidden, vocabulary, numbers - vocabulary * hidden)


def _numbers(weights: Path) -> int:
    """Return how many numbers a weights file holds."""
    from safetensors import safe_open

    with safe_open(weights, "numpy") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def find_data(study: Study, sidecars: str | None = None) -> Data | None:
    """Return the sizes of the data: of prepared tables, else what is known of the provider, else None.

    Parameters
    ----------
    study : Study
    sidecars : str, optional
        Template of the example tables' sidecars; default: the run's own.
    """
    listed = read_rates().data
    expected = listed.get(study.run.data.provider, listed["other"])
    template = sidecars or study.paths.examples_info
    sentences: dict[str, dict[str, int]] = {}
    for locale in study.run.locales:
        counts = {split: _sentences(study, expected, template, locale, split) for split in SPLITS}
        sentences[locale] = {split: count for split, count in counts.items() if count is not None}
        if len(sentences[locale]) < len(SPLITS):
            return None
    return Data(sentences, expected.tokens, expected.lengths, expected.pieces)


def _sentences(study: Study, expected: Expected, template: str, locale: str, split: str) -> int | None:
    sidecar = Path(template.format(locale=locale, split=split))
    if sidecar.exists() and "n" in (facts := json.loads(sidecar.read_text(encoding="utf-8"))):
        return int(facts["n"])
    per_intent: Any = getattr(study.run.data, f"{split}_per_intent", None)
    most: int | None = getattr(expected, split)
    return per_intent * len(study.labels) if per_intent else most
