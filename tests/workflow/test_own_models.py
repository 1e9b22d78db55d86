"""Users' own models in the place of trainings: what a run makes of them is what it makes of its own."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.conftest import shared, snakemake, succeeded
from tests.dataset import LOCALES, local_config, write_dataset
from workflow_scripts.evaluation.packs import read_pack

ABLATIONS = [{"name": "all", "fixed": {"num_languages": 2}, "sweep": {"method": ["average", "ties"]}}]
OWN = ["de-DE", "es-ES"]


CONFIG = local_config(LOCALES, run="mixed", models={s: f"own/{s}-{{seed}}" for s in OWN}, ablations=ABLATIONS)
ELSEWHERE = "results/mixed/export/ties_URIEL_k2_exc/en-US/seed0"
EXPORTED = "results/mixed/export/es-ES/seed0"


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished run of trained models, two of them exported, and one of the latter in their place.

    One of the two has its labels in another order. Do not change what is in the folder.
    """
    yield from shared(tmp_path_factory, "own_models", make_runs)


def make_runs(folder: Path) -> None:
    write_dataset(folder / "data", LOCALES)
    config = local_config(LOCALES, run="trained", ablations=ABLATIONS)
    succeeded(snakemake(folder, config, "merges", *(f"results/trained/export/{s}/seed0" for s in OWN)))
    for locale in OWN:
        shutil.copytree(folder / f"results/trained/export/{locale}/seed0", folder / f"own/{locale}-0")
    permute_labels(folder / "own/es-ES-0")
    succeeded(snakemake(folder, CONFIG, "all", EXPORTED))
    assert "Nothing to be done" in succeeded(snakemake(folder, CONFIG))


def permute_labels(folder: Path) -> None:
    """Write the model with its labels in the opposite order."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    labels = list(model.config.id2label.values())[::-1]
    model.config.id2label, model.config.label2id = dict(enumerate(labels)), {x: i for i, x in enumerate(labels)}
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(parameter.flip(0))
    model.save_pretrained(folder)


@pytest.fixture
def results(directory: Path) -> Path:
    return directory / "results"


def predictions(results: Path, run: str, pack: str, entry: str) -> np.ndarray:
    return read_pack(results / run / pack / "seed0/test.safetensors", entry).predictions


def test_every_model_predicts_what_the_trained_one_does(results: Path) -> None:
    for model in LOCALES:
        for target in LOCALES:
            found, expected = (predictions(results, run, f"nxn/rows/{model}", target) for run in ("mixed", "trained"))
            assert (found == expected).all(), (model, target)


def test_merges_are_those_of_the_trained_models(results: Path) -> None:
    for target in LOCALES:
        for name in ("average_URIEL_k2_exc", "ties_URIEL_k2_exc"):
            found, expected = (predictions(results, run, f"merge/{target}", name) for run in ("mixed", "trained"))
            assert (found == expected).all(), (target, name)


def test_only_the_third_locale_is_trained_and_the_files_say_so(results: Path) -> None:
    sidecars = {s: json.loads((results / f"mixed/models/{s}/seed0/model.json").read_text()) for s in LOCALES}
    assert {s: sidecar["rule"] for s, sidecar in sidecars.items()} == {
        s: "import_model" if s in OWN else "finetune" for s in LOCALES
    }
    report = json.loads((results / "mixed/models/es-ES/seed0/training.json").read_text())
    assert report["head_cosine"] > 0.5 and 0 < report["distance"] < 0.5
    assert any("another order" in note for note in report["notes"])
    assert json.loads((results / "mixed/models/de-DE/seed0/training.json").read_text())["source"] == "own/de-DE-0"


@pytest.fixture(scope="session")
def replaced(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy in which a model with a head from elsewhere took the place of an own one, run once more."""

    def make(folder: Path) -> None:
        shutil.copytree(directory, folder, symlinks=True, dirs_exist_ok=True)
        model = AutoModelForSequenceClassification.from_pretrained(folder / "own/de-DE-0")
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in model.classifier.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
        model.save_pretrained(folder / "own/de-DE-0")
        said = succeeded(snakemake(folder, CONFIG, "merges", ELSEWHERE))
        (folder / "said").write_text(said, encoding="utf-8")

    yield from shared(tmp_path_factory, "own_models_replaced", make)


def test_another_model_in_its_place_renews_what_is_made_of_it(replaced: Path, results: Path) -> None:
    said = (replaced / "said").read_text(encoding="utf-8")
    assert "did not start from θ₀'s" in said and "little in common" in said
    digest = "mixed/models/de-DE/seed0/model.digest"
    assert (replaced / "results" / digest).read_text() != (results / digest).read_text()
    facts = json.loads((replaced / "results/mixed/merge/en-US/seed0/merges.json").read_text())
    assert facts["ties_URIEL_k2_exc"]["head_cosines"][0][1] < 0.5


def test_a_head_from_elsewhere_is_averaged_not_trimmed(replaced: Path) -> None:
    merged = AutoModelForSequenceClassification.from_pretrained(replaced / ELSEWHERE)
    sources = [AutoModelForSequenceClassification.from_pretrained(replaced / f"own/{s}-0") for s in OWN]
    order = [sources[1].config.label2id[label] for label in sources[0].config.id2label.values()]
    plan = json.loads((replaced / "results/mixed/selection/plan.json").read_text())["ties_URIEL_k2_exc/en-US/0"]
    weights = {s["locale"]: s["weight"] for s in plan["sources"]}
    expected = weights["de-DE"] * sources[0].classifier.weight + weights["es-ES"] * sources[1].classifier.weight[order]
    torch.testing.assert_close(merged.classifier.weight, expected, atol=1e-5, rtol=1e-4)


# --- what does not fit


@pytest.fixture
def inputs(directory: Path, tmp_path: Path) -> Path:
    """A copy of the data and the own models."""
    for name in ("data", "own"):
        shutil.copytree(directory / name, tmp_path / name)
    return tmp_path


def refused(inputs: Path, **changes: object) -> str:
    config = local_config(LOCALES, run="bad", ablations=ABLATIONS, **changes)
    done = snakemake(inputs, config, "results/bad/models/de-DE/seed0/model.digest")
    assert done.returncode == 1
    return " ".join(done.stdout.split())


def test_one_model_cannot_stand_for_several_seeds(inputs: Path) -> None:
    assert "one model cannot stand for 2 seeds" in refused(inputs, models={"de-DE": "own/de-DE-0"}, seeds=[0, 1])


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"fr-FR": "own/de-DE-0"}, "fr-FR is not among the run's locales"),
        ({"de-DE": "./nowhere"}, "models.de-DE: there is no folder"),
        ({"de-DE": "data"}, "without a config.json"),
    ],
)
def test_what_is_known_to_be_wrong_is_said_before_anything_runs(inputs: Path, models: dict, message: str) -> None:
    assert message in refused(inputs, models=models)


def test_other_labels_are_an_error_that_names_them(inputs: Path) -> None:
    folder = inputs / "own/other-labels"
    shutil.copytree(inputs / "own/de-DE-0", folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {i: f"LABEL_{i}" for i in config["id2label"]}
    config["label2id"] = {label: int(i) for i, label in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config))
    output = refused(inputs, models={"de-DE": "own/other-labels"})
    assert "labels differ" in output and "LABEL_0" in output and "id2label" in output, output


def test_another_vocabulary_is_an_error(inputs: Path) -> None:
    folder = inputs / "own/other-vocabulary"
    shutil.copytree(inputs / "own/de-DE-0", folder, dirs_exist_ok=True)
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = json.loads(text)
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, dict):
        first, second, *_ = sorted(vocabulary, key=vocabulary.__getitem__, reverse=True)
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    else:
        vocabulary[-1], vocabulary[-2] = vocabulary[-2], vocabulary[-1]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert "vocabularies" in refused(inputs, models={"de-DE": "own/other-vocabulary"})


def test_an_own_model_is_exported_with_a_card_that_names_its_source(directory: Path, results: Path) -> None:
    target = directory / EXPORTED
    assert "| source | own/es-ES-0 |" in (target / "README.md").read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(target)
    model = AutoModelForSequenceClassification.from_pretrained(target).eval()
    texts = pd.read_parquet(results / "mixed/data/es-ES/test.parquet")["text"].tolist()
    with torch.inference_mode():
        found = np.array([model(**tokenizer(t, return_tensors="pt")).logits[0].argmax().item() for t in texts])
    assert (found == predictions(results, "mixed", "nxn/rows/es-ES", "es-ES")).all()
