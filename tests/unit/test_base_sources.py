"""Where θ₀'s encoder comes from: older checkpoint layouts, and the hub with the network switched off."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.conftest import ROOT, preset, snakemake, succeeded
from tests.unit.architectures import ENCODERS, WORDS, write_encoder
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.base import build_base
from workflow_scripts.models.checkpoints import base_digest

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


def hub_cache(home: Path, name: str, encoder: Path) -> None:
    """Lay an encoder out as a download of the hub."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(encoder, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine without a network whose hub cache holds one encoder."""
    folder = tmp_path_factory.mktemp("hub")
    hub_cache(folder / "home", "somebody/tiny-xlm-r", write_encoder("xlm-roberta", folder / "encoder"))
    return {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}


def build(name: str, out: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = "import sys; from workflow_scripts.models.base import build_base; "
    code += "print('commit', build_base(sys.argv[1], None, ['x', 'y'], 0, sys.argv[2]))"
    return subprocess.run(
        [sys.executable, "-c", code, name, str(out)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_hub_id_comes_from_the_cache_when_there_is_no_network(offline, tmp_path):
    done = build("somebody/tiny-xlm-r", tmp_path / "base", offline)
    assert f"commit {COMMIT}" in done.stdout, done.stderr
    encoder = Path(offline["HF_HOME"]) / "hub/models--somebody--tiny-xlm-r/snapshots" / COMMIT
    build_base(str(encoder), None, ["x", "y"], 0, tmp_path / "same")
    assert base_digest(tmp_path / "base") == base_digest(tmp_path / "same")


def test_a_run_says_what_to_do_when_a_hub_id_cannot_be_fetched(offline, tmp_path):
    done = snakemake(
        tmp_path,
        preset("tiny", base="somebody/absent"),
        "results/tiny/base/base.digest",
        environment=offline,
        true=True,
    )
    assert done.returncode == 1 and not (tmp_path / "results/tiny/base/model").exists()
    text = " ".join(done.stdout.split())
    assert "'somebody/absent' cannot be loaded" in text and "hf download somebody/absent" in text


def test_the_sidecar_names_the_commit_of_a_hub_id(offline, tmp_path):
    succeeded(
        snakemake(
            tmp_path,
            preset("tiny", base="somebody/tiny-xlm-r"),
            "results/tiny/base/base.digest",
            environment=offline,
            true=True,
        )
    )
    assert json.loads((tmp_path / "results/tiny/base/base.json").read_text())["commit"] == COMMIT
