"""Full checkpoints on disk and on the hub: what cannot be read, and what must not be overwritten."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.unit.checkpoint_models import (
    change_state,
    family,
    merge,
    refuse,
)
from workflow_scripts.checkpoints import files
from workflow_scripts.core.errors import XlmergeError


@pytest.fixture
def models(tmp_path):
    return family(tmp_path, count=2)


# --- what cannot be read


def test_weights_in_pickles_only_are_refused_with_the_remedy(models, tmp_path):
    (models[2] / "model.safetensors").rename(models[2] / "pytorch_model.bin")
    refuse(models, tmp_path, r"model1 has weights only as pytorch_model\.bin.*save_pretrained")


def test_an_adapter_is_no_model(models, tmp_path):
    (models[2] / "model.safetensors").unlink()
    (models[2] / "adapter_config.json").write_text("{}")
    refuse(models, tmp_path, "holds an adapter.*merge_and_unload")


def test_a_folder_without_weights_is_named(models, tmp_path):
    (models[2] / "model.safetensors").unlink()
    refuse(models, tmp_path, r"model1 has no model\.safetensors")


def test_a_missing_shard_is_named(tmp_path):
    models = family(tmp_path, count=2, max_shard_size="8KB")
    shard = sorted(models[2].glob("model-*.safetensors"))[1]
    shard.unlink()
    refuse(models, tmp_path, f"lacks {shard.name} of its")


def test_a_broken_index_is_named(tmp_path):
    models = family(tmp_path, count=2, max_shard_size="8KB")
    (models[2] / "model.safetensors.index.json").write_text("{}")
    refuse(models, tmp_path, r"model\.safetensors\.index\.json cannot be read")


def test_a_folder_without_config_is_named(models, tmp_path):
    (models[2] / "config.json").unlink()
    refuse(models, tmp_path, r"model1/config\.json cannot be used")


def test_a_bare_safetensors_file_is_no_task_vector(models, tmp_path):
    refuse([*models[:2], models[2] / "model.safetensors"], tmp_path, "is no task vector.*give its folder")


def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub(models, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    refuse([*models[:2], tmp_path / "nowhere"], tmp_path, "nowhere does not exist")


def test_a_hub_id_without_a_network_is_explained_after_one_try(models, tmp_path, monkeypatch):
    asked = []

    def unreachable(name, **_):
        asked.append(name)
        raise ConnectionError("no connection")

    monkeypatch.setattr("workflow_scripts.models.base.model_info", unreachable)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked again"))
    message = (
        r"'owner/some-model' is neither a folder nor .*cannot be reached \(no connection\).*hf download owner/some"
    )
    refuse([*models[:2], "owner/some-model"], tmp_path, message)
    refuse(["bundled_encodr", *models[1:]], tmp_path, "did you mean 'bundled_encoder'")
    assert asked == ["owner/some-model", "bundled_encodr"]


def test_a_hub_id_is_fetched_without_what_is_not_needed(models, tmp_path, monkeypatch):
    asked = {}

    def download(name, allow_patterns, local_files_only):
        asked[name] = allow_patterns
        return str(models[2])

    monkeypatch.setattr("workflow_scripts.models.base.model_info", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    expected = merge(models[1:], models[0], tmp_path / "out")
    found = merge([models[1], "owner/model"], models[0], tmp_path / "again")
    assert all(torch.equal(found[n], t) for n, t in expected.items())
    (patterns,) = asked.values()
    assert "model*.safetensors" in patterns
    assert not any("bin" in p or p == "*" for p in patterns)


def test_a_local_folder_wins_over_the_hub(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    assert files.locate("model1") == Path("model1")
    merge(["model0", "model1"], "base", tmp_path / "out")


# --- outputs


def test_an_output_folder_with_something_in_it_is_refused(models, tmp_path):
    (tmp_path / "out").mkdir()
    merge(models[1:], models[0], tmp_path / "out")  # an empty one is not
    before = (tmp_path / "out/model.safetensors").read_bytes()
    refuse(models, tmp_path, "out exists: .*--overwrite", weights=[0.9, 0.1], method="similarity")
    merge(models[1:], models[0], tmp_path / "out", "similarity", [0.9, 0.1], overwrite=True)
    assert (tmp_path / "out/model.safetensors").read_bytes() != before


def test_overwriting_spares_what_is_no_model(models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("…")
    refuse(models, tmp_path, "something else than a model", overwrite=True)


@pytest.mark.parametrize("which", ["model0", "base", ""])
def test_the_output_never_replaces_an_input(which, models, tmp_path):
    before = set(tmp_path.rglob("*"))
    with pytest.raises(XlmergeError, match=r"would lie in .*model0.*outside of it"):
        merge(models[1:], models[0], models[1] / "merged")
    assert not (models[1] / "merged").exists()
    with pytest.raises(XlmergeError, match="would replace"):
        merge(models[1:], models[0], tmp_path / which, overwrite=True)
    assert set(tmp_path.rglob("*")) == before


def test_a_failed_merge_leaves_the_old_output(models, tmp_path):
    merge(models[1:], models[0], tmp_path / "out")
    before = (tmp_path / "out/model.safetensors").read_bytes()
    change_state(models[2], **{"classifier.bias": torch.tensor([0, float("nan"), 0])})
    refuse(models, tmp_path, "not finite", overwrite=True)
    assert (tmp_path / "out/model.safetensors").read_bytes() == before


def test_a_disk_too_small_is_said_before_anything_is_written(models, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    refuse(models, tmp_path, r"out needs 0\.00 GB, but .* has only")


def test_names_must_tell_the_sources_apart(models, tmp_path):
    refuse([models[0], models[1], models[1]], tmp_path, "given twice")
    refuse(models, tmp_path, "as many distinct names", names=["a", "a"])


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["m/de/seed0/model.safetensors", "m/fr/seed0/model.safetensors"], ["de/seed0", "fr/seed0"]),
        (["a/x", "b/y/"], ["x", "y"]),
        (["one.safetensors", "two.safetensors"], ["one", "two"]),
        (["x", "b/x"], ["x", "b/x"]),
    ],
)
def test_names_are_the_shortest_ends_that_differ(sources, names):
    assert files.short_names(sources) == names
