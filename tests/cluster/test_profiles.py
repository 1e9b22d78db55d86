"""The profiles without a cluster: what they ask for by model size and attempt, and that they fit the rules."""

import asyncio
import re
import types
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser
from snakemake.resources import Resource

from tests.conftest import ROOT

MB = 2**20


def read(name: str) -> dict[str, Any]:
    """Return a profile as Snakemake understands it."""
    with open(ROOT / "profiles" / name / "config.yaml") as stream:
        return dict(ProfileConfigFileParser().parse(stream))


def resources(profile: dict[str, Any], key: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in profile[key])


@pytest.fixture
def xlm_roberta_base(tmp_path: Path) -> Path:
    """A folder as large as XLM-R base in float32, without its content."""
    (tmp_path / "tokenizer.json").write_text("{}" * 1000)
    with open(tmp_path / "model.safetensors", "wb") as weights:
        weights.truncate(1112 * MB)
    return tmp_path


def asked(expression: str, name: str, base: Path, attempt: int) -> Any:
    """Return what a job of the 49-locale study asks for."""
    tables = [f"{i}.parquet" for i in range(49)]
    job_input = types.SimpleNamespace(base=str(base), test_tables=tables, size_mb=0.6)
    value = Resource.from_cli_expression(name, expression)
    return value.evaluate(None, input=job_input, attempt=attempt, threads=1, rulename="", async_run=asyncio.run).value


@pytest.mark.parametrize(
    ("rule", "memory", "minutes"), [("finetune", 9560, 207), ("row", 7826, 302), ("merge", 9560, 252)]
)
def test_requests_grow_with_the_model_and_the_attempt(
    rule: str, memory: int, minutes: int, xlm_roberta_base: Path, tmp_path: Path
) -> None:
    wanted = resources(read("slurm"), "set-resources")
    for name, expected in (("mem_mb", memory), ("runtime", minutes)):
        first, second = (asked(wanted[f"{rule}:{name}"], name, xlm_roberta_base, attempt) for attempt in (1, 2))
        assert first == expected and second in {2 * first, 2 * first + 1}
        before_the_base_is_there = asked(wanted[f"{rule}:{name}"], name, tmp_path / "missing", 1)
        assert isinstance(before_the_base_is_there, int) and before_the_base_is_there < first


def test_every_job_asks_for_one_gpu_of_the_gpu_partition(tmp_path: Path) -> None:
    wanted = resources(read("slurm"), "default-resources")
    assert {k: asked(wanted[k], k, tmp_path, 2) for k in wanted} == {
        "slurm_partition": "gpu", "gres": "gpu:1", "cpus_per_task": 2, "mem_mb": 16_000, "runtime": 120,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["slurm", "workstation"])
def test_profiles_name_the_rules_that_are_not_local(name: str) -> None:
    blocks = [
        b for f in (ROOT / "rules").glob("*.smk") for b in re.split(r"(?m)^(?=rule |checkpoint )", f.read_text())[1:]
    ]
    submitted = {re.split(r"[ :]", b)[1] for b in blocks if "localrule: True" not in b}
    assert {key.split(":")[0] for key in read(name)["set-resources"]} == submitted


@pytest.mark.parametrize("name", ["slurm", "workstation"])
def test_no_key_stands_in_the_default_profile_too(name: str) -> None:
    assert not read(name).keys() & read("default").keys()


def test_retries_are_the_cluster_s_only() -> None:
    assert read("slurm")["retries"] == "2"
    assert "retries" not in read("default") and "retries" not in read("workstation")
    assert not [f for f in (ROOT / "rules").glob("*.smk") if re.search(r"(?m)^\s*(retries|group):", f.read_text())]


def test_profile_slurm_is_found_from_the_root() -> None:
    assert (ROOT / "slurm").is_symlink() and (ROOT / "slurm/config.yaml").samefile(ROOT / "profiles/slurm/config.yaml")


def test_lines_to_edit_are_valid_yaml_when_uncommented() -> None:
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    uncommented = re.sub(r"(?m)^( *)# ([a-z-]+(_[a-z]+)*: )", r"\1\2", text)
    settings = yaml.safe_load(uncommented)
    assert {"slurm_account", "qos"} <= settings["default-resources"].keys()
    assert settings["set-resources"]["merge"]["tmpdir"] == "$SLURM_TMPDIR"
    assert settings["slurm-array-jobs"] == "finetune, merge" and settings["groups"] == {"merge": "merges"}
