"""RegMean with Gram matrices measured on the way up: what a layer is said to see is what it sees in the merged model."""

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.unit.test_adaptation import TEXTS, task_vector
from workflow_scripts.core.digests import write_digest
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.data.examples import examples_digest, write_examples
from workflow_scripts.merging.engine import Source, merge_files
from workflow_scripts.merging.method import load_method
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.models.checkpoints import load_task_vector, save_task_vector, set_task_vector, skeleton
from workflow_scripts.models.tokens import compact_model

NAMES, WEIGHTS = ["de-DE", "fr-FR"], [0.3, 0.7]
OTHERS = ["open the window", "what is that", "music and light"]


@pytest.fixture
def inputs(tiny_base, tmp_path) -> dict:
    """Two models, and each source's sentences."""
    found: dict = {"base": tiny_base, "models": [], "text": [], "text_digest": []}
    for i, texts in enumerate((TEXTS, OTHERS)):
        found["models"].append(tmp_path / f"model{i}.safetensors")
        save_task_vector(task_vector(tiny_base, i), found["models"][-1], "float32", {"base": "θ₀"})
        table = pd.DataFrame({"id": [str(j) for j in range(len(texts))], "text": texts, "label": 0, "cluster": "c"})
        found["text"].append(tmp_path / f"{i}.parquet")
        found["text_digest"].append(tmp_path / f"{i}.digest")
        write_examples(table, found["text"][-1])
        write_digest(found["text_digest"][-1], examples_digest(table))
    return found


def measured(inputs, folder, **parameters):
    method = load_method("regmean", {"progressive": True, **parameters})
    folder.mkdir()
    entry = {"sources": NAMES, "weights": WEIGHTS}
    return method, method.measure(inputs, entry, "θ₀", 32, 1, folder)


def merged(inputs, method, files, out):
    sources = [
        Source(name, path, weight, None, (files[name],))
        for name, path, weight in zip(NAMES, inputs["models"], WEIGHTS, strict=True)
    ]
    layout = Layout.of(skeleton(inputs["base"]))
    merge_files(sources, "regmean", method.settings, out, {"base": "θ₀"}, layout=layout)
    return load_task_vector(out, "θ₀")


def test_a_layer_sees_what_comes_through_the_merged_layers_below(inputs, tmp_path):
    method, files = measured(inputs, tmp_path / "grams")
    result = merged(inputs, method, files, tmp_path / "merged.safetensors")
    compact = compact_model(inputs["base"], [TEXTS, OTHERS], 32)
    set_task_vector(compact.model, inputs["base"], compact.vocabulary, result)
    for name, encoded in zip(NAMES, compact.encoded, strict=True):
        grams = load_file(files[name])
        with torch.no_grad():
            passes = [compact.model(input_ids=torch.tensor([list(t)]), output_hidden_states=True) for t in encoded]
        for layer in range(2):
            x = torch.cat([p.hidden_states[layer][0] for p in passes]).double()
            found = grams[f"bert.encoder.layer.{layer}.attention.self.query.weight"].double()
            torch.testing.assert_close(found, x.T @ x / len(x), rtol=1e-3, atol=1e-5)
        assert "bert.pooler.dense.weight" in grams and "classifier.weight" in grams


def test_it_is_reproducible_and_looks_at_as_many_sentences_as_it_may(inputs, tmp_path):
    first = measured(inputs, tmp_path / "a", examples=3)[1]
    again = measured(inputs, tmp_path / "b", examples=3)[1]
    assert [first[n].read_bytes() for n in NAMES] == [again[n].read_bytes() for n in NAMES]
    fewer, more = load_file(first["de-DE"]), load_file(measured(inputs, tmp_path / "c")[1]["de-DE"])
    assert any(not torch.equal(fewer[name], more[name]) for name in fewer)


def test_what_it_looks_at_and_refuses():
    method = load_method("regmean", {"progressive": True})
    assert method.texts("sw-KE", NAMES) == [("de-DE", "validation"), ("fr-FR", "validation")]
    assert method.measurement is None and method.needs_data and method.supervision == "none"
    for wrong in ({"text": "target"}, {"statistics": "free"}):
        with pytest.raises(XlmergeError, match="`progressive` needs"):
            load_method("regmean", {"progressive": True, **wrong})
