"""What a run says while it goes on, and at its end."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from workflow_scripts.study.progress import (
    StageProgress,
    baselines,
    evaluation,
    follow_stages,
    selection,
    training,
    transfer,
)


class Log(logging.Logger):
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[str] = []

    def info(self, message: object, *args: object, **_: Any) -> None:
        self.lines.append(str(message))


def follow(total: int) -> tuple[Log, Any]:
    log = Log()
    handler = StageProgress({"merge": lambda n: f"{n} merges", "evaluate": lambda n: f"{n} evaluated"}, log)

    def event(name: str, **fields: Any) -> None:
        handler.emit(SimpleNamespace(event=name, **fields))  # type: ignore[arg-type]

    event("run_info", stats={"merge": total, "evaluate": 1, "figures": 1})
    for job in range(3):
        event("job_info", jobid=job, rule_name="merge")
    return log, event


def test_a_stage_is_told_once_when_its_last_job_is_done() -> None:
    log, event = follow(total=3)
    for job, expected in enumerate([[], [], ["✓ 3 merges"]]):
        event("job_finished", job_id=job)
        assert log.lines == expected
    event("job_info", jobid=9, rule_name="write_report")
    assert log.lines == ["✓ 3 merges"], "no second time, and nothing of stages that had nothing to do"


def test_a_stage_with_less_to_do_than_announced_is_told_when_the_report_starts() -> None:
    log, event = follow(total=9)
    for job in range(3):
        event("job_finished", job_id=job)
    assert not log.lines
    event("job_info", jobid=9, rule_name="write_report")
    assert log.lines == ["✓ 3 merges"]


def test_a_key_number_that_cannot_be_read_does_not_end_the_run(tmp_path: Path) -> None:
    log = Log()
    handler = StageProgress({"matrix": lambda n: transfer(str(tmp_path / "missing.csv"))}, log)
    for fields in ({"event": "job_info", "jobid": 1, "rule_name": "matrix"}, {"event": "job_finished", "job_id": 1}):
        handler.emit(SimpleNamespace(**fields))  # type: ignore[arg-type]
    (line,) = log.lines
    assert line.startswith("✓ matrix: 1 jobs; the key number cannot be read: FileNotFoundError")


def test_other_events_and_plain_records_say_nothing() -> None:
    log, event = follow(total=3)
    event("job_finished", job_id=77)
    event("progress")
    StageProgress({}, log).emit(SimpleNamespace(msg="plain"))  # type: ignore[arg-type]
    assert not log.lines


def test_a_snakefile_parsed_again_is_not_heard_twice() -> None:
    log = Log()
    study: Any = SimpleNamespace(
        paths=SimpleNamespace(training="", evaluation="", trained_info="", matrix_test="", plan=""),
        run=SimpleNamespace(locales=[], seeds=[]),
        targets=[],
    )
    for _ in range(2):
        follow_stages(study, log)
    assert len(log.handlers) == 1


def test_key_numbers_are_those_of_the_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "b.json", "matrix.csv", "plan.json", "t.csv")]
    for file, value in zip(files, (0.9, 0.8), strict=False):
        file.write_text(json.dumps({"best_validation_accuracy": value}))
    files[2].write_text("model,de-DE,en-US\nde-DE,0.9,0.5\nen-US,0.4,0.8\n")
    entries = {
        "m/de/0": {"target": "de"},
        "m/en/0": {"target": "en"},
        "average_all/de/0": {"target": "de", "baseline": True},
    }
    files[3].write_text(json.dumps(entries))
    files[4].write_text(
        "target,system,seed,accuracy\nde,merge,0,0.1\nde,merge,mean,0.6\nde,merge,mean,0.7\nde,best_zero_shot_val,mean,0.5\n"
    )
    assert training([str(f) for f in files[:2]]) == "mean validation accuracy 85.0 %"
    assert training([str(f) for f in [*files[:1], tmp_path / "not made"]]) == "mean validation accuracy 90.0 %"
    (tmp_path / "trained.json").write_text('{"models": 3}')
    assert baselines([str(tmp_path / name) for name in ("trained.json", "not made")]) == "3 models"
    assert evaluation([]) == "merges –, best single source chosen on validation data –"
    assert transfer(str(files[2])) == "mean self accuracy 85.0 %, mean zero-shot 45.0 %"
    assert selection(str(files[3])) == "2 merges planned for 2 targets"
    assert evaluation([str(files[4])]) == "merges 65.0 %, best single source chosen on validation data 50.0 %"
