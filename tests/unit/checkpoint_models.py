"""Small random Hugging Face models: a base, and fine-tunes of it that differ a little."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedModel,
    XLMRobertaConfig,
)

from workflow_scripts.checkpoints.merge import merge_checkpoints
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.merging.method import Step
from workflow_scripts.models.checkpoints import TaskVector, base_digest, save_task_vector

LABELS = ["lights", "music", "weather"]
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
SIZE = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONFIGS = {
    "bert": (BertConfig, {"type_vocab_size": 1, "pad_token_id": 1}),
    "xlm-roberta": (XLMRobertaConfig, {"type_vocab_size": 1, "max_position_embeddings": 34, "pad_token_id": 1}),
    "modernbert": (ModernBertConfig, SPECIAL),
    "deberta-v2": (DebertaV2Config, {"pad_token_id": 1, "pooler_hidden_size": 16}),
}
State = dict[str, torch.Tensor]
WEIGHTS = [0.5, 0.3, 0.2]
TOKENS = torch.tensor([[0, 5, 6, 7, 2], [0, 9, 30, 31, 2]])


def make_model(kind: str = "bert", seed: int = 0, labels: Sequence[str] = LABELS, **changes) -> PreTrainedModel:
    """Return a random sequence classifier."""
    cls, settings = CONFIGS[kind]
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = cls(**{**SIZE, **settings, **names, "initializer_range": 0.5, **changes})
        return AutoModelForSequenceClassification.from_config(config).eval()


def write_tokenizer(folder: Path, words: Sequence[str] = ("a", "b", "c")) -> None:
    vocabulary = {w: i for i, w in enumerate(words)}
    content = {"model": {"type": "WordLevel", "vocab": vocabulary}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def write_model(model: PreTrainedModel, folder: Path, tokenizer: bool = True, **options) -> Path:
    model.save_pretrained(folder, **options)
    if tokenizer:
        write_tokenizer(folder)
    return folder


def fine_tune(model: PreTrainedModel, seed: int, scale: float = 0.02, rows: Sequence[int] | None = None) -> None:
    """Move a model's weights; of the token embedding only some rows, if given."""
    generator = torch.Generator().manual_seed(1000 + seed)
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        for parameter in model.parameters():
            step = scale * torch.randn(parameter.shape, generator=generator)
            if parameter is embedding and rows is not None:
                parameter[list(rows)] += step[list(rows)]
            else:
                parameter.add_(step)


def changed_rows(i: int) -> range:
    """The tokens of a fine-tune; those of all three have gaps."""
    return range(2 * i, 30, 7)


def family(folder: Path, kind: str = "bert", count: int = 3, dtype: torch.dtype | None = None, **options) -> list[Path]:
    """Write a base and fine-tunes of it: [base, source, …]."""
    written = [write_model(make_model(kind), folder / "base", **options)]
    for i in range(count):
        model = make_model(kind)
        fine_tune(model, i, rows=changed_rows(i))
        written.append(write_model(model.to(dtype) if dtype else model, folder / f"model{i}", **options))
    return written


def state_of(folder: Path) -> State:
    """Return a folder's weights, sharded or not, in float32."""
    tensors: State = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return {name: value.float() for name, value in tensors.items()}


def change_state(folder: Path, **changes) -> None:
    """Replace tensors of a folder; None removes one."""
    state = load_file(folder / "model.safetensors") | changes
    state = {name: value for name, value in state.items() if value is not None}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def task_vector(source: Path, base: Path, out: Path, embedding: str = "embeddings.word_embeddings.weight") -> Path:
    """Write θ − θ₀, of the embedding only the changed rows."""
    before, after = state_of(base), state_of(source)
    vector = TaskVector({}, {})
    for name, value in after.items():
        delta = value - before[name]
        if name.endswith(embedding):
            rows = delta.ne(0).any(1).nonzero().flatten()
            vector.rows[name] = rows, delta[rows]
        else:
            vector.dense[name] = delta
    save_task_vector(vector, out, "float32", {"base": base_digest(base)})
    return out


def merge(sources: Sequence[Path], base: Path, out: Path, method: str = "average", weights=None, **options) -> State:
    """Merge into a folder and return its weights; `parameters` and the options of `merge_checkpoints` pass through."""
    chosen = tuple(weights or [1 / len(sources)] * len(sources))
    step = Step(method, options.pop("parameters", {}), chosen)
    merge_checkpoints(sources, base, out, [step], **options)
    return state_of(out)


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS)).logits


def logits_of(folder: Path, state: State | None = None) -> torch.Tensor:
    """Return a saved model's logits, with other weights if given."""
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    assert not report["missing_keys"], report
    assert not report["unexpected_keys"], report
    if state is not None:
        model.load_state_dict(state)
    return logits(model.eval())


# --- what merges should give


def weighted(states, weights=WEIGHTS):
    return {n: sum(w * s[n].double() for w, s in zip(weights, states, strict=True)).float() for n in states[0]}


def assert_close(found, expected, tolerance=2e-7):
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=tolerance, msg=name)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        assert torch.equal(found[name], expected[name]), name


def ties_in_torch(base, sources, weights, density):
    """TIES per tensor, on whole weights."""
    merged = {}
    for name, start in base.items():
        taus = torch.stack([(s[name] - start).flatten() for s in sources]).double()
        for tau in taus:
            kept = max(1, int(density * tau.count_nonzero()))
            cut = tau.abs().sort(descending=True).values[kept - 1]
            tau[tau.abs() < cut] = 0
        w = torch.tensor(weights, dtype=torch.float64)[:, None]
        sign = torch.where((w * taus).sum(0) < 0, -1.0, 1.0)
        agree = (taus * sign) > 0
        mass = (w * agree).sum(0)
        total = (w * taus * agree).sum(0) / torch.where(mass > 0, mass, 1.0)
        merged[name] = start + total.float().reshape(start.shape)
    return merged


def bare(base, out, **extra):
    """Write a base without head and prefix, as a bare encoder's folder is."""
    state = {n.removeprefix("bert."): t for n, t in state_of(base).items() if n.startswith("bert.")}
    out.mkdir()
    save_file({n: t.contiguous() for n, t in (state | extra).items()}, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text((base / "config.json").read_text())
    change_config(out, architectures=["BertModel"])
    return out


def refuse(models, tmp_path, message, **options):
    """The merge fails with the message and leaves no trace."""
    before = set(tmp_path.rglob("*"))
    base, *sources = models
    with pytest.raises(XlmergeError, match=message):
        merge(sources, base, tmp_path / "out", **options)
    assert set(tmp_path.rglob("*")) == before
