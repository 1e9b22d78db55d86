"""The one table of systems: nothing else lists them, and a new baseline is one row plus its computation."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.synthetic_runs import BASELINES, Synthetic, settings
from workflow_scripts.core.atomic import write_json
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.core.matrices import write_matrix
from workflow_scripts.evaluation.packs import Scores, write_pack
from workflow_scripts.findings.predictor.options import target_options
from workflow_scripts.results import database, tables
from workflow_scripts.results.computations import COMPUTATIONS, Members, TargetData, computes
from workflow_scripts.results.target_table import SeedFiles, _computed, _scaled, target_systems
from workflow_scripts.selection import systems
from workflow_scripts.selection.systems import SYSTEMS, TIERS, SystemRow
from workflow_scripts.statistics.contrasts import exploratory_contrasts

ROOT = Path(__file__).resolve().parents[2] / "workflow_scripts"
TABLE = ROOT / "selection/systems.py"
EXPERIMENT = "average_NXN_k3"


def listed(file: Path) -> list[set[str]]:
    """The names of systems in each collection that a module spells out."""
    names = {row.name for row in SYSTEMS}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            found.append({e.value for e in node.elts if isinstance(e, ast.Constant)} & names)
        elif isinstance(node, ast.Dict):
            found.append({e.value for e in node.keys if isinstance(e, ast.Constant)} & names)
    return found


def test_nothing_else_lists_systems():
    files = [file for file in ROOT.rglob("*.py") if file != TABLE]
    assert not {str(file.relative_to(ROOT)): each for file in files for each in listed(file) if len(each) >= 3}


def test_names_are_unique_and_tiers_are_known():
    assert len({row.name for row in SYSTEMS}) == len(SYSTEMS)
    assert {row.tier for row in SYSTEMS} <= {*TIERS, systems.ORACLE, systems.OF_MERGE, systems.OF_SELECTION}
    assert {row.variant_of for row in SYSTEMS} - {""} <= {row.name for row in SYSTEMS}


def test_every_system_of_logits_has_a_computation_and_every_computation_a_row():
    assert {row.name for row in SYSTEMS if row.made == "logits"} == set(COMPUTATIONS)


def test_oracles_are_marked_and_never_compared_or_offered():
    oracles = [row for row in SYSTEMS if row.oracle]
    assert [row.column for row in oracles] == ["best_zero_shot_oracle", "best_source_oracle"]
    assert not any(row.compared or row.offered for row in oracles)


def test_a_sized_system_has_the_row_of_its_family():
    name = systems.sized_name(systems.SEED_SOUP, 3)
    assert systems.system(name).name == systems.SEED_SOUP and systems.column(name) == name == "seed_soup_k3"
    with pytest.raises(StopIteration):
        systems.system("no such system")


@pytest.fixture
def worst(monkeypatch: pytest.MonkeyPatch) -> str:
    """A new baseline: one row, one computation."""
    row = SystemRow("worst", "the worst other model", "labelled validation", "target", offered=True)
    monkeypatch.setattr(systems, "SYSTEMS", (*SYSTEMS, row))
    monkeypatch.setitem(COMPUTATIONS, "worst", None)  # undone after the test

    @computes("worst")
    def worst(models: Members):
        return models.data.single(max(models.locales, key=lambda s: (-models.data.validation[s], s)))

    return "worst"


def test_a_new_baseline_is_evaluated(worst):
    scores = {s: Scores.of(np.eye(2, dtype=np.float32)[[i, 0, 1]], np.array([0, 0, 1])) for i, s in enumerate("ab")}
    data = TargetData(
        "t", 0, pd.DataFrame({"label": [0, 0, 1]}), {**scores, "t": scores["a"]}, {"a": 1, "b": 0.5, "t": 1}, {}, "x"
    )
    found = {system.name: system for system in _computed("target", data.others(), {})}
    assert found[worst].tier == "labelled validation" and found[worst].facts["model"] == "b"
    assert found[worst].correct.tolist() == [0, 1, 1]


def test_a_new_baseline_is_in_tables_database_contrasts_and_advice(worst, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.synthetic_runs.BASELINES", (*BASELINES, worst))
    run = Synthetic(tmp_path, {EXPERIMENT: settings()}, lambda key, p, s: 0.4 if key == worst else 0.5, targets=4)
    results = run.results()
    results.systems[["n_effective", "low", "high", "macro_f1", "nll", "ece"]] = 0.1
    results.systems["tier"] = "labelled validation"
    target, places = run.names[0], [(t, s) for t in run.names for s in run.seeds]
    details = tables.merge_details(results)
    assert (details[worst] == 0.4).all()
    told = {"ablations": {EXPERIMENT: ["block"]}, "base": "", "results_dir": ""}
    facts = {place: {EXPERIMENT: {"identity": ""}} for place in places}
    row = next(database._experiments(results, details, told, dict.fromkeys(places, ("", "")), facts))
    assert row[worst] == 0.4
    contrast = next(c for c in exploratory_contrasts(results) if c.baseline == worst)
    assert contrast.name == "merge − worst" and list(contrast.pairs) == run.names
    mean = results.mean[results.mean["target"] == target]
    assert ("", worst) in [option.key for option in target_options(mean, results.experiments)]
    assert systems.title(worst) in [row.title for row in systems.usable("target")]


def test_a_target_has_every_system_that_its_plan_asks_for_in_order(tmp_path):
    labels = np.array([0, 1, 1, 0])
    right = Scores.of(np.eye(2, dtype=np.float32)[labels], labels)
    beside = [f"{name} of e" for name in ("shrunk_top1", "joint_one", "joint_all")]
    packs = {
        "row": ["t"],
        "merges": ["e", beside[0], "average_all"],
        "trained": [*beside[1:], "few_shot", "few_shot_base", "few_shot_n2"],
    }
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in packs}
    for name, stored in packs.items():
        write_pack(paths[name], dict.fromkeys(stored, right))
    write_matrix(pd.DataFrame(0.5, index=list("abt"), columns=list("abt")), tmp_path / "validation.csv")
    sources = [{"locale": "b", "weight": 0.6}, {"locale": "a", "weight": 0.4}]
    entries = [
        {"experiment": "e", "sources": sources, "tier": "unlabelled", "selection_tier": "none", "shrunk_top1": True, "joint": True},
        {"experiment": "average_all", "sources": sources, "tier": "none"},
        {"experiment": "few_shot", "sources": sources[:1], "tier": "labelled validation", "trained": True,
         "sizes": [2, 100, "all"], "merges": ["e"]},
    ]  # fmt: skip
    plan = {f"{e['experiment']}/t/0": {**e, "target": "t", "seed": 0} for e in entries}
    inputs = {
        "rows": [paths["row"]] * 3,
        "validation_matrices": [tmp_path / "validation.csv"],
        "trained": [paths["trained"]],
        "trained_facts": [tmp_path / "trainings.json"],
    }
    formed = {"few_shot_n2": {"sentences": 2}, "few_shot": {"sentences": 4}, "few_shot_base": {"sentences": 4}}
    write_json(tmp_path / "trainings.json", formed)
    inputs |= {"merges": [paths["merges"]], "merges_validation": [paths["merges"]], "failures": [tmp_path / "failures"]}
    write_json(tmp_path / "failures", {"failed": {}})
    told = {
        "target": "t",
        "locales": list("abt"),
        "seeds": [0],
        "pivot": "x",
        "experiments": ["e"],
        "baselines": ["average_all", "seed_soup_k2"],
        "scaling_grid": [],
        "tuned": [],
    }
    table = pd.DataFrame({"label": labels})
    found = [system for _, system in target_systems(inputs, told, plan, table)]
    assert [s.name for s in found if not s.experiment] == [
        "self", "best_zero_shot", "best_zero_shot_val", "mean_zero_shot", "average_all", "few_shot_n2", "few_shot",
        "few_shot_base",
    ]  # fmt: skip
    assert [s.name for s in found if s.experiment] == [
        "merge", "source_mean", "best_source", "best_source_val", "top1", "ensemble_soft", "ensemble_weighted_soft",
        "ensemble_majority", "ensemble_weighted_majority", "ensemble_logits", "shrunk_top1", "joint_one", "joint_all",
    ]  # fmt: skip
    tiers = {s.name: s.tier for s in found}
    assert tiers["merge"] == "unlabelled" and tiers["top1"] == tiers["joint_all"] == "none"
    assert tiers["best_source"] == "oracle" and tiers["few_shot_base"] == "labelled validation"
    assert next(s for s in found if s.name == "top1").facts["model"] == "b"
    assert next(s for s in found if s.name == "few_shot_n2").facts["labelled_sentences"] == 2
    write_json(tmp_path / "failures", {"failed": dict.fromkeys(["broken", "average_all", beside[0]], "why")})
    left = [s for _, s in target_systems(inputs, told | {"experiments": ["e", "broken"]}, plan, table)]
    gone = ("average_all", "shrunk_top1")
    assert [(s.experiment, s.name) for s in left] == [(s.experiment, s.name) for s in found if s.name not in gone]
    with pytest.raises(XlmergeError, match=r"no experiment has a merge for t with every seed: .*broken.* failed"):
        next(target_systems(inputs, told | {"experiments": ["broken"]}, plan, table))


@pytest.mark.parametrize(
    ("validation", "grid", "picked"),
    [
        ({0.5: 0.2, 2.0: 0.6}, [0.5, 1.0, 2.0], 2.0),  # the source as it is has 0.4
        ({0.5: 0.4, 2.0: 0.2}, [0.5, 1.0, 2.0], 1.0),  # a tie goes to the source as it is
        ({0.5: 0.2, 1.5: 0.2}, [0.5, 1.5], 0.5),  # and then to the shorter one
        ({}, [1.0], 1.0),
    ],
)
def test_the_best_source_is_scaled_as_its_validation_data_say(tmp_path, validation, grid, picked):
    labels = np.array([0, 0, 0, 0, 0])
    stored = {
        f"{split}{x}": Scores.of(np.eye(2, dtype=np.float32)[(np.arange(5) >= round(share * 5)).astype(int)], labels)
        for split, shares in {"validation": validation, "test": {0.5: 0.8, 1.0: 1.0, 1.5: 0.6, 2.0: 0.0}}.items()
        for x, share in shares.items()
    }
    for split in ("validation", "test"):
        write_pack(tmp_path / split, {systems.scaled_name(x): stored[f"{split}{x}"] for x in validation})
    models = {"a": stored["test1.0"], "b": stored["test0.5"], "t": stored["test0.5"]}
    data = TargetData("t", 0, pd.DataFrame({"label": labels}), models, {"a": 0.4, "b": 0.3, "t": 0.9}, {}, "x")
    files = SeedFiles(str(tmp_path / "test"), str(tmp_path / "validation"), "", "", "")
    (found,) = _scaled(data, grid, files)
    assert (found.name, found.tier, found.facts["model"]) == ("scaled_top1", "labelled validation", f"a × {picked:g}")
    assert found.correct.mean() == pytest.approx({0.5: 0.8, 1.0: 1.0, 2.0: 0.0}[picked])
    assert list(_scaled(data, [], files)) == []
