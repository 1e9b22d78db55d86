"""Every stage is killed, loses its Snakemake, or raises; plain reruns then give what an undisturbed run gives.

The disturbed run is one in which every stage has to change its outputs, while the old ones lie there: a stage whose
failure was forgotten would leave an old result that looks current. All faults happen in one directory, each in a run
that has first to repair the one before.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import command, copied, preset, shared, snakemake, succeeded
from tests.dataset import LOCALES, change_data, local_config, write_dataset

STAGES = {
    "examples": r"data/de-DE/train\.digest$",
    "base": r"base/base\.digest$",
    "finetune": r"models/de-DE/seed0/model\.digest$",
    "row": r"rows/de-DE/seed0/validation\.safetensors$",
    "matrix": r"evaluation_matrix_validation\.csv$",
    "similarity": r"similarity/NXN/seed0\.csv$",
    "select": r"selection/plan\.json$",
    "merge": r"merge/de-DE/seed0/validation\.safetensors$",
    "evaluate": r"evaluation/de-DE\.csv$",
    "analyse": r"report/claims\.csv$",
    "report": r"report/merge_details\.csv$",
    "figures": r"report/nxn_heatmap\.png$",
}
CONFIG = local_config(LOCALES)
CHANGED = {**CONFIG, "base": {"name": "tiny_encoder", "head_seed": 1}}
# One run each, in the order of the stages, so that a fault happens only if those before it are repaired. Stages that
# do not wait for each other raise in one run. Runs that lose their Snakemake are true commands.
FAULTS = [
    ("raise", ("examples", "base")), ("kill", ("base",)), ("head", ("finetune",)), ("kill", ("finetune",)),
    ("raise", ("finetune",)), ("kill", ("row",)), ("raise", ("row",)), ("raise", ("matrix",)), ("raise", ("similarity",)),
    ("head", ("select",)), ("raise", ("select",)), ("head", ("merge",)), ("kill", ("merge",)), ("raise", ("merge",)),
    ("raise", ("evaluate",)), ("raise", ("analyse",)), ("raise", ("report", "figures")),
]  # fmt: skip


def outcome(directory: Path) -> dict[str, str]:
    """Return the content of everything that a run makes and that must not depend on how it got there."""
    results = directory / "results" / "own"
    kept = [
        p
        for pattern in (
            "**/*.digest",
            "**/*.csv",
            "evaluation/*.parquet",
            "selection/plan.json",
            "report/*.json",
            "report/*.png",
        )
        for p in results.glob(pattern)
    ]
    return {str(p.relative_to(results)): p.read_bytes().hex() for p in sorted(kept) if "cache" not in p.parts}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory whose results are those of the first state while its cache holds both; do not change it."""
    yield from shared(tmp_path_factory, "faults", make_both_states)


def make_both_states(directory: Path) -> None:
    write_dataset(directory / "data", LOCALES)
    succeeded(snakemake(directory, CONFIG))
    first = directory / "first"
    shutil.copytree(directory / "data", first)
    for locale in LOCALES:
        for split in ("train", "dev", "test"):
            change_data(directory, locale, split)
    shutil.copytree(directory / "data", directory / "second")
    succeeded(snakemake(directory, CHANGED))
    second = outcome(directory)
    (directory / "second.json").write_text(json.dumps(second), encoding="utf-8")
    _use(directory, "first")
    succeeded(snakemake(directory, CONFIG))
    assert outcome(directory).keys() == second.keys()
    assert all(outcome(directory)[k] != second[k] for k in ("base/base.digest", "selection/plan.json"))


def _use(directory: Path, state: str) -> None:
    shutil.rmtree(directory / "data")
    shutil.copytree(directory / state, directory / "data", copy_function=shutil.copyfile)


@pytest.fixture
def second(undisturbed: Path) -> dict[str, str]:
    """What an undisturbed run of the second state gives."""
    return json.loads((undisturbed / "second.json").read_text(encoding="utf-8"))


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy in the first state, to disturb."""
    return copied(undisturbed, tmp_path)


def faulty(directory: Path, kind: str, pattern: str) -> list[str]:
    """Run the changed config with faults; return the files before which they happened."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    record = directory / "faults"
    record.write_text("")
    variables = {"XLMERGE_FAULT": f"{kind}:{pattern}", "XLMERGE_FAULT_RECORD": str(record), "PYTHONPATH": path}
    done = snakemake(directory, CHANGED, environment=variables, true=kind == "head")
    assert done.returncode != 0, "the fault did not happen"
    return record.read_text().splitlines()


def test_plain_reruns_repair_every_fault(run: Path, second: dict[str, str]) -> None:
    _use(run, "second")
    before: tuple[str, ...] = ()
    for kind, stages in FAULTS:
        happened = faulty(run, kind, "|".join(STAGES[stage] for stage in stages))
        for stage in stages:
            assert any(re.search(STAGES[stage], path) for path in happened), f"no {kind} at {stage}"
        now = outcome(run)
        for stage in set(before) - set(stages):
            repaired = [path for path in second if re.search(STAGES[stage], path)]
            assert all(now.get(path) == second[path] for path in repaired), f"{stage} is not repaired"
        assert now != second
        before = stages
    succeeded(snakemake(run, CHANGED))
    assert outcome(run) == second
    sidecars = [json.loads(p.read_text()) for p in (run / "results/own").glob("*/**/seed0/*.json")]
    computed = [s for s in sidecars if s.get("computed")]
    assert not computed, "something that was finished was made again"
    assert "Nothing to be done" in succeeded(snakemake(run, CHANGED))


def test_every_stage_has_a_fault() -> None:
    assert {stage for kind, stages in FAULTS if kind == "raise" for stage in stages} == STAGES.keys()


def test_training_resumes_after_a_kill_and_ends_the_same(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", LOCALES)
    config = local_config(LOCALES, finetune={**preset("tiny")["finetune"], "epochs": 40})
    model = tmp_path / "results/own/models/de-DE/seed0/model.digest"
    target, scratch = str(model.relative_to(tmp_path)), tmp_path / "results/own/cache/training"
    succeeded(snakemake(tmp_path, config, target))
    whole = model.read_text()
    shutil.rmtree(tmp_path / "results/own/models")
    shutil.rmtree(tmp_path / "results/own/cache")
    head = subprocess.Popen(
        command(tmp_path, config, target), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    deadline = time.time() + 120
    while last_checkpoint(scratch) < 60 and time.time() < deadline and head.poll() is None:
        time.sleep(0.02)
    head.kill()
    head.wait()
    time.sleep(1)
    reached = last_checkpoint(scratch)
    assert reached >= 60 and not model.exists(), "the training was not caught in the middle"
    succeeded(snakemake(tmp_path, config, target))
    assert model.read_text() == whole
    log = (tmp_path / "results/own/logs/finetune/de-DE-seed0.log").read_text()
    assert f"resuming from checkpoint-{reached}" in log
    assert not list(scratch.iterdir()), "the checkpoints were left behind"


def last_checkpoint(scratch: Path) -> int:
    """Return the step of the last complete checkpoint."""
    states = scratch.glob("*/attempt-0/checkpoint-*/trainer_state.json")
    return max((int(p.parent.name.rsplit("-", 1)[1]) for p in states), default=0)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flip", "truncate"])
@pytest.mark.parametrize(
    "file", ["models/de-DE/seed0/model.safetensors", "data/de-DE/test.parquet", "base/model/model.safetensors"]
)
def test_a_damaged_file_is_named(file: str, how: str, run: Path) -> None:
    path = run / "results/own" / file
    if how == "flip":
        damage(path)
    else:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[: len(content) // 2])
    shutil.rmtree(run / "results/own/nxn/rows")
    shutil.rmtree(run / "results/own/cache/cells")
    done = snakemake(run, CONFIG)
    assert done.returncode == 1
    text = done.stdout.replace("\n", "")
    named = file.removesuffix("/model.safetensors") if file.startswith("base") else file
    assert "damaged" in text and named in text, done.stdout[-3000:]


def test_a_damaged_cell_or_model_in_the_cache_is_made_again(run: Path) -> None:
    before = outcome(run)
    results = run / "results/own"
    for path in [
        *(results / "cache/cells").rglob("*.safetensors"),
        *(results / "cache/models").glob("*/*/model.safetensors"),
    ]:
        damage(path)
    for name in ("models", "nxn", "merge"):
        shutil.rmtree(results / name)
    succeeded(snakemake(run, CONFIG))
    assert outcome(run) == before
    logs = "".join(p.read_text() for p in (results / "logs").rglob("*.log"))
    dropped = re.findall(r"dropping a damaged entry of the cache: \S+/cache/(\w+)/", logs)
    assert {"cells", "models"} <= set(dropped)


def test_a_second_snakemake_is_refused(run: Path) -> None:
    (run / "results/own/report/report.md").unlink()
    holder = "import fcntl, time; f = open('results/own/.lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder], cwd=run, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    try:
        done = snakemake(run, CONFIG)
        assert done.returncode == 1 and "another Snakemake is working on run 'own'" in done.stdout.replace("\n", " ")
    finally:
        process.kill()
        process.wait()
    succeeded(snakemake(run, CONFIG))


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small tmpfs needs root on Linux")
def test_a_full_disk_loses_nothing(undisturbed: Path, second: dict[str, str], tmp_path: Path) -> None:
    directory = tmp_path / "small"
    directory.mkdir()
    size = int(subprocess.run(["du", "-sk", undisturbed], capture_output=True, text=True, check=True).stdout.split()[0])
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + 3000}k", "tmpfs", directory], check=False)
    if mount.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        shutil.copytree(undisturbed, directory, symlinks=True, dirs_exist_ok=True)
        _use(directory, "second")
        filler = directory / "filler"
        free = shutil.disk_usage(directory).free
        filler.write_bytes(b"\0" * max(0, free - 16_000))
        done = snakemake(directory, CHANGED)
        assert done.returncode != 0, "the disk was not full"
        filler.unlink()
        succeeded(snakemake(directory, CHANGED))
        assert outcome(directory) == second
    finally:
        time.sleep(0.5)
        subprocess.run(["umount", "-l", directory], check=False)
