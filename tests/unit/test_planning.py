"""Counting and pricing of due work, against figures worked out by hand."""

import json
import math

import pytest

from workflow_scripts.core.words import duration, hours, size
from workflow_scripts.planning.estimates import Estimate, estimate, price_of_finished
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.overview import reasons
from workflow_scripts.planning.work import Foreseen, Work


def job(rule="row", subject="", reasons=(), seconds=None, **outputs):
    return Job(rule, subject, {}, {k: str(v) for k, v in outputs.items()}, None, tuple(reasons), seconds)


def work(*jobs):
    found = Work()
    for states in jobs:
        found.add(states)
    return found


def by_finished(rule, jobs, counted):
    return estimate(jobs, counted, price_of_finished(rule, jobs, counted))


def test_work_keeps_certain_and_possible_things_apart():
    found = work([True, False, None], [True, True], [None])
    assert (found.cached, found.computed, found.unknown, found.most, found.jobs) == (3, 1, 2, 3, 2)


def test_digests_of_due_jobs_are_unknown_until_foreseen(tmp_path):
    for name in ("old", "due"):
        (tmp_path / name).write_text("before\n")
    digest = Foreseen([job(digest=tmp_path / "old"), job(digest=tmp_path / "due", reasons=["forced"])])
    assert digest(str(tmp_path / "old")) == "before"
    assert digest(str(tmp_path / "due")) is None
    digest.foresee(str(tmp_path / "due"), "after")
    assert digest(str(tmp_path / "due")) == "after"


@pytest.fixture
def rows(tmp_path):
    """Three finished rows of four cells each: 5, 6 and 7 s to get ready, 2, 3 and 10 s per cell; files of 800 bytes."""
    jobs = []
    for i, (setup, cell) in enumerate([(5, 2), (6, 3), (7, 10)]):
        pack, info = tmp_path / f"{i}.safetensors", tmp_path / f"{i}.json"
        wall = setup + 4 * cell
        cost = {"wall_seconds": wall, "cpu_seconds": 2 * wall, "gpu_seconds": 0.0, "setup_seconds": setup, "setups": 1}
        info.write_text(json.dumps({"cells": 4, "making_cost": cost}))
        pack.write_bytes(b"x" * (800 - info.stat().st_size))
        jobs.append(job(reasons=["changed code"], test=pack, info=info))
    return jobs


def test_an_estimate_is_medians_times_what_is_computed(rows):
    found = by_finished("row", rows, work([False, None, True, True], [None] * 4, [True] * 4))
    seconds = 6 * 3 + 2 * 6  # six cells in two rows
    assert found == Estimate(seconds, 2 * seconds, 0.0, 6 * 2 * 800 / 4)  # in the row and in the cache


def test_what_is_cached_costs_nothing(rows):
    assert by_finished("row", rows, work([True] * 4)) == Estimate(0, 0, 0, 0)
    assert by_finished("row", [job(info="missing", reasons=["x"])], work([True])) == Estimate(0, 0, 0, 0)


def test_without_a_finished_job_there_is_no_estimate(rows):
    assert by_finished("row", [job(info="missing", reasons=["x"])], work([None])) is None
    assert by_finished("matrix", [job("matrix", cells="missing", reasons=["x"], seconds=3.0)], None) is None


def test_light_jobs_cost_what_snakemake_recorded(tmp_path):
    there = tmp_path / "there.csv"
    there.write_bytes(b"x" * 100)
    done = [job("evaluate", seconds=s, table=there) for s in (1.0, 2.0, 9.0)]
    due = [job("evaluate", reasons=["x"], table=tmp_path / "a.csv"), job("evaluate", reasons=["x"], table=there)]
    assert by_finished("evaluate", done + due, None) == Estimate(4.0, 4.0, 0.0, 100.0)  # one file is new


def test_reasons_are_grouped_and_name_a_few():
    changed = [job(subject=name, reasons=["changed data", "changed code"]) for name in ("sw-KE", "sw-KE", "de-DE")]
    after = [job(subject=name, reasons=["after row"]) for name in "abcde"]
    assert reasons(changed + after, 9) == ["changed data (sw-KE, de-DE)", "after row (a, b, c and 2 more)"]
    assert reasons(after, 5) == ["after row (all 5)"]
    assert reasons([job(reasons=["not made yet"])], 1) == ["not made yet"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (90, "2 min"), (9000, "2.5 h"), (216000, "2.5 days"), (math.inf, "–")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 MB"), (12.3e6, "12 MB"), (1.5e9, "1.5 GB"), (2.2e12, "2.2 TB")])
def test_sizes(count, text):
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(360, "0.1"), (359000, "99.7"), (720000, "200")])
def test_hours(seconds, text):
    assert hours(seconds) == text
