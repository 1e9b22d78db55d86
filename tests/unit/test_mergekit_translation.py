"""mergekit's YAML: what it means, worked out by hand; the meaning of the methods is checked against mergekit itself."""

import pytest
import yaml

from workflow_scripts.checkpoints.mergekit_config import depth, interpolate, number, parse_config
from workflow_scripts.checkpoints.mergekit_translation import steps_for, translate_config, unused_parameters
from workflow_scripts.merging.pieces import Layout

TENSORS = ["enc.embed.weight", *(f"enc.layer.{i}.{part}.weight" for i in range(3) for part in ("attn", "mlp")), "head"]
LAYOUT = Layout(head=frozenset({"head"}), layers=3, shapes=dict.fromkeys(TENSORS, (2, 2)))
NAMES = ("A", "B")


def config_of(text: str) -> dict:
    return yaml.safe_load(text)


def asked(text: str):
    return translate_config(parse_config(config_of(text)))


def steps(text: str) -> dict[str, tuple]:
    """Tensor → (method, parameters, weights)."""
    made = asked(text)
    found = steps_for(made, NAMES[: len(made.sources)], LAYOUT)
    return {name: (s.method, s.parameters, s.weights) for s in found for name in s.tensors}


def step(text: str):
    """The one step that all tensors have in common."""
    made = asked(text)
    (found,) = steps_for(made, NAMES[: len(made.sources)], LAYOUT)
    assert found.tensors == frozenset(TENSORS)
    return found


def two(method: str, parameters: str = "{}", first: str = "{weight: 1}", second: str = "{weight: 3}") -> str:
    return f"""
merge_method: {method}
base_model: base
models:
  - {{model: a, parameters: {first}}}
  - {{model: b, parameters: {second}}}
parameters: {parameters}
"""


def weights(parameters: str, first: str = "{}", second: str = "{weight: 1}") -> dict[str, float]:
    """Tensor → the weight of model a, where b's is 1 and nothing is normalised."""
    found = steps(two("task_arithmetic", parameters, first, second))
    return {name: round(w[0] / w[1], 9) for name, (_, _, w) in found.items()}


# --- precedence, filters, gradients


def test_a_models_own_parameter_comes_first():
    assert set(weights("{weight: 5}", "{weight: 2}").values()) == {2}
    assert set(weights("{weight: 5}").values()) == {5}


def test_the_first_filter_that_matches_wins_and_others_fall_through():
    own = "{weight: [{filter: layer.1.attn, value: 2}, {filter: attn, value: 3}, {filter: layer.1, value: 4}]}"
    assert weights("{weight: 5}", own) == {
        "enc.embed.weight": 5,
        "enc.layer.0.attn.weight": 3,
        "enc.layer.0.mlp.weight": 5,
        "enc.layer.1.attn.weight": 2,
        "enc.layer.1.mlp.weight": 4,
        "enc.layer.2.attn.weight": 3,
        "enc.layer.2.mlp.weight": 5,
        "head": 5,
    }


@pytest.mark.parametrize("last", ["{filter: '*', value: 7}", "{value: 7}"])
def test_a_star_or_no_filter_matches_all(last):
    found = weights("{weight: 5}", f"{{weight: [{{filter: attn, value: 2}}, {last}]}}")
    assert {found["head"], found["enc.layer.0.mlp.weight"]} == {7}
    assert found["enc.layer.2.attn.weight"] == 2


def test_one_condition_needs_no_list():
    assert weights("{weight: 5}", "{weight: {filter: head, value: 2}}")["head"] == 2


def test_gradients_run_over_the_layers_and_begin_outside_them():
    # depths 0, ½, 1: 2, 4, 8; the embedding and the head are at 0
    found = weights("{}", "{weight: [2, 4, 8]}")
    assert [found[f"enc.layer.{i}.mlp.weight"] for i in range(3)] == [2, 4, 8]
    assert found["enc.embed.weight"] == found["head"] == 2


def test_gradients_work_within_filters():
    found = weights("{}", "{weight: [{filter: attn, value: [1, 2]}, {value: [4, 8]}]}")
    assert [found[f"enc.layer.{i}.attn.weight"] for i in range(3)] == [1, 1.5, 2]
    assert [found[f"enc.layer.{i}.mlp.weight"] for i in range(3)] == [4, 6, 8]


def test_a_gradient_interpolates_between_its_points():
    assert interpolate([0, 1, 5], 0.25, number, "w") == 0.5
    assert interpolate([0, 1, 5], 1.0, number, "w") == 5
    assert interpolate([3], 0.7, number, "w") == 3
    assert interpolate(["1e-1", 0.3], 0.5, number, "w") == pytest.approx(0.2)


def test_truth_values_change_at_the_points():
    found = steps(two("ties", "{normalize: [true, false, true]}"))
    assert [found[f"enc.layer.{i}.mlp.weight"][1]["normalize"] for i in range(3)] == [True, False, True]


def test_a_single_layer_is_at_the_end():
    assert depth("enc.layer.0.x", Layout(layers=1)) == 1
    assert depth("head", Layout(layers=1)) == 0


def test_tensors_that_are_merged_alike_are_one_step():
    made = asked(two("task_arithmetic", "{}", "{weight: [{filter: layer.1, value: 2}, {value: 1}]}"))
    found = steps_for(made, NAMES, LAYOUT)
    assert sorted(len(s.tensors) for s in found) == [2, 6]


# --- methods


def test_linear_divides_by_the_weights_and_takes_the_base_in():
    found = step(
        "merge_method: linear\nmodels: [{model: a}, {model: b, parameters: {weight: 3}}]\nparameters: {weight: 1}"
    )
    assert (found.method, found.weights, found.raw) == ("similarity", (0.25, 0.75), False)
    made = asked("merge_method: linear\nmodels: [{model: a}]\nbase_model: base\nparameters: {weight: 1}")
    assert (made.sources, made.base) == (("a", "base"), "base")


def test_linear_without_base_takes_the_first_model_for_it():
    made = asked("merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}")
    assert (made.sources, made.base) == (("a", "b"), "a")


def test_negative_weights_stay_raw_where_the_formula_is_linear():
    found = step(two("task_arithmetic", "{lambda: 0.5}", "{weight: -1}"))
    assert (found.weights, found.raw) == ((-1, 3), True)
    assert found.parameters["scaling"] == 0.25  # λ/K: ours counts K times each


def test_task_arithmetic_sums_raw_weights():
    found = step(two("task_arithmetic", "{lambda: 0.5}"))
    assert (found.method, found.weights) == ("task_arithmetic", (0.25, 0.75))
    assert found.parameters["scaling"] == 0.5 * 4 / 2  # λΣW/K
    assert step(two("task_arithmetic", "{normalize: true}")).parameters["scaling"] == 1 / 2


def test_ties_has_mergekits_defaults():
    found = step(two("ties"))
    assert found.parameters == {"density": 1.0, "trim": "tensor", "normalize": True, "scaling": 1.0}
    found = step(two("ties", "{density: 0.2, normalize: false, lambda: 2}"))
    assert found.method == "ties"
    assert found.parameters == {
        "density": 0.2,
        "trim": "tensor",
        "count": "all",
        "normalize": False,
        "scaling": 8.0,  # λΣW
    }


def test_breadcrumbs_has_mergekits_defaults():
    found = step(two("breadcrumbs", "{density: 0.9}"))
    expected = {"density": 0.9, "gamma": 0.01, "count": "all", "minimum": 0, "scaling": 2.0}  # λΣW/K
    assert (found.method, found.parameters) == ("breadcrumbs", expected)


def test_dare_and_della_restore_l1_norms():
    found = step(two("dare_ties", "{density: 0.75}"))
    assert found.method == "dare_ties"
    assert found.parameters == {"drop_rate": 0.25, "rescale": "l1", "normalize": False, "scaling": 4.0}
    found = step(two("dare_linear", "{density: 0.75, rescale: false}"))
    assert found.parameters == {"drop_rate": 0.25, "rescale": "none", "scaling": 4.0}
    found = step(two("della", "{density: 0.5}"))
    expected = {"density": 0.5, "epsilon": 0.15, "count": "all", "rescale": "l1", "normalize": True, "scaling": 1.0}
    assert found.parameters == expected


def test_densities_that_differ_are_applied_one_by_one():
    found = step(two("ties", "{density: 0.5}", "{weight: 1, density: 0.25}", "{weight: 1, density: 1}"))
    assert found.method == "per_source"
    assert found.parameters["by_source"] == {"A": {"density": 0.25, "trim": "tensor", "count": "all"}, "B": None}
    assert (found.parameters["inner"], found.parameters["outer"]) == ("ties", "ties")
    assert found.parameters["outer_parameters"]["density"] == 1


def test_density_0_leaves_nothing_of_a_source_but_its_weight():
    found = step(two("task_arithmetic", "{normalize: true}", "{weight: 1}"))
    kept = step(two("dare_linear", "{normalize: true}", "{weight: 1, density: 0}"))
    assert found.parameters["scaling"] * 2 == 1
    assert (kept.method, kept.weights, kept.parameters["scaling"] * 2) == ("task_arithmetic", (0, 1), 0.75)  # 3/(1+3)


def test_where_all_weights_are_0_the_base_stays():
    found = steps(two("ties", "{weight: [0, 1, 1]}", "{}", "{}"))
    assert set(found) == {n for n in TENSORS if ".1." in n or ".2." in n}


def test_slerp_begins_at_the_base():
    made = asked("merge_method: slerp\nbase_model: b\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0.25}")
    assert (made.sources, made.base) == (("b", "a"), "b")
    (found,) = steps_for(made, NAMES, LAYOUT)
    assert (found.weights, found.parameters) == ((0.75, 0.25), {"space": "weights", "sines": "raw"})


@pytest.mark.parametrize("method", ["sce", "model_stock", "karcher"])
def test_these_ignore_weights_and_say_so(method):
    text = two(method)
    assert len(set(step(text).weights)) == 1 if method != "karcher" else True
    assert "does not use weight" in unused_parameters(parse_config(config_of(text)))[0]


def test_sce_selects_all_by_default():
    assert step(two("sce")).parameters == {"ratio": None, "minimum": 0}
    assert step(two("sce", "{select_topk: 0.5}")).parameters == {"ratio": 0.5, "minimum": 0}
    assert steps(two("sce", "{select_topk: 0}")) == {}


def test_the_base_among_the_models_is_no_source():
    made = asked("merge_method: ties\nbase_model: base\nmodels: [{model: base}, {model: a}]\nparameters: {weight: 1}")
    assert made.sources == ("a",)


@pytest.mark.parametrize(
    ("lines", "dtype"),
    [("", "widest"), ("dtype: bfloat16", "bfloat16"), ("dtype: float32\nout_dtype: torch.float16", "float16")],
)
def test_the_output_has_the_files_dtype(lines, dtype):
    assert asked(two("ties") + lines).dtype == dtype


def test_int8_mask_has_no_effect():
    text = two("ties", "{int8_mask: true}")
    assert step(text) == step(two("ties"))
    assert unused_parameters(parse_config(config_of(text))) == []
