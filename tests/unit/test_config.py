"""The config as a whole: what is refused and how it is said, and what `ablations:` expand to."""

import re
import subprocess
import sys

import pytest

from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.study.study import load_study

LOCALES = ["en-US", "de-DE", "es-ES", "fr-FR"]


def config(**changes):
    return {
        "run": "test",
        "locales": LOCALES,
        "data": {"provider": "home_assistant"},
        "base": "tiny_encoder",
        "ablations": [{"name": "block", "fixed": {"num_languages": 2}}],
        **changes,
    }


def block(name="block", sweep=None, **fixed):
    return {"name": name, "fixed": {"num_languages": 2, **fixed}, "sweep": sweep or {}}


def experiments(*blocks, **changes):
    return load_study(config(ablations=list(blocks), **changes)).experiments


def refused(**changes):
    with pytest.raises(XlmergeError) as caught:
        load_study(config(**changes))
    return str(caught.value)


# --- what is refused

REFUSED = {
    "unknown key": ({"evalution": {}}, ["unknown key 'evalution'", "did you mean 'evaluation'"]),
    "in a block": ({"finetune": {"learning_rte": 1}}, ["finetune.learning_rte", "did you mean 'learning_rate'"]),
    "in a list": ({"ablations": [{"name": "a", "swep": {}}]}, ["ablations.0.swep", "did you mean 'sweep'"]),
    "in a provider": (
        {"data": {"provider": "home_assistant", "sed": 1}},
        ["unknown key 'sed'", "did you mean 'seed'"],
    ),
    "in a mapping": (
        {"languages": {"xx-XX": {"language": "X", "uriel": "deu", "famly": "x"}}},
        ["unknown key 'famly'", "did you mean 'family'"],
    ),
    "provider": ({"data": {"provider": "home_asistant"}}, ["'home_asistant'", "did you mean 'home_assistant'"]),
    "method": ({"ablations": [block(method="tis")]}, ["'block'", "merge method 'tis'", "did you mean 'ties'"]),
    "selector": ({"ablations": [block(selector="topk")]}, ["selector 'topk'", "did you mean 'top_k'"]),
    "measure": ({"ablations": [block(similarity_type="Uriell")]}, ["'Uriell'", "did you mean 'uriel'"]),
    "measure's parameter": ({"similarity": {"URIEL": {"featurs": "geo"}}}, ["similarity.URIEL", "'featurs'"]),
    "feature set": ({"similarity": {"URIEL": {"features": "geoo"}}}, ["'geoo'", "did you mean 'geo'"]),
    "experiment key": ({"ablations": [block(methd="ties")]}, ["'methd'", "did you mean 'method'"]),
    "parameter": ({"ablations": [block(method="ties", densty=0.1)]}, ["'densty'", "did you mean 'density'"]),
    "parameter of another method": ({"ablations": [block(method="average", density=0.1)]}, ["unknown key 'density'"]),
    "parameter out of range": ({"ablations": [block(method="ties", density=2)]}, ["'block'", "density", "got 2"]),
    "a list in fixed": ({"ablations": [block(method=["ties"])]}, ["'block'", "method", "string"]),
    "a word for a number": ({"finetune": {"learning_rate": "fast"}}, ["finetune.learning_rate", "'fast'"]),
    "locale twice": ({"locales": [*LOCALES, "de-DE"]}, ["locales", "listed twice: de-DE"]),
    "seed twice": ({"seeds": [0, 1, 0]}, ["seeds", "listed twice: 0"]),
    "label twice": ({"labels": ["a", "b", "a"]}, ["labels", "listed twice: a"]),
    "ablation twice": ({"ablations": [block(), block()]}, ["two ablations have the same name"]),
    "fixed and swept": (
        {"ablations": [block(method="ties", sweep={"method": ["ties"]})]},
        ["method is both fixed and swept"],
    ),
    "empty sweep": ({"ablations": [block(sweep={"method": []})]}, ["sweep.method is an empty list"]),
    "model_family": (
        {"ablations": [block(model_family="xlm-roberta-base")]},
        ["model_family is 'xlm-roberta-base'", "base is 'tiny_encoder'"],
    ),
    "target": ({"ablations": [block(locales=["de-De"])]}, ["'de-De'", "did you mean 'de-DE'"]),
    "too many sources": (
        {"ablations": [block(num_languages=4)]},
        ["num_languages is 4", "only 3 candidate sources", "num_languages: all"],
    ),
    "no sources": ({"ablations": [block(num_languages=0)]}, ["num_languages", "1 or more"]),
    "locale of no provider": ({"locales": ["en-US", "de-De", "fr-FR"]}, ["'de-De'", "did you mean 'de-DE'"]),
    "folder without a checkpoint": ({"base": "./nowhere"}, ["no folder './nowhere'", "tiny_encoder"]),
    "path in a name": ({"run": "a/b"}, ["run", "'a/b'"]),
    "name too long for a folder": ({"run": "a" * 260}, ["run", "at most 100 characters", "aaa…"]),
    "infinite": ({"finetune": {"epochs": float("inf")}}, ["finetune.epochs", "finite", "inf"]),
    "not a number": ({"ablations": [block(target_similarity=float("nan"))]}, ["target_similarity", "finite"]),
    "infinite parameter": ({"ablations": [block(method="ties", scaling=float("inf"))]}, ["scaling", "finite"]),
    "misspelt encoder": ({"base": "bundled_encodr"}, ["'bundled_encodr'", "did you mean 'bundled_encoder'"]),
    "pivot": ({"pivot": "de-CH"}, ["pivot: 'de-CH'", "did you mean 'de-DE'"]),
    "another measure's name": ({"similarity": {"URIEL": {"measure": "NXN"}}}, ["URIEL is a measure", "NXN"]),
    "no provider": (
        {"data": {"folder": "x"}},
        ["data: the key `provider` is missing", "known: home_assistant, local_files"],
    ),
    "no mapping": ({"data": "x"}, ["data: must be a mapping", "got 'x'"]),
    "parameter of an inner method": (
        {"ablations": [block(method="layer_swap", outer="ties", outer_parameters={"densty": 0.1})]},
        ["'block'", "outer_parameters, of ties", "unknown key 'densty'", "did you mean 'density'"],
    ),
    "parameter of one source": (
        {"ablations": [block(method="per_source", by_source={"de-DE": {"density": 7}})]},
        ["'block'", "inner_parameters, of ties", "density", "got 7"],
    ),
    "source of no locale": (
        {"ablations": [block(method="per_source", by_source={"de-DD": {"density": 0.1}})]},
        ["unknown source 'de-DD'", "did you mean 'de-DE'"],
    ),
    "no pivot": (
        {"ablations": [block(method="layer_swap")]},
        ["experiment layer_swap_URIEL_k2_exc: layer_swap merges the pivot's model with others: say `selector: pivot`"],
    ),
    "only the pivot": (
        {"ablations": [block(method="layer_swap", selector="pivot", num_languages=1)]},
        ["`num_languages: 2` or more"],
    ),
    "layers upside down": (
        {"ablations": [block(method="layer_swap", bottom=3, top=1)]},
        ["'block'", "bottom 3 lies above top 1"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    changes, expected = REFUSED[case]
    message = refused(**changes)
    for text in expected:
        assert text in message


def test_all_problems_are_said_at_once():
    message = refused(finetune={"epochs": -1}, seeds=[], locales=["en-US"])
    assert all(key in message for key in ("finetune.epochs", "seeds", "locales"))


def test_what_is_wrong_between_keys_is_said_without_the_config():
    message = refused(finetune={"batch_size": 3, "gpus": 2}, models={"de-DE": "x"}, seeds=[0, 1], labels=["a", "a"])
    assert "finetune: batch_size 3 is not a multiple of gpus 2" in message and "home_assistant" not in message
    message = refused(ablations=[block(), block()])
    assert message == "the config is not valid:\n  two ablations have the same name"


def test_a_label_that_the_provider_does_not_have_is_refused():
    assert "HassTurnOn'" in refused(labels=["HassTurnOnn", "HassStartTimer"])


def test_a_measure_that_is_no_name_is_refused():
    assert "GEO" in refused(similarity={"GEO": {"measure": 3}})


def test_a_measure_that_needs_more_locales_is_refused_before_the_run():
    text = refused(ablations=[block(similarity_type="TRANSFER_PROFILE")])
    assert f"TRANSFER_PROFILE needs 5 or more locales, this run has {len(LOCALES)}" in text


def test_an_unknown_placeholder_in_file_names_is_refused(tmp_path):
    data = {"provider": "local_files", "folder": str(tmp_path), "files": "{lang}.csv"}
    assert "lang" in refused(data=data, labels=["a", "b"])


# --- what is understood


def test_a_plain_string_is_short_for_the_bases_name():
    short, long = (load_study(config(base=b)).run.base for b in ("tiny_encoder", {"name": "tiny_encoder"}))
    assert short == long
    assert (short.name, short.revision, short.head_seed) == ("tiny_encoder", None, 0)


def test_a_number_that_yaml_reads_as_text_is_a_number():
    assert load_study(config(finetune={"learning_rate": "4e-4"})).run.finetune.learning_rate == 4e-4
    (spec,) = experiments(block(method="ties", density="2e-1")).values()
    assert spec.settings["method_parameters"]["density"] == 0.2


def test_labels_default_to_the_providers():
    from workflow_scripts.data.providers.home_assistant.home_assistant import LABELS

    assert load_study(config()).labels == list(LABELS)
    assert load_study(config(labels=["HassTurnOn", "HassTurnOff"])).labels == ["HassTurnOn", "HassTurnOff"]


def test_a_variant_of_a_measure_has_its_own_settings():
    study = load_study(
        config(
            similarity={"GEO": {"measure": "URIEL", "features": "geo"}},
            ablations=[block(sweep={"similarity_type": ["URIEL", "GEO"]})],
        )
    )
    assert study.measures == {"GEO": ("uriel", {"features": "geo"}), "URIEL": ("uriel", {"features": "syntax_knn"})}


def test_a_language_of_ones_own():
    own = {"language": "Swabian", "uriel": "swg", "family": "Indo-European", "cc100_gib": 6.0}
    study = load_study(config(languages={"de-DE": own}))
    row = study.languages["de-DE"]
    assert (row["language"], row["uriel"], row["uriel_family"]) == ("Swabian", "swg", "swg")
    assert (row["genus"], row["resource_level"]) == ("unknown", "medium")
    assert study.languages["fr-FR"]["uriel"] == "fra"


# --- what ablations expand to


def test_sweeps_multiply_out():
    found = experiments(block(sweep={"method": ["average", "similarity"], "num_languages": [1, 2, 3]}) | {"fixed": {}})
    settings = [(s.settings["method"], s.settings["num_languages"]) for s in found.values()]
    assert settings == [(m, k) for m in ("average", "similarity") for k in (1, 2, 3)]
    assert all(s.targets == LOCALES for s in found.values())


def test_duplicates_collapse_and_their_targets_are_united_in_the_runs_order():
    found = experiments(
        block("one", locales=["fr-FR", "en-US"]),
        block("two", locales=["de-DE", "fr-FR"], method="average", include_target=False),  # defaults, spelt out
    )
    (spec,) = found.values()
    assert spec.targets == ["en-US", "de-DE", "fr-FR"]
    assert spec.ablations == ["one", "two"]


def test_a_parameter_belongs_to_the_methods_that_have_it():
    found = experiments(block(sweep={"method": ["average", "ties"], "density": [0.1, 0.3]}))
    parameters = [(s.settings["method"], s.settings["method_parameters"].get("density")) for s in found.values()]
    assert parameters == [("average", None), ("ties", 0.1), ("ties", 0.3)]


def test_target_similarity_without_the_target_makes_no_second_experiment():
    sweep = {"include_target": [False, True], "target_similarity": [0.5, 1.0]}
    found = experiments(block(sweep=sweep))
    pairs = [(s.settings["include_target"], s.settings["target_similarity"]) for s in found.values()]
    assert pairs == [(False, 1.0), (True, 0.5), (True, 1.0)]


def test_names_are_unique_and_show_what_is_not_default():
    sweep = {"method": ["average", "ties"], "num_languages": [2, "all"], "include_target": [False, True]}
    more = {"density": [0.2, 0.5], "weights": ["similarity", "uniform"], "similarity_type": ["URIEL", "NXN"]}
    found = experiments({"name": "a", "sweep": {**sweep, **more}})
    # average: 2·2·2·2 (k, target, weights, measure); ties: twice as many (density)
    assert len(found) == 16 + 32
    assert all(name == spec.name for name, spec in found.items())
    assert len({spec.key for spec in found.values()}) == len(found)
    assert "ties_density-0.5_URIEL_weights-uniform_kall_inc" in found
    assert "average_NXN_k2_exc" in found


def test_a_name_is_fit_for_a_folder_and_a_pattern_whatever_its_parameters():
    nested = {"outer": "ties", "outer_parameters": {"density": 0.1}}
    (name,) = experiments(block(method="layer_swap", selector="pivot", **nested))
    assert name == "layer_swap_outer-ties_outer_parameters-density-0.1_URIEL_pivot_k2_exc"
    by_source = {locale: {"density": 0.1, "scaling": 0.5} for locale in LOCALES}
    many = experiments(block("a", method="per_source", sweep={"by_source": [by_source, by_source | {"fr-FR": None}]}))
    assert len(many) == 2 and all(len(name) <= 150 and re.fullmatch(r"[\w.+-]+", name) for name in many)


def test_two_experiments_never_share_a_name():
    message = refused(
        similarity={"URIEL_weights-uniform": {"measure": "URIEL", "features": "geo"}},
        ablations=[block("a", similarity_type="URIEL_weights-uniform"), block("b", weights="uniform")],
    )
    assert "two different experiments would be called 'average_URIEL_weights-uniform_k2_exc'" in message


def test_upper_and_lower_case_make_no_second_experiment():
    assert len(experiments(block(sweep={"method": ["ties", "TIES"], "similarity_type": ["URIEL", "uriel"]}))) == 1


def test_all_candidates_and_the_target_among_them_are_enough_sources():
    assert len(experiments(block(num_languages="all"))) == 1
    assert len(experiments(block(num_languages=4, include_target=True))) == 1


# --- cost


def test_planning_imports_no_heavy_library():
    code = f"""
import sys
from workflow_scripts.core.fingerprint import fingerprint
from workflow_scripts.study.study import load_study
import workflow_scripts.selection.plan
load_study({config()!r})
heavy = {{"torch", "pandas", "transformers", "datasets", "scipy", "sklearn", "pyarrow", "hassil"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_block_under_ablation_is_a_list_of_one():
    older = {
        "name": "older",
        "description": "as the older runner had it",
        "fixed": {"method": "average", "include_target": False, "locales": LOCALES[:2], "model_family": "tiny_encoder"},
        "sweep": {"similarity_type": ["URIEL", "REAL"], "num_languages": [1, 2]},
    }
    given = {key: value for key, value in config().items() if key != "ablations"}
    assert load_study({**given, "ablation": older}) == load_study({**given, "ablations": [older]})
    both = refused(ablation=older)
    assert "put all blocks under `ablations`" in both
    with pytest.raises(XlmergeError, match="must be a mapping"):
        load_study({**given, "ablation": [older]})
