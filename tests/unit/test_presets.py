"""Presets: each is a valid run; questions go on top of one; blocks of the older runner work as they are."""

from math import ceil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

from tests.conftest import ROOT, preset
from workflow_scripts.cli.compare_command import comparison
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.length import length_of
from workflow_scripts.study.study import Study, load_study

PRESETS = sorted(p.stem for p in (ROOT / "presets").glob("*.yaml"))
QUESTIONS = sorted(p.stem for p in (ROOT / "presets/questions").glob("*.yaml"))
OLDER_BLOCK = """
- name: constructive_targets_only
  fixed: {method: similarity, num_languages: 5, model_family: xlm-roberta-base, locales: [sw-KE]}
  sweep: {similarity_type: [REAL], include_target: [false]}
"""


def on_top(run: str, question: str) -> Study:
    """Return a preset with a question's file on top, put together as Snakemake does it."""
    config: dict = {}
    for path in (f"presets/{run}.yaml", f"presets/questions/{question}.yaml"):
        update_config(config, load_configfile(str(ROOT / path)))
    return load_study(config)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_run(name: str) -> None:
    study = load_study(preset(name))
    assert study.run.run == name and study.experiments


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("run", ["study", "massive"])
def test_a_question_replaces_the_experiments_and_nothing_that_models_depend_on(run: str, question: str) -> None:
    study, plain = on_top(run, question), load_study(preset(run))
    assert all(a.startswith(question) for e in study.experiments.values() for a in e.ablations)
    kept = [
        "run",
        "locales",
        "seeds",
        "data",
        "base",
        "evaluation",
        *(["finetune"] if question != "training_length" else []),
    ]
    assert study.run.model_dump(include=set(kept)) == plain.run.model_dump(include=set(kept))


def test_the_questions_ask_what_they_say() -> None:
    settings = {q: [e.settings for e in on_top("study", q).experiments.values()] for q in QUESTIONS}
    assert {s["similarity_type"] for s in settings["measured_transfer"]} >= {"NXN", "URIEL", "REAL"}
    assert {s["num_languages"] for s in settings["more_sources"]} == {2, 3, 5}
    assert {s["include_target"] for s in settings["target_in_or_out"]} == {False, True}
    assert len({s["similarity_type"] for s in settings["other_similarities"]}) == 10
    assert {s["method"] for s in settings["ensembles_instead"]} == {"average", "ties", "regmean"}
    lengths = on_top("study", "training_length").run.finetune
    assert length_of(lengths.model_dump(), 320).most == 3 * ceil(320 / lengths.batch_size), "exactly so many epochs"
    assert lengths.early_stopping == 0


def test_the_study_gains_no_training_from_a_question() -> None:
    models = {q: (on_top("study", q).run.locales, on_top("study", q).run.seeds) for q in QUESTIONS}
    assert all(m == models[QUESTIONS[0]] for m in models.values())


def test_a_block_of_the_older_runner_works_as_it_is() -> None:
    study = load_study(preset("massive", ablations=yaml.safe_load(OLDER_BLOCK)))
    (experiment,) = study.experiments.values()
    assert experiment.name == "similarity_REAL_k5_exc" and experiment.targets == ["sw-KE"]
    assert experiment.ablations == ["constructive_targets_only"]
    assert experiment.settings["selector"] == "top_k" and experiment.settings["include_target"] is False


def test_an_older_block_for_another_model_family_is_an_error() -> None:
    blocks = yaml.safe_load(OLDER_BLOCK)
    blocks[0]["fixed"]["model_family"] = "xlm-roberta-large"
    with pytest.raises(XlmergeError, match=r"xlm-roberta-large.*xlm-roberta-base.*one run per base"):
        load_study(preset("massive", ablations=blocks))


def test_blocks_share_the_merges_that_coincide() -> None:
    blocks = yaml.safe_load(OLDER_BLOCK)
    blocks.append({"name": "all", "fixed": {**blocks[0]["fixed"], "similarity_type": "REAL"}})
    del blocks[1]["fixed"]["locales"]
    (experiment,) = load_study(preset("massive", ablations=blocks)).experiments.values()
    assert experiment.ablations == ["constructive_targets_only", "all"]
    assert len(experiment.targets) == len(preset("massive")["locales"])


def test_runs_of_several_lengths_are_compared_on_the_targets_that_all_have(tmp_path: Path) -> None:
    folders = []
    for epochs, targets in ((3, ["a", "b"]), (10, ["a", "b", "c"])):
        folders.append(tmp_path / f"epochs{epochs}")
        (folders[-1] / "report").mkdir(parents=True)
        values = {"self": 0.7 + epochs / 50, "mean_zero_shot": 0.5, "best_zero_shot_val": 0.6, "chosen_merge": 0.58}
        rows = [{"target": t, **values, **({"self": 0.0} if t == "c" else {})} for t in targets]
        pd.DataFrame(rows).to_csv(folders[-1] / "report/cross_lingual_summary.csv", index=False)
    lines = comparison(folders).split("\n")
    assert lines[0] == "Mean test accuracy over 2 targets."
    assert lines[-2].split() == ["epochs3", "76.0", "%", "50.0", "%", "60.0", "%", "58.0", "%", "-2.0"]
    assert lines[-1].split()[:3] == ["epochs10", "90.0", "%"]
    with pytest.raises(XlmergeError, match="is no folder of a finished run"):
        comparison([tmp_path])


def test_questions_explain_how_they_are_run() -> None:
    for question in QUESTIONS:
        text = Path(ROOT / f"presets/questions/{question}.yaml").read_text(encoding="utf-8")
        assert f"--configfile presets/study.yaml presets/questions/{question}.yaml" in text
