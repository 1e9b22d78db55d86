"""Counting what a rerun did: jobs per rule from their logs' times, trainings, cells and merges from the sidecars."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.conftest import snakemake, succeeded

MADE_BY = {"finetune": "trainings", "row": "cells", "merge": "merges"}
STEP = 0.05  # seconds between a mark and what follows it, so that modification times can tell


class Watch:
    """Counts what happens to a run's results after its making.

    Parameters
    ----------
    results : path
        ``results/{run}``.
    """

    def __init__(self, results: Path) -> None:
        time.sleep(STEP)
        self.results, self.start = results, time.time()
        time.sleep(STEP)

    def jobs(self) -> dict[str, int]:
        """Return the number of jobs that ran, by rule."""
        logs = (p for p in (self.results / "logs").rglob("*.log") if p.stat().st_mtime > self.start)
        return dict(Counter(p.parent.name for p in logs))

    def computed(self) -> dict[str, int]:
        """Return the trainings, cells and merges that were computed, not looked up."""
        counts = {"trainings": 0, "cells": 0, "merges": 0}
        for path in self.results.rglob("seed*/*.json"):
            if path.stat().st_mtime > self.start:
                sidecar = json.loads(path.read_text(encoding="utf-8"))
                if what := MADE_BY.get(sidecar.get("rule")):
                    counts[what] += len(sidecar["computed"])
        return counts


def rerun(
    directory: Path, config: dict[str, Any], *targets: str, **options: Any
) -> tuple[dict[str, int], dict[str, int]]:
    """Run once more; return the jobs by rule and what was computed."""
    watch = Watch(directory / "results" / config["run"])
    succeeded(snakemake(directory, config, *targets, **options))
    return watch.jobs(), watch.computed()
