"""What a sequence classifier consists of, by its config alone: no weights are made or read."""

import copy
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.pieces import Layout

OLD_NAMES = ((".gamma", ".weight"), (".beta", ".bias"))  # LayerNorm's, in checkpoints converted from TensorFlow


def load_config(folder: Path) -> Any:
    """Return a folder's config.

    Raises
    ------
    XlmergeError
        If there is none, or transformers does not know the architecture.
    """
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise XlmergeError(f"{folder}/config.json cannot be used: {error}") from None


def skeleton_of(config: Any) -> PreTrainedModel:
    """Return a config's sequence classifier on the meta device."""
    try:
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    except ValueError as error:
        raise XlmergeError(f"a {config.model_type} model is no sequence classifier: {error}") from None


@dataclass(frozen=True)
class Architecture:
    """A sequence classifier's tensors.

    Attributes
    ----------
    config : PreTrainedConfig
    kind : str
        The classifier's class.
    prefix : str
        Of the encoder's tensors, without the dot.
    layout : Layout
        Its ``shapes`` are all tensors that can be merged.
    buffers : frozenset of str
        Stored tensors that are not merged, such as integer positions.
    """

    config: Any
    kind: str
    prefix: str
    layout: Layout
    buffers: frozenset[str]

    @classmethod
    def of(cls, config: Any) -> "Architecture":
        """Return the architecture of a config."""
        model = skeleton_of(config)
        layout = Layout.of(model)
        parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        buffers = frozenset(set(model.state_dict()) - parameters)
        return cls(config, type(model).__name__, model.base_model_prefix, layout, buffers)

    @cached_property
    def label_rows(self) -> frozenset[str]:
        """Tensors with one row per label: those that grow with the number of labels."""
        config = copy.deepcopy(self.config)
        config.num_labels = self.config.num_labels + 1
        larger = Layout.of(skeleton_of(config)).shapes
        return frozenset(name for name, shape in self.layout.shapes.items() if larger[name] != shape)

    def is_fresh_part(self, name: str) -> bool:
        """Return whether fine-tuning may have started from a random tensor here: the head, or a pooler."""
        return name in self.layout.head or "pooler" in name.split(".")

    def names(self, stored: Collection[str]) -> tuple[dict[str, str], list[str]]:
        """Return model name → stored name, and the stored names that the model does not have (``lm_head`` …)."""
        known = self.layout.shapes.keys() | self.buffers
        found, unused = {}, []
        for name in stored:
            candidates = [c for n in (name, _modern(name)) for c in (n, f"{self.prefix}.{n}") if c in known]
            if candidates:
                found[candidates[0]] = name
            else:
                unused.append(name)
        return found, sorted(unused)


def _modern(name: str) -> str:
    for old, new in OLD_NAMES:
        if name.endswith(f"LayerNorm{old}"):
            return name.removesuffix(old) + new
    return name
