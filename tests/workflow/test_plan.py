"""`xlmerge plan`: what it foresees is what the next run does, or an upper bound that says so."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, XLMERGE, command, preset, python, snakemake, succeeded
from tests.workflow.events import rerun

LOCALES: list[str] = preset("tiny")["locales"]
N = len(LOCALES)
MERGES = 5 * N  # `average_all` is one


def plan(directory: Path, config: dict[str, Any], *arguments: str) -> str:
    """Return what the plan of a run says."""
    words = command(directory, config)
    options = words[words.index("--directory") : words.index("--cores")]
    return succeeded(python([XLMERGE, "plan", *options, *arguments], directory, {"PYTHONPATH": str(ROOT)}))


def stage(text: str, rule: str) -> str:
    """Return the lines of a rule in the plan's table as one."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{rule} "))
    end = next((i for i, line in enumerate(lines[start + 1 :], start + 1) if line[:1].strip()), len(lines))
    return re.sub(r" +", " ", " ".join(lines[start:end]))


def rules(text: str) -> list[str]:
    """Return the rules of the plan's table."""
    body = text[text.index("-----") : text.index("\nsum ")]
    return [line.split()[0] for line in body.splitlines()[1:] if line[:1].strip()]


def test_a_finished_run_has_nothing_to_do(tiny_run: Path) -> None:
    assert "nothing to be done" in plan(tiny_run, preset("tiny"))


def test_from_scratch_everything_is_due_and_estimated_from_measured_rates(tmp_path: Path) -> None:
    text = plan(tmp_path, preset("tiny"))
    assert not (tmp_path / "results").exists()
    assert f"at most {N} trainings" in stage(text, "finetune") and "not made yet" in stage(text, "finetune")
    assert f"at most {N * N} cells" in stage(text, "row")
    assert f"at most {MERGES} merges" in stage(text, "merge")
    assert "?" not in text and stage(text, "finetune").count("~") == 3, "CPU time, GPU time and disk"
    assert "Error of such estimates" in text


def test_the_reference_study_is_priced_before_anything_is_there(tmp_path: Path) -> None:
    text = plan(tmp_path, preset("massive"), "--gpus", "2", "--gpus", "32")
    assert not (tmp_path / "results").exists()
    assert "?" not in text and re.search(r"~\d+\.\d GPU-hours", text) and re.search(r"~\d+ CPU-hours", text)
    assert re.search(r"^GPUs +2 +32$", text, re.MULTILINE) and re.search(
        r"^wall time +~\S+ h +~\S+ min$", text, re.MULTILINE
    )
    assert "Disk: 49 task vectors of 371 MB, 18.2 GB (whole checkpoints would be 54.6 GB)" in text
    assert "GPU memory" in text and "Error of such estimates" in text


def test_an_encoder_of_unknown_size_is_said_with_the_remedy(tmp_path: Path) -> None:
    text = plan(tmp_path, preset("massive", base="somebody/encoder"))
    assert "?" in stage(text, "finetune") and "the size of somebody/encoder is not known before it is there" in text


def test_finished_jobs_are_preferred_to_rates_measured_elsewhere(tiny_copy: Path) -> None:
    shutil.rmtree(tiny_copy / "results/tiny/cache/cells")
    shutil.rmtree(tiny_copy / "results/tiny/nxn/rows/de-DE")
    cpu, gpu = re.findall(r"~?\d+ s\b", stage(plan(tiny_copy, preset("tiny")), "row"))
    assert not cpu.startswith("~") and gpu.startswith("~"), "the run knows its own device, not a GPU"


def test_results_that_the_cache_holds_are_not_counted_as_work(tiny_copy: Path) -> None:
    for name in ("nxn/rows/de-DE", "merge/de-DE"):
        shutil.rmtree(tiny_copy / "results/tiny" / name)
    text = plan(tiny_copy, preset("tiny"))
    assert "finetune" not in rules(text)
    assert f"0 cells; {N} in the cache" in stage(text, "row") and "not made yet (de-DE)" in stage(text, "row")
    shutil.rmtree(tiny_copy / "results/tiny/cache/cells")
    text = plan(tiny_copy, preset("tiny"))
    assert re.search(rf" {N} cells ", stage(text, "row")), "certain, not at most"


def test_merges_are_counted_exactly_while_the_selection_stands(tiny_copy: Path) -> None:
    shutil.rmtree(tiny_copy / "results/tiny/merge/de-DE")
    text = plan(tiny_copy, preset("tiny"))
    assert "select" not in rules(text)
    distinct = int(re.search(r"0 merges; (\d) in the cache", stage(text, "merge")).group(1))  # type: ignore[union-attr]
    shutil.rmtree(tiny_copy / "results/tiny/cache/merges")
    assert re.search(rf" {distinct} merges? ", stage(plan(tiny_copy, preset("tiny")), "merge"))
    _, computed = rerun(tiny_copy, preset("tiny"), "merges")
    assert computed["merges"] == distinct


def test_a_locale_added_is_foreseen(tiny_copy: Path) -> None:
    config = preset("tiny", locales=[*LOCALES, "fr-FR"])
    text = plan(tiny_copy, config)
    assert "at most 1 training " in stage(text, "finetune") and "not made yet (fr-FR)" in stage(text, "finetune")
    assert f"at most {2 * N + 1} cells; {N * N} in the cache" in stage(text, "row")
    assert f"at most {5 * (N + 1)} merges" in stage(text, "merge") and "perhaps, after select" in stage(text, "merge")
    assert "?" not in text, "all rules have finished jobs to estimate from"
    assert "`snakemake data`" in text
    succeeded(snakemake(tiny_copy, config, "data"))
    text = plan(tiny_copy, config)
    assert re.search(r" (?<!at most )1 training ", stage(text, "finetune")), "certain once the data are there"
    jobs, computed = rerun(tiny_copy, config)
    assert (computed["trainings"], computed["cells"]) == (1, 2 * N + 1)
    assert computed["merges"] <= 5 * (N + 1) and jobs["merge"] <= N + 1
    assert "nothing to be done" in plan(tiny_copy, config)


def test_reasons_name_what_changed(tiny_copy: Path) -> None:
    settings = preset("tiny")["finetune"]
    text = plan(tiny_copy, preset("tiny", finetune={**settings, "learning_rate": 2.0e-3}))
    assert f"changed settings ({', '.join(sorted(LOCALES))})" in stage(text, "finetune")
    assert re.search(rf" (?<!at most ){N} trainings ", stage(text, "finetune"))
    assert "after finetune" in stage(text, "row") and f"at most {N * N} cells" in stage(text, "row")


def test_a_bad_config_is_said_as_in_a_run(tiny_copy: Path) -> None:
    words = command(tiny_copy, preset("tiny", lables=["a"]))
    options = words[words.index("--directory") : words.index("--cores")]
    done = subprocess.run(
        [XLMERGE, "plan", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1 and "did you mean 'labels'" in (done.stdout + done.stderr).replace("\n", " ")
    assert "Traceback" not in done.stderr
