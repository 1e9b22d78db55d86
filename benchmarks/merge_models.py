"""Random models of XLM-R's shapes, as task vectors and as Hugging Face checkpoints."""

import json
from pathlib import Path

import numpy as np

from workflow_scripts.merging.pieces import Layout
from workflow_scripts.merging.streaming import TensorFile, TensorWriter

PREFIX, EMBEDDING = "roberta.", "roberta.embeddings.word_embeddings.weight"
LABELS = 60
CHUNK = 1 << 20

Shapes = dict[str, tuple[int, ...]]


def shapes_of(vocabulary: int, hidden: int, layers: int) -> Shapes:
    """Return XLM-R's tensors by name."""
    h, ff = hidden, 4 * hidden
    embeddings = {"word_embeddings": vocabulary, "position_embeddings": 514, "token_type_embeddings": 1}
    shapes = {f"{PREFIX}embeddings.{name}.weight": (rows, h) for name, rows in embeddings.items()}
    linear = {f"attention.self.{n}": (h, h) for n in ("query", "key", "value")} | {"attention.output.dense": (h, h)}
    linear |= {"intermediate.dense": (ff, h), "output.dense": (h, ff)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        name = f"encoder.layer.{layer}."
        norms += [name + "attention.output.LayerNorm", name + "output.LayerNorm"]
        for part, shape in linear.items():
            shapes |= {f"{PREFIX}{name}{part}.weight": shape, f"{PREFIX}{name}{part}.bias": shape[:1]}
    shapes |= {f"{PREFIX}{norm}.{kind}": (h,) for norm in norms for kind in ("weight", "bias")}
    head = {"dense": (h, h), "out_proj": (LABELS, h)}
    shapes |= {f"classifier.{part}.weight": shape for part, shape in head.items()}
    return shapes | {f"classifier.{part}.bias": shape[:1] for part, shape in head.items()}


def write_random(path: Path, shapes: Shapes, seed: int, scale: float, start: Path | None = None) -> None:
    """Write a safetensors file of normal numbers, added to those of another file if given."""
    generator, base = np.random.default_rng(seed), TensorFile(start) if start else None
    metadata = {"xlmerge": json.dumps({"base": "random"}), "format": "pt"}
    with TensorWriter(path, {n: (s, "F32") for n, s in shapes.items()}, metadata) as writer:
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            for first in range(0, size, CHUNK):
                values = generator.standard_normal(min(CHUNK, size - first), np.float32) * np.float32(scale)
                if base is not None:
                    before = np.empty_like(values)
                    base.read(name, first, before)
                    values += before
                writer.write(name, first, values)


def write_checkpoint(folder: Path, shapes: Shapes, size: tuple[int, int, int], seed: int, base: Path | None) -> None:
    """Write a Hugging Face folder: the base, or the base plus a task vector."""
    vocabulary, hidden, layers = size
    folder.mkdir()
    write_random(folder / "model.safetensors", shapes, seed, 0.02 if base is None else 1e-3, base)
    config = {"architectures": ["XLMRobertaForSequenceClassification"], "model_type": "xlm-roberta"}
    config |= {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": vocabulary}
    config |= {"intermediate_size": 4 * hidden, "num_attention_heads": hidden // 64}
    config |= {"max_position_embeddings": 514, "type_vocab_size": 1, "num_labels": LABELS}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def layout_of(shapes: Shapes, layers: int) -> Layout:
    """Return which tensor is what."""
    head = frozenset(name for name in shapes if not name.startswith(PREFIX))
    return Layout(EMBEDDING, head, layers, shapes=shapes)
