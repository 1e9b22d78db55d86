"""What is said of a run's stages: key numbers of what is there, whoever made it when."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workflow_scripts.core.paths import Paths
from workflow_scripts.running import stages


@pytest.fixture
def study(tmp_path: Path) -> Any:
    paths = Paths(**{name: f"{tmp_path}/{template}" for name, template in vars(Paths()).items()})
    locales = ["de", "en", "es"]
    return SimpleNamespace(paths=paths, run=SimpleNamespace(locales=locales, seeds=[0]), targets=locales)


def write(path: str, content: Any) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def test_stages_count_what_is_there_and_not_what_this_start_made(study: Any) -> None:
    paths, said = study.paths, stages.stage_sentences(study)
    for locale, accuracy in (("de", 0.9), ("en", 0.8)):
        write(paths.training.format(locale=locale, seed=0), {"best_validation_accuracy": accuracy})
        write(paths.merge_info.format(target=locale, seed=0), {"merges": 1})
    assert said["finetune"]() == "training: 2 of 3 models, mean validation accuracy 85.0 %"
    assert said["merge"]() == "merging: done for 2 of 3 targets"
    short = {"best_validation_accuracy": 0.8, "not_converged": "its loss was still falling"}
    write(paths.training.format(locale="en", seed=0), short)
    assert said["finetune"]().endswith("mean validation accuracy 85.0 %; not converged: en")
    write(paths.training.format(locale="en", seed=0), {"best_validation_accuracy": 0.8})
    write(paths.training.format(locale="es", seed=0), {"accuracy": 0.1})  # a model that was brought along
    assert said["finetune"]() == "training: 3 of 3 models, mean validation accuracy 85.0 %"
    assert said["train_baselines"]() == "trained baselines: done for 0 of 3 targets"
    study.run.seeds = [0, 1]
    assert stages.stage_sentences(study)["merge"]() == "merging: done for 2 of 6 targets and seeds"


def test_one_is_singular(study: Any) -> None:
    paths = study.paths
    study.run.locales = study.targets = ["de"]
    write(paths.training.format(locale="de", seed=0), {"best_validation_accuracy": 0.9})
    write(paths.merge_info.format(target="de", seed=0), {"merges": 1})
    write(paths.plan, {"m/de/0": {"target": "de"}, "average_all/de/0": {"target": "de", "baseline": True}})
    said = stages.stage_sentences(study)
    assert said["finetune"]() == "training: 1 of 1 model, mean validation accuracy 90.0 %"
    assert said["merge"]() == "merging: done for 1 of 1 target"
    assert said["select"]() == "selection: 1 merge planned for 1 target"
    assert stages.job_details(study)["merge"]({"target": "de", "seed": "0"}) == "1 merge"


def test_key_numbers_are_those_of_the_files(study: Any) -> None:
    paths, said, details = study.paths, stages.stage_sentences(study), stages.job_details(study)
    write(paths.matrix_test, "model,de,en\nde,0.9,0.5\nen,0.4,0.8\n")
    assert said["matrix"]() == "transfer: mean self accuracy 85.0 %, mean zero-shot 45.0 %"
    write(paths.evaluation.format(target="de"), "target,system,seed,accuracy\nde,merge,0,0.1\nde,merge,mean,0.6\n"
          "de,merge,mean,0.7\nde,best_zero_shot_val,mean,0.5\nde,english,mean,0.4\n")  # fmt: skip
    assert said["evaluate"]() == (
        "evaluation: mean of all merges 65.0 %, best other model, chosen on validation data 50.0 %, the pivot's model 40.0 %"
    )
    write(paths.row_cells.format(locale="de", seed=0), "model,seed,locale,split,accuracy\nde,0,de,test,0.71\n"
          "de,0,de,validation,0.1\nde,0,en,test,0.4\nde,0,es,test,0.5\n")  # fmt: skip
    assert details["row"]({"locale": "de", "seed": "0"}) == "own language 71.0 %, others 45.0 %"
    write(paths.training.format(locale="de", seed=0), {"best_validation_accuracy": 0.906})
    assert details["finetune"]({"locale": "de", "seed": "0"}) == "90.6 % on validation data"
    assert stages.evaluation([]) == "mean of all merges –"
