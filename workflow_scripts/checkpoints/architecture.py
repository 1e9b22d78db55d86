"""What a sequence classifier consists of, by its config alone, and what must agree between models to be merged.

Where architecture, vocabulary or labels differ, weights do not mean the same.
"""

import copy
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.pieces import Layout

OLD_NAMES = ((".gamma", ".weight"), (".beta", ".bias"))  # LayerNorm's, in checkpoints converted from TensorFlow
CONFIG = (  # what changes the computation, or the meaning of a tensor's elements
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "position_embedding_type",
)
GENERIC = re.compile(r"LABEL_\d+")
SHOWN = 5


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
        tensors = self.layout.shapes.keys() | self.buffers
        stored_as, unused = {}, []
        for name in stored:
            candidates = [c for n in (name, _modern(name)) for c in (n, f"{self.prefix}.{n}") if c in tensors]
            if candidates:
                stored_as[candidates[0]] = name
            else:
                unused.append(name)
        return stored_as, sorted(unused)


def _modern(name: str) -> str:
    for old, new in OLD_NAMES:
        if name.endswith(f"LayerNorm{old}"):
            return name.removesuffix(old) + new
    return name


def check_configs(configs: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if models (name → config) do not have one architecture."""
    for key in CONFIG:
        values = {name: getattr(config, key, None) for name, config in configs.items()}
        if len(set(values.values())) > 1:
            described = ", ".join(f"{name} {value}" for name, value in values.items())
            raise XlmergeError(f"the models' architectures differ, {key}: {described}")


def check_classifiers(configs: Mapping[str, Any]) -> None:
    """Raise an `XlmergeError` if a source (name → config) was trained for something else than classifying texts."""
    for name, config in configs.items():
        for kind in getattr(config, "architectures", None) or ():
            if not kind.endswith("ForSequenceClassification"):
                raise XlmergeError(f"{name} is a {kind}; sources are sequence classifiers (…ForSequenceClassification)")


def is_classifier(config: Any) -> bool:
    """Return whether a base's config says that it has a sequence classifier's head, or says nothing."""
    kinds = getattr(config, "architectures", None) or ()
    return all(kind.endswith("ForSequenceClassification") for kind in kinds)


def labels_of(config: Any) -> list[str]:
    """Return a config's labels in the order of the head's rows."""
    return [config.id2label[i] for i in sorted(config.id2label)]


def is_generic(labels: Sequence[str]) -> bool:
    """Return whether the labels are only numbered."""
    return all(GENERIC.fullmatch(label) for label in labels)


def check_labels(labels: Mapping[str, Sequence[str]]) -> None:
    """Raise an `XlmergeError` if models (name → labels) do not have the same set of labels."""
    first = next(iter(labels))
    for name, given in labels.items():
        if len(set(given)) < len(given):
            twice = sorted({x for x in given if list(given).count(x) > 1})
            raise XlmergeError(f"{name} has a label twice: {', '.join(twice)} (`id2label` in its config.json)")
        if set(given) != set(labels[first]):
            raise XlmergeError(
                f"the models' labels differ: only {first} has {_some(set(labels[first]) - set(given))}; "
                f"only {name} has {_some(set(given) - set(labels[first]))}. If they mean the same, make `id2label` "
                "agree in the config.json files."
            )


def _some(words: set[str]) -> str:
    shown = ", ".join(sorted(words)[:SHOWN]) or "nothing"
    return shown + (f" … ({len(words)})" if len(words) > SHOWN else "")


def check_vocabularies(folders: Mapping[str, Path]) -> None:
    """Raise an `XlmergeError` if models (name → folder) number tokens differently, as far as their files tell.

    Compared are the token ids in ``tokenizer.json`` (or, where a model has none, the bytes of its vocabulary file).
    """
    for file in ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model"):
        having = {name: folder / file for name, folder in folders.items() if (folder / file).is_file()}
        contents: dict[bytes, str] = {}
        for name, path in having.items():
            contents.setdefault(path.read_bytes(), name)
        if len(contents) > 1:
            _compare(file, {name: content for content, name in contents.items()})


def _compare(file: str, contents: Mapping[str, bytes]) -> None:
    """Compare vocabularies of one file name (model → content) that are not the same bytes."""
    first, *others = contents
    for other in others:
        if file != "tokenizer.json":
            raise XlmergeError(f"the vocabularies of {first} and {other} differ ({file})")
        ours, theirs = (_token_ids(contents[n], n) for n in (first, other))
        moved = sorted(t for t in ours.keys() | theirs.keys() if ours.get(t) != theirs.get(t))
        if moved:
            example = f"{moved[0]!r} is {ours.get(moved[0])} in {first} and {theirs.get(moved[0])} in {other}"
            raise XlmergeError(
                f"the vocabularies of {first} and {other} differ in {len(moved)} tokens ({file}): {example}"
            )


def _token_ids(content: bytes, name: str) -> dict[str, int]:
    try:
        tokenizer = json.loads(content)
        vocabulary = tokenizer["model"]["vocab"]
        listed = isinstance(vocabulary, list)
        ids = {entry[0]: i for i, entry in enumerate(vocabulary)} if listed else dict(vocabulary)
        return ids | {token["content"]: token["id"] for token in tokenizer.get("added_tokens") or ()}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise XlmergeError(f"tokenizer.json of {name} cannot be read: {error!r}") from None
