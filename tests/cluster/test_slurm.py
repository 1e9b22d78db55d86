"""The workflow on a real Slurm: the tiny preset with the profile as it is, faults that only a cluster has, reruns."""

import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.checkout import Checkout, kill, outcome
from tests.cluster.one_node_slurm import OneNodeSlurm
from tests.conftest import preset

pytestmark = pytest.mark.cluster
LOCALES: list[str] = preset("tiny")["locales"]
STARVED_MB = 200
SUBMITTED = {"finetune", "row", "merge"}


@pytest.fixture(scope="module")
def finished(cluster: OneNodeSlurm, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the documented command has run once, undisturbed; do not change it."""
    checkout = Checkout.fresh(tmp_path_factory.mktemp("slurm"), cluster)
    checkout.run()
    return checkout


def memory(job: dict[str, str]) -> int:
    """Return the memory that a job asked for, in MB."""
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)([MG])", job["MinMemoryNode"]).groups()  # type: ignore[union-attr]
    return round(float(number) * {"M": 1, "G": 1024}[unit])


def rule(job: dict[str, str]) -> str:
    return job["Comment"].split("_")[1]


def test_results_equal_those_of_a_local_run(finished: Checkout, tiny_run: Path) -> None:
    here, local = outcome(finished.results), outcome(tiny_run / "results" / "tiny")
    assert here.keys() == local.keys() and len(here) > 50
    assert [name for name in here if here[name] != local[name]] == []


def test_gpu_work_is_submitted_and_light_work_is_not(finished: Checkout) -> None:
    jobs = finished.jobs()
    assert sorted(rule(j) for j in jobs) == sorted(list(SUBMITTED) * len(LOCALES))
    for job in jobs:
        assert job["JobState"] == "COMPLETED" and job["Partition"] == "gpu", job
        assert job["TresPerNode"] == "gres:gpu:1" and job["NumCPUs"] == "2", job
        assert 4000 <= memory(job) <= 5000 and job["TimeLimit"] == "00:30:00", job  # the encoder is tiny
        assert job["JobName"].startswith("xlmerge_") and job["Requeue"] == "1", job


def test_a_gpu_is_granted_to_one_job_at_a_time(finished: Checkout) -> None:
    jobs = {job["JobId"] for job in finished.jobs()}
    events = [e for e in finished.cluster.events() if e.job in jobs]
    ends = {e.job: e.time for e in events if e.what == "end"}
    granted = {e.job: (e.gpu, e.time, ends[e.job]) for e in events if e.what == "start"}
    assert granted.keys() == jobs
    assert {gpu for gpu, *_ in granted.values()} == {"0", "1"}, "one of the GPUs was never used"
    for gpu in ("0", "1"):
        spans = sorted((start, end) for g, start, end in granted.values() if g == gpu)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans


def test_logs_carry_the_locale_and_those_of_slurm_stay_only_after_a_failure(finished: Checkout) -> None:
    for name in SUBMITTED:
        assert {p.name for p in (finished.results / "logs" / name).iterdir()} == {f"{x}-seed0.log" for x in LOCALES}
    assert not list(finished.folder.glob(".snakemake/slurm_logs/**/*.log"))
    assert "slurm_logs/rule_finetune/de-DE_0/" in finished.output.read_text().replace("\n", "")


@dataclass
class Rough:
    """A run with one fault of each kind, and what was seen on the way."""

    checkout: Checkout
    preempted: str  # locale whose training lost its GPU after its first checkpoint; also the row with too little memory
    orphaned: str  # locale in whose training Snakemake was killed
    cancelled: str  # locale whose training was cancelled


@pytest.fixture(scope="module")
def rough(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Rough:
    """Preempt a training; kill Snakemake in another and hold the orphan back; run again, cancel, starve a row."""
    checkout = finished.copy(tmp_path_factory.mktemp("rough") / "checkout")
    cluster = checkout.cluster
    for folder in set(checkout.results.iterdir()) - {checkout.results / "data", checkout.results / "base"}:
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    preempted = LOCALES[0]
    starve(checkout, preempted)

    head = checkout.start(f"results/tiny/models/{preempted}/seed0/model.safetensors")
    job = checkout.started("finetune", preempted)
    checkout.hold_training(job)
    cluster.run("sbatch", "--partition=urgent", "--gres=gpu:2", "--output=/dev/null", "--wrap=true")
    checkout.until(lambda: checkout.jobs("finetune")[0]["JobState"] == "PENDING", "the training is preempted")
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")  # Slurm waits two minutes before it tries again
    checkout.finish(head)

    head = checkout.start("models", "--jobs", "1")
    checkout.until(lambda: len(checkout.jobs("finetune")) == 2, "the second training is submitted")
    orphan = checkout.jobs("finetune")[1]
    orphaned = locale_of(orphan)
    held = checkout.hold_training(orphan["JobId"])
    kill(head)

    head = checkout.start()
    cancelled = next(locale for locale in LOCALES if locale not in {preempted, orphaned})
    seen: dict[str, float] = {}

    def both_seen() -> bool:
        """Cancel the one training as soon as it runs; let the orphan go on when its twin has run for a while."""
        now = time.monotonic()
        if "cancel" not in seen and checkout.runs("finetune", cancelled):
            cluster.run("scancel", checkout.jobs("finetune", cancelled)[0]["JobId"])
            seen["cancel"] = now
        if "twin" not in seen and checkout.runs("finetune", orphaned, attempt=2):
            seen["twin"] = now
        if "late" not in seen and now > seen.get("twin", now) + 8:
            os.kill(held, signal.SIGCONT)
            seen["late"] = now
        return {"cancel", "late"} <= seen.keys()

    checkout.until(both_seen, "one training is cancelled, and the orphan has a twin")
    checkout.finish(head)
    return Rough(checkout, preempted, orphaned, cancelled)


def starve(checkout: Checkout, locale: str) -> None:
    """Edit the profile as a user would: the first attempt at one row gets far too little memory."""
    path = checkout.folder / "profiles" / "slurm" / "config.yaml"
    text = path.read_text()
    row = text.index("mem_mb: ", text.index("\n  row:")) + len("mem_mb: ")
    end = text.index("\n", row)
    value = text[row:end].removeprefix("?f").strip().strip('"')
    path.write_text(
        f"{text[:row]}?f\"{STARVED_MB} if attempt == 1 and wildcards.locale == '{locale}' else {value}\"{text[end:]}"
    )


def locale_of(job: dict[str, str]) -> str:
    return job["Comment"].split("_")[-2]


def test_after_all_faults_results_equal_those_of_a_local_run(rough: Rough, tiny_run: Path) -> None:
    here, local = outcome(rough.checkout.results), outcome(tiny_run / "results" / "tiny")
    assert [name for name in local if here.get(name) != local[name]] == [] and here.keys() == local.keys()
    assert not list(rough.checkout.results.rglob("*.tmp"))


def test_a_preempted_training_goes_on_from_its_checkpoint(rough: Rough) -> None:
    (job,) = rough.checkout.jobs("finetune", rough.preempted)
    assert job["JobState"] == "COMPLETED" and job["Restarts"] == "1"
    log = rough.checkout.results / "logs" / "finetune" / f"{rough.preempted}-seed0.log"
    assert "resuming from checkpoint-" in log.read_text()


def test_a_cancelled_job_is_submitted_again_and_asks_for_more(rough: Rough) -> None:
    first, second = rough.checkout.jobs("finetune", rough.cancelled)
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert memory(second) == 2 * memory(first) and second["TimeLimit"] == "01:00:00"


def test_a_job_killed_for_its_memory_is_submitted_again_with_more(rough: Rough) -> None:
    first, second = rough.checkout.jobs("row", rough.preempted)
    assert first["JobState"] in {"FAILED", "OUT_OF_MEMORY"} and memory(first) == STARVED_MB
    assert second["JobState"] == "COMPLETED" and memory(second) >= 8000
    log = rough.checkout.folder / f".snakemake/slurm_logs/rule_row/{rough.preempted}_0/{first['JobId']}.log"
    assert "exceeded memory limit" in log.read_text()


def test_an_orphan_of_a_killed_snakemake_is_waited_for(rough: Rough) -> None:
    orphan, twin = rough.checkout.jobs("finetune", rough.orphaned)
    assert (orphan["JobState"], twin["JobState"]) == ("COMPLETED", "COMPLETED"), "one disturbed the other"
    sidecar = json.loads((rough.checkout.results / "models" / rough.orphaned / "seed0/model.json").read_text())
    assert sidecar["computed"] == [], "the twin trained again instead of taking the orphan's model"


def test_one_locale_changed_costs_one_training(finished: Checkout, tmp_path: Path) -> None:
    checkout = finished.copy(tmp_path / "changed")
    values = checkout.folder / "workflow_scripts/data/providers/home_assistant/values/de-DE.json"
    values.write_text(values.read_text().replace('"Küche"', '"Kombüse"').replace('"Stehlampe"', '"Leselampe"'))
    checkout.run("nxn")  # merges and what follows are as on any machine
    assert [j["Comment"] for j in checkout.jobs("finetune")] == ["rule_finetune_wildcards_de-DE_0"]
    rows = [json.loads(p.read_text()) for p in checkout.results.glob("nxn/rows/*/seed0/row.json")]
    assert sum(len(r["computed"]) for r in rows) == 2 * len(LOCALES) - 1


def test_why_sbatch_refused_is_said_at_the_end(finished: Checkout, tmp_path: Path) -> None:
    checkout = finished.copy(tmp_path / "refused")
    profile = checkout.folder / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text().replace("slurm_partition: gpu", "slurm_partition: nowhere"))
    shutil.rmtree(checkout.results / "models")
    head = checkout.start("models", "--retries", "0")
    assert head.wait(timeout=120) == 1
    said = checkout.output.read_text().split("Cleaning up SLURM log files")[-1]
    assert said.count("xlmerge: SLURM sbatch failed.") == 1 and "invalid partition specified: nowhere" in said
    assert "Traceback" not in said
