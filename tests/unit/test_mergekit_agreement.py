"""The same YAML through mergekit and through xlmerge: what is deterministic must agree.

mergekit is a development dependency; where it is not installed, these tests are skipped.
"""

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.conftest import xlmerge
from tests.unit.checkpoint_models import State, fine_tune, make_model, state_of, write_model

mergekit_config = pytest.importorskip("mergekit.config", reason="mergekit is not installed (make install-dev)")
mergekit_merge = pytest.importorskip("mergekit.merge", reason="mergekit is not installed (make install-dev)")

RELATIVE, ABSOLUTE = 2e-6, 3e-7  # float32: a few units in the last place of weights around 1
UNFINISHED = 2e-4  # mergekit stops iterating before the Karcher mean is exact
NAMES = ("one", "two", "three")
THREE = [{"model": n, "parameters": {"weight": w}} for n, w in zip(NAMES, (0.5, 0.3, 0.9), strict=True)]
SOME = [
    {"model": "one", "parameters": {"weight": 0.5, "density": 0.4}},
    {"model": "two", "parameters": {"weight": [0.2, 0.9], "density": 0.7}},
    {"model": "three", "parameters": {"weight": 0.3}},
]
PLAIN = [{"model": n} for n in NAMES]
GRADIENT = [
    {"filter": "attention", "value": [0.1, 0.9, 0.4]},
    {"filter": "classifier", "value": 0.25},
    {"value": 0.6},
]


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def models(request, tmp_path_factory) -> Path:
    """A folder with a base and three fine-tunes, whose steps are a third as long as the weights."""
    folder = tmp_path_factory.mktemp(request.param)
    size = {"num_hidden_layers": 4, "labels": ["a", "b", "c", "d", "e"]}
    base = make_model(request.param, **size)
    fine_tune(base, 9, scale=0.5)  # no tensor of zeros or ones
    state = {name: value.clone() for name, value in base.state_dict().items()}
    write_model(base, folder / "base")
    for i, name in enumerate(NAMES):
        base.load_state_dict(state)
        fine_tune(base, i, scale=0.3, rows=range(20))
        fine_tune(base, 7, scale=0.1)  # something in common
        write_model(base, folder / name)
    return folder


def by_both(config: dict, models: Path, out: Path) -> tuple[State, State]:
    """Return what mergekit and what xlmerge make of a config whose models are named by their folders."""
    placed = {**config, "models": [{**m, "model": str(models / m["model"])} for m in config["models"]]}
    if "base_model" in config:
        placed["base_model"] = str(models / config["base_model"])
    parsed = mergekit_config.MergeConfiguration.model_validate(placed)
    options = mergekit_merge.MergeOptions(copy_tokenizer=False, quiet=True, random_seed=0)
    mergekit_merge.run_merge(parsed, str(out / "mergekit"), options)
    file = out / "config.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(placed))
    assert xlmerge("merge", "mergekit", file, "--out", out / "xlmerge").exit_code == 0
    return state_of(out / "mergekit"), state_of(out / "xlmerge")


def task(method: str, models: list = THREE, **parameters) -> dict:
    return {"merge_method": method, "base_model": "base", "models": models, "parameters": parameters}


CASES = {
    "linear": {"merge_method": "linear", "models": THREE},
    "linear with base": {"merge_method": "linear", "base_model": "base", "models": THREE, "parameters": {"weight": 2}},
    "linear, base listed": {
        "merge_method": "linear",
        "base_model": "base",
        "models": [*THREE, {"model": "base", "parameters": {"weight": -0.2}}],
    },
    "linear with gradients": {"merge_method": "linear", "models": SOME},
    "linear, whole": {
        "merge_method": "linear",
        "models": [{"model": n, "parameters": {"weight": w}} for n, w in zip(NAMES, (1.5, 0.25, -0.75), strict=True)],
        "parameters": {"normalize": False},
    },
    "task_arithmetic": task("task_arithmetic"),
    "task_arithmetic, normalised": task("task_arithmetic", normalize=True, **{"lambda": 0.7}),
    "task_arithmetic, negative": task(
        "task_arithmetic", [*THREE[:2], {"model": "three", "parameters": {"weight": -0.4}}], **{"lambda": [0.5, 1.5]}
    ),
    "task_arithmetic, filters": task("task_arithmetic", PLAIN, weight=GRADIENT),
    "ties at default density": task("ties"),
    "ties": task("ties", density=0.2),
    "ties, unnormalised": task("ties", density=0.3, normalize=False, int8_mask=True, **{"lambda": 1.2}),
    "ties, density per model": task("ties", SOME),
    "ties, gradients": task("ties", density=[0.1, 0.8], weight=GRADIENT),
    "ties, density 0 for one": task(
        "ties", [*THREE[:2], {"model": "three", "parameters": {"weight": 1, "density": [0, 0, 0.5]}}], density=0.5
    ),
    "breadcrumbs": task("breadcrumbs", density=0.9),
    "breadcrumbs, dense": task("breadcrumbs"),
    "breadcrumbs, few": task("breadcrumbs", density=0.1, gamma=0.3, normalize=True),
    "breadcrumbs, per model": task("breadcrumbs", SOME, gamma=[0.0, 0.2]),
    "breadcrumbs_ties": task("breadcrumbs_ties", density=0.5, gamma=0.1),
    "dare_ties, dense": task("dare_ties"),
    "dare_linear, dense": task("dare_linear"),
    "dare_linear, density 0 for one": task(
        "dare_linear", [*THREE[:2], {"model": "three", "parameters": {"weight": 1, "density": 0}}], normalize=True
    ),
    "della, dense": task("della"),
    "della_linear, dense": task("della_linear"),
    "model_stock": task("model_stock", PLAIN),
    "sce": task("sce", PLAIN),
    "sce, selected": task("sce", PLAIN, select_topk=0.15),
    "sce, one": task("sce", PLAIN[:1], select_topk=0.5),
    "karcher, converged": {
        "merge_method": "karcher",
        "models": PLAIN,
        "dtype": "float64",
        "out_dtype": "float32",
        "parameters": {"tol": 1e-10, "max_iter": 200},
    },
    "karcher": {"merge_method": "karcher", "models": PLAIN},
    "karcher with base": {"merge_method": "karcher", "base_model": "base", "models": PLAIN[:2]},
    "slerp": {"merge_method": "slerp", "base_model": "base", "models": PLAIN[:1], "parameters": {"t": 0.3}},
    "slerp, listed": {
        "merge_method": "slerp",
        "base_model": "two",
        "models": [{"model": "one"}, {"model": "two"}],
        "parameters": {"t": GRADIENT},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_xlmerge_agrees_with_mergekit(case, models, tmp_path):
    theirs, ours = by_both({"dtype": "float32", **CASES[case]}, models, tmp_path)
    assert ours.keys() == theirs.keys()
    absolute = UNFINISHED if case in ("karcher", "karcher with base") else ABSOLUTE
    for name, expected in theirs.items():
        torch.testing.assert_close(
            ours[name], expected, rtol=RELATIVE, atol=absolute, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_the_cases_can_tell_configs_apart(models, tmp_path):
    """A wrong filter, gradient or default would show: the same file without it gives something else."""
    with_filters = CASES["task_arithmetic, filters"]
    _, ours = by_both({**with_filters, "dtype": "float32"}, models, tmp_path)
    plain = {**with_filters, "parameters": {"weight": 0.6}, "dtype": "float32"}
    theirs, _ = by_both(plain, models, tmp_path / "plain")
    different = {n for n, v in theirs.items() if not torch.allclose(ours[n], v, rtol=1e-3)}
    assert different == {n for n in theirs if "attention" in n or "classifier" in n}


@pytest.mark.parametrize("rescale", [{}, {"rescale": True}, {"rescale": False}], ids=["", "rescaled", "not rescaled"])
@pytest.mark.parametrize(
    ("method", "sparsity"), [("dare_linear", {}), ("dare_ties", {}), ("della", {}), ("della_linear", {"epsilon": 0.1})]
)
def test_what_random_masks_keep_is_the_same_but_for_the_masks(method, sparsity, rescale, models, tmp_path):
    one = [{"model": "one", "parameters": {"weight": 1, "density": 0.4, **sparsity}}]
    both = by_both({**task(method, one, **rescale), "dtype": "float32"}, models, tmp_path)
    base = state_of(models / "base")
    name = next(n for n in base if n.endswith("layer.2.intermediate.dense.weight"))
    tau = state_of(models / "one")[name] - base[name]
    for found in (state[name] - base[name] for state in both):
        kept = found != 0
        assert kept.float().mean().item() == pytest.approx(0.4, abs=0.1)  # 384 elements: 4 standard errors
        ratio = (found / tau)[kept]
        torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-4, atol=0)
        if rescale.get("rescale", True):
            assert found.abs().sum().item() == pytest.approx(tau.abs().sum().item(), rel=1e-4)
        else:
            assert ratio[0].item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ({}, {torch.float32}),
        ({"dtype": "bfloat16"}, {torch.bfloat16}),
        ({"dtype": "float32", "out_dtype": "float16"}, {torch.float16}),
    ],
)
def test_the_output_has_the_same_dtype(dtypes, expected, models, tmp_path):
    half = make_model("bert", num_hidden_layers=4, labels=["a", "b", "c", "d", "e"]).to(torch.bfloat16)
    folder = tmp_path / "models"
    write_model(half, folder / "half")
    whole = make_model("bert", num_hidden_layers=4, labels=["a", "b", "c", "d", "e"])
    fine_tune(whole, 1)
    write_model(whole, folder / "base")
    config = {"merge_method": "linear", "parameters": {"weight": 1}}
    config |= {"models": [{"model": "half"}, {"model": "base"}], **dtypes}
    by_both(config, folder, tmp_path)
    for tool in ("mergekit", "xlmerge"):
        stored = [t for p in (tmp_path / tool).glob("*.safetensors") for t in load_file(p).values()]
        assert {t.dtype for t in stored if t.is_floating_point()} == expected, tool
