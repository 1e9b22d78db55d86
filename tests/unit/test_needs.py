"""What jobs need and are told: by the config alone, and by the selection."""

import json
from types import SimpleNamespace

import pytest

from tests.unit.test_config import config
from workflow_scripts.study.needs import Needs, one_of, stable
from workflow_scripts.study.planned import Planned
from workflow_scripts.study.study import load_study

LOCALES = ["en-US", "de-DE", "es-ES"]
AVERAGE = "average_URIEL_k2_exc"


class NotSelectedYet(Exception):
    """What Snakemake raises while the selection has not run."""


def wildcards(**values):
    return SimpleNamespace(**{"target": "de-DE", "seed": "1", **values})


def block(method="average", **fixed):
    return {"fixed": {"method": method, "num_languages": 2, **fixed}}


def needs(*blocks, **changes):
    named = [{"name": f"block{i}", **given} for i, given in enumerate(blocks or [block()])]
    return Needs(load_study(config(locales=LOCALES, seeds=[0, 1], ablations=named, **changes)))


def planned(tmp_path, found, **entries):
    """What jobs need for a plan with entries by experiment, all of them for de-DE with seed 1."""
    entry = {"target": "de-DE", "seed": 1, "method": "average", "parameters": {}}
    entry["sources"] = [{"locale": "es-ES", "weight": 0.5}, {"locale": "en-US", "weight": 0.5}]
    plan = {f"{name}/de-DE/1": {**entry, "experiment": name, **given} for name, given in entries.items()}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    return Planned(found, lambda: str(file))


def test_settings_do_not_depend_on_the_order_of_keys():
    assert stable({"b": 1, "a": "ä"}) == stable({"a": "ä", "b": 1}) == '{"a": "ä", "b": 1}'


def test_a_constraint_takes_names_literally_and_of_no_name_matches_nothing():
    assert one_of(["a.b", 3]) == r"a\.b|3"
    assert one_of([]) == "none"


def test_a_number_format_is_needed_unless_it_is_float32():
    assert needs().precision == []
    assert needs(evaluation={"precision": "auto"}).precision == ["results/test/nxn/precision/decision.json"]


def test_only_targets_with_trained_baselines_have_their_files():
    found = needs(block(locales=["de-DE"], joint=True), block(include_target=True))
    assert found.trained == ["de-DE"]
    files = found.trained_files("{target}-{seed}")
    assert files(wildcards()) == ["de-DE-0", "de-DE-1"] and files(wildcards(target="es-ES")) == []
    assert needs(baselines=["few_shot"]).trained == LOCALES


def test_a_measure_gets_what_it_reads_and_nothing_else():
    found = needs(block(similarity_type="NXN"), block(similarity_type="TASK_VECTOR_COSINE"))
    assert found.measures_that_read({"models", "texts"}) == ["TASK_VECTOR_COSINE"]
    models, matrix = found.if_read("models", "{locale}-{seed}"), found.if_read("validation_matrix", "A-{seed}")
    assert models(wildcards(measure="TASK_VECTOR_COSINE")) == [f"{locale}-1" for locale in LOCALES]
    assert models(wildcards(measure="NXN")) == []
    assert matrix(wildcards(measure="NXN")) == ["A-1"]
    assert found.similarity(wildcards(measure="NXN"))["seed"] == 1


def test_validation_matrices_are_read_where_a_baseline_chooses_by_them():
    assert needs(baselines=["average_all"]).validation_matrices() == []
    for baseline in ("few_shot", "seed_soup"):
        assert len(needs(baselines=[baseline]).validation_matrices()) == 2


def test_a_greedy_search_is_made_once_for_all_experiments_that_ask_for_it():
    greedy = [block(selector="greedy", locales=["de-DE"]), block("ties", selector="greedy", locales=["de-DE"])]
    found = needs(*greedy, block(selector="greedy", locales=["de-DE"], include_target=True))
    assert found.greedy() == [("de-DE", seed, inc) for seed in (0, 1) for inc in (False, True)]
    assert found.greedy_files()[1] == "results/test/selection/greedy/de-DE/seed0-inc.json"


def test_a_target_is_told_of_its_own_experiments_only():
    found = needs(block(locales=["de-DE"]), block("ties"))
    assert [len(found.evaluation(wildcards(target=t))["experiments"]) for t in ("de-DE", "es-ES")] == [2, 1]


def test_sidecars_of_what_is_looked_up():
    files = needs(baselines=["few_shot"]).looked_up()
    assert len(files) == len(set(files)) == 4 * 3 * 2  # models, rows, merges, trained baselines


def test_the_report_knows_the_configs_order_of_experiments():
    names = json.loads(stable(needs(block("ties"), block()).report(more=1)))
    assert names["run"]["order"][0].startswith("ties") and names["more"] == 1


def test_models_and_their_files_come_from_the_plan(tmp_path):
    found = planned(tmp_path, needs(), **{AVERAGE: {}})
    assert found.models(wildcards()) == [("en-US", 1), ("es-ES", 1)]
    assert found.model_files("{locale}-{seed}")(wildcards()) == ["en-US-1", "es-ES-1"]
    told = found.merge(wildcards())
    assert list(told["merges"]) == list(told["codes"]) == [AVERAGE] and told["seed"] == 1


def test_a_soup_that_belongs_to_another_seed_is_no_merge_of_this_one(tmp_path):
    found = planned(tmp_path, needs(baselines=["seed_soup"]), **{AVERAGE: {}})
    assert found.study.merged_baselines == ["seed_soup_k2"] and list(found.merges(wildcards())) == [AVERAGE]


def test_what_is_measured_on_which_model_with_which_text(tmp_path):
    measured = {"method": "regmean", "parameters": {"text": "both"}}
    found = needs(block("regmean", text="both"))
    found = planned(tmp_path, found, **{next(iter(found.methods)): measured})
    (key,) = found.needs.measurements
    assert found.measurements(wildcards()) == [
        (key, "en-US", "de-DE", "train"), (key, "en-US", "en-US", "validation"),
        (key, "es-ES", "de-DE", "train"), (key, "es-ES", "es-ES", "validation"),
    ]  # fmt: skip
    files = found.measurement_files("{measurement} {locale} {seed} {text} {split}")
    assert files(wildcards())[0] == f"{key} en-US 1 de-DE train"
    told = found.needs.measurement(wildcards(measurement=key, locale="en-US", text="de-DE", split="train"))
    assert (told["measurement"], told["text"], told["split"]) == ("gram", "de-DE", "train")


def test_only_merges_that_look_at_sentences_get_them(tmp_path):
    of_sources = ["en-US/validation", "es-ES/validation"]
    for method, more, files in (
        ("average", {}, []),
        ("adamerging", {}, ["de-DE/train"]),
        ("distill", {}, ["de-DE/train"]),
        ("evolve", {}, ["de-DE/validation"]),
        ("regmean", {"progressive": True}, of_sources),
    ):
        found = needs(block(method, **more))
        (name,) = (n for n in found.methods if n.startswith(method) and n != "average_all")
        given = {"method": method, "parameters": more}
        assert planned(tmp_path, found, **{name: given}).text_files("{locale}/{split}")(wildcards()) == files


def test_trainings_start_from_models_and_are_judged_by_validation_data(tmp_path):
    few_shot = {"trained": True, "sources": [{"locale": "es-ES", "weight": 1.0}], "sizes": [16, "all"], "merges": []}
    found = planned(tmp_path, needs(baselines=["few_shot"]), few_shot=few_shot)
    assert found.starts(wildcards()) == [("es-ES", 1)] and found.candidate_scores("{seed}")(wildcards()) == []
    assert found.tables(wildcards()) == [("de-DE", "validation")]
    trainings = found.baselines(wildcards())["trainings"]
    assert list(trainings) == ["few_shot_n16", "few_shot", "few_shot_base_n16", "few_shot_base"]
    assert [trainings[name].get("sentences") for name in ("few_shot_n16", "few_shot")] == [16, None]


def test_a_training_from_a_merge_gets_the_merges_that_may_be_chosen_and_their_scores_with_every_seed(tmp_path):
    study = needs(block(), block("ties"), baselines=["few_shot"])
    names = [name for name in study.methods if name != "average_all"]
    few_shot = {"trained": True, "sources": [{"locale": "es-ES", "weight": 1.0}], "sizes": ["all"], "merges": names[:1]}
    found = planned(
        tmp_path, study, few_shot=few_shot, **{names[0]: {}, names[1]: {"method": "ties", "parameters": {}}}
    )
    assert found.candidate_scores("{target}-{seed}")(wildcards()) == ["de-DE-0", "de-DE-1"]
    told = found.baselines(wildcards())
    assert list(told["merges"]) == list(told["codes"]) == names[:1]
    assert told["models"] == [("en-US", 1), ("es-ES", 1)]
    assert told["trainings"]["few_shot_merge"]["start"] == "merge"


def test_before_the_selection_snakemake_is_asked_again():
    def plan():
        raise NotSelectedYet

    found = Planned(needs(), plan)
    with pytest.raises(NotSelectedYet):
        found.model_files("{locale}")(wildcards())
    with pytest.raises(NotSelectedYet):
        found.merge(wildcards())
