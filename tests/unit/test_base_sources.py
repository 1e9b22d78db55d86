"""Where θ₀'s encoder comes from: older checkpoint layouts, and the hub with the network switched off."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.conftest import ROOT, preset
from tests.unit.architectures import ENCODERS, WORDS, write_encoder
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.base import build_base, encoder_folder
from workflow_scripts.models.checkpoints import base_digest
from workflow_scripts.study.study import load_study

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def older_layout(kind: str, folder: Path) -> Path:
    """A checkpoint as mDeBERTa-v3 is published: pickled weights, and of the tokenizer only the SentencePiece model."""
    write_encoder(kind, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    pieces = ENCODERS[kind].special
    roles = {"pad": "pad_token", "bos": "cls_token", "eos": "sep_token", "unk": "unk_token"}
    ids = {f"{role}_id": list(pieces).index(key) for role, key in roles.items()}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS[i : i + 3]) for i in range(len(WORDS))] * 5),
        model_prefix=str(folder / "spm"), vocab_size=48, hard_vocab_limit=False, minloglevel=2, **ids,
        **{f"{role}_piece": pieces[key] for role, key in roles.items()},
    )  # fmt: skip
    return folder


def test_pickled_weights_and_a_sentencepiece_model_are_enough(tmp_path):
    build_base(str(older_layout("mdeberta-v3", tmp_path / "old")), None, ["x", "y"], 0, tmp_path / "base")
    assert {"model.safetensors", "tokenizer.json"} <= {p.name for p in (tmp_path / "base").iterdir()}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    tokens = tokenizer("kaba lide")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(tokens)[0] == "[CLS]" and tokens[0] == 1 and tokens[-1] == 2
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "kaba lide"


@pytest.mark.parametrize("missing", ["tokenizer", "padding"])
def test_a_base_without_a_usable_tokenizer_is_an_error(tmp_path, missing):
    folder = write_encoder("xlm-roberta", tmp_path / "encoder")
    if missing == "tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        del settings["pad_token"]
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(XlmergeError, match="tokenizer" if missing == "tokenizer" else "no padding token"):
        build_base(str(folder), None, ["x", "y"], 0, tmp_path / "base")
    assert not (tmp_path / "base").exists()


class Malicious:
    """What a pickle of it would do when it is loaded: make a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.place),)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("weights", ["malicious", "malicious zip", "cut off", "empty", "safetensors cut off"])
def test_damaged_or_malicious_weights_are_an_error_and_never_run(tmp_path, weights):
    folder = write_encoder("xlm-roberta", tmp_path / "encoder")
    pickled = folder / "pytorch_model.bin"
    if weights == "safetensors cut off":
        cut(folder / "model.safetensors")
    else:
        (folder / "model.safetensors").unlink()
        harm = {"weight": Malicious(tmp_path / "harm")}
        contents = {"malicious": pickle.dumps(harm), "malicious zip": None, "cut off": None, "empty": b""}
        if (content := contents[weights]) is not None:
            pickled.write_bytes(content)
        else:
            torch.save(harm if weights == "malicious zip" else {"weight": torch.zeros(99)}, pickled)
        if weights == "cut off":
            cut(pickled)
    with pytest.raises(XlmergeError) as error:
        build_base(str(folder), None, ["x", "y"], 0, tmp_path / "base")
    said = str(error.value)
    assert str(folder) in said and "damaged" in said and "get the checkpoint again" in said.lower()
    assert "weights_only" not in said and "trusted" not in said
    assert not (tmp_path / "harm").exists() and not (tmp_path / "base").exists()


def test_an_adapter_is_called_one_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "xlm-roberta-base"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(XlmergeError, match=r"base: 'adapter' is an adapter, not a model: merge it into its base first"):
        load_study(preset("tiny", base="adapter"))
    with pytest.raises(XlmergeError, match=r"models\.de-DE: './adapter' is an adapter"):
        load_study(preset("tiny", models={"de-DE": "./adapter"}))


def test_a_base_in_the_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert encoder_folder("~/encoder") == "~/encoder"
    (tmp_path / "encoder").mkdir()
    assert encoder_folder("~/encoder") == str(tmp_path / "encoder")


def hub_cache(home: Path, name: str, encoder: Path) -> None:
    """Lay an encoder out as a download of the hub."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(encoder, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


ON_SUCH_A_MACHINE = """
import json, sys
from pathlib import Path
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.jobs.build_base import main

def build(name, folder):
    settings = {"base": {"name": name, "revision": None, "head_seed": 0}, "labels": ["x", "y"]}
    return main({}, {"model": f"{folder}/model", "digest": f"{folder}/base.digest"}, settings, 1)

print(json.dumps(build("somebody/tiny-xlm-r", "there")))
try:
    build("somebody/absent", "absent")
except XlmergeError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def without_a_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the base's job made and said on a machine without a network whose hub cache holds one encoder."""
    folder = tmp_path_factory.mktemp("hub")
    hub_cache(folder / "home", "somebody/tiny-xlm-r", write_encoder("xlm-roberta", folder / "encoder"))
    away = {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ON_SUCH_A_MACHINE],
        cwd=folder, env={**os.environ, **away}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout, encoding="utf-8")
    return folder


def test_a_hub_id_comes_from_the_cache_and_its_commit_is_recorded(without_a_network, tmp_path):
    first, *_ = (without_a_network / "said").read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {"commit": COMMIT}
    build_base(str(without_a_network / "encoder"), None, ["x", "y"], 0, tmp_path / "same")
    assert base_digest(without_a_network / "there/model") == base_digest(tmp_path / "same")


def test_an_encoder_that_cannot_be_fetched_is_named_with_the_remedy(without_a_network):
    said = " ".join((without_a_network / "said").read_text(encoding="utf-8").split())
    assert "'somebody/absent' is neither a folder" in said and "hf download somebody/absent" in said
    assert not (without_a_network / "absent/model").exists()
