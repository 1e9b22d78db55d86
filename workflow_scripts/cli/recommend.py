"""What a finished run says about one target: ``python -m workflow_scripts.cli.recommend --target sw-KE``."""

import argparse
import sys
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.core.errors import XlmergeError, unknown
from workflow_scripts.report.sections.advice import advice
from workflow_scripts.report.terminal import render_terminal
from workflow_scripts.study.study import load_study


def main(arguments: list[str]) -> int:
    """Print the advice; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="a locale of the run")
    parser.add_argument("--configfile", type=Path, default=Path(__file__).resolve().parents[2] / "config.yaml")
    parser.add_argument("--directory", type=Path, default=Path(), help="where results/ is")
    options = parser.parse_args(arguments)
    try:
        print(_advice(options.configfile, options.directory, options.target), end="")
    except XlmergeError as error:
        print(f"xlmerge: error: {error}", file=sys.stderr)
        return 1
    return 0


def _advice(configfile: Path, directory: Path, target: str) -> str:
    if not configfile.is_file():
        raise XlmergeError(f"there is no config {configfile}")
    study = load_study(yaml.safe_load(configfile.read_text(encoding="utf-8")))
    if target not in study.run.locales:
        raise XlmergeError(unknown("target", target, study.run.locales))
    systems, recommendations = (
        _table(directory / path, study.run.run, target)
        for path in (study.paths.evaluation.format(target=target), study.paths.recommendations)
    )
    if target not in set(recommendations["target"]):
        raise XlmergeError(f"{target} is a source of run {study.run.run!r}, but no experiment has it as a target")
    return render_terminal(advice(systems.fillna({"experiment": "", "model": ""}), recommendations, target))


def _table(path: Path, run: str, target: str) -> pd.DataFrame:
    if not path.is_file():
        raise XlmergeError(f"run {run!r} has no results for {target} yet ({path}): run snakemake first")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
