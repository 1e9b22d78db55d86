"""Every merge method as the workflow calls it: on a real encoder's task vectors, with rows of the embedding."""

import numpy as np
import pytest
import torch

from tests.unit.helpers import NAMES
from workflow_scripts.core import registry
from workflow_scripts.core.digests import digest_of_files, write_digest
from workflow_scripts.merging.method import load_method
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.merging.workflow_merge import merge_models
from workflow_scripts.models.checkpoints import TaskVector, load_task_vector, save_task_vector, skeleton

BASE = "digest of the base"
FREE = ("regmean", {"statistics": "free", "anchor": "tsv_m"})
EMBEDDING = "bert.embeddings.word_embeddings.weight"
SPACES = [("slerp", {"space": "weights"}), ("karcher", {"space": "weights"})]
CASES = [*((m, {}) for m in registry.names("merge method") if not load_method(m, {}).needs_data), *SPACES, FREE]


@pytest.fixture(scope="module")
def inputs(tiny_base, tmp_path_factory) -> dict:
    """Two fine-tunes of the tiny encoder that changed everything but most of the embedding."""
    folder, shapes = tmp_path_factory.mktemp("models"), Layout.of(skeleton(tiny_base)).shapes
    models, digests = [], []
    for i in range(2):
        generator = torch.Generator().manual_seed(i)
        dense = {n: torch.randn(s, generator=generator) / 100 for n, s in shapes.items() if n != EMBEDDING}
        rows = torch.arange(i, 40, 3)
        values = torch.randn(len(rows), shapes[EMBEDDING][1], generator=generator) / 100
        models.append(folder / f"{i}.safetensors")
        save_task_vector(TaskVector(dense, {EMBEDDING: (rows, values)}), models[-1], "float32", {"base": BASE})
        digests.append(folder / f"{i}.json")
        write_digest(digests[-1], digest_of_files(models[-1]))
    return {"models": models, "model_digests": digests, "base": tiny_base}


@pytest.mark.parametrize(("method", "parameters"), CASES)
def test_every_method_merges_a_real_encoder(method, parameters, inputs, tmp_path):
    entry = {"method": method, "parameters": parameters, "sources": NAMES[:2], "weights": [0.75, 0.25]}
    entry["groups"] = {NAMES[0]: "pivot", NAMES[1]: "other"}
    facts = merge_models(inputs, entry, BASE, tmp_path / "merged.safetensors")
    merged = load_task_vector(tmp_path / "merged.safetensors", BASE)
    assert len(merged.dense) + len(merged.rows) == len(Layout.of(skeleton(inputs["base"])).shapes)
    assert all(torch.isfinite(t).all() for t in merged.dense.values())
    assert set(facts) == {"embedding", "encoder", "head"}
    norms = [np.sqrt(sum(float(t.square().sum()) for n, t in merged.dense.items() if "classifier" in n))]
    assert facts["head"]["norm"] == pytest.approx(norms[0], rel=1e-5)
    assert facts["encoder"]["density"] > 0
    assert [p.name for p in tmp_path.iterdir()] == ["merged.safetensors"]


def test_the_layout_of_a_real_encoder(tiny_base):
    layout = Layout.of(skeleton(tiny_base))
    assert (layout.embedding, layout.layers) == (EMBEDDING, 2)
    assert layout.head == {"classifier.weight", "classifier.bias"}
    assert layout.part("bert.pooler.dense.weight") == "encoder"
    assert {layout.layer(n) for n in layout.shapes if ".encoder." in n} == {0, 1}
    assert {layout.layer(n) for n in layout.shapes if ".encoder." not in n} == {None}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("roberta.encoder.layer.11.attention.self.query.weight", 11),
        ("distilbert.transformer.layer.3.ffn.lin1.weight", 3),
        ("model.layers.21.attn.Wqkv.weight", 21),
        ("albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight", 0),
        ("transformer.h.5.mlp.c_fc.weight", 5),
        ("roberta.embeddings.LayerNorm.weight", None),
        ("classifier.dense.weight", None),
    ],
)
def test_layers_of_other_architectures(name, layer):
    from workflow_scripts.merging.pieces import layer_index

    assert layer_index(name) == layer
