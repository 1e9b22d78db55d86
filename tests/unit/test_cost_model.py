"""Estimates from rates, against figures worked out by hand."""

import json
import math

import pytest

from tests.conftest import preset
from workflow_scripts.planning.estimates import Estimate, Price
from workflow_scripts.planning.forecast import Stage, forecast, gpu_seconds, make_models, unknown_sizes, wall_seconds
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.model import Model, gpu_training_mb, host_mb
from workflow_scripts.planning.overview import overview
from workflow_scripts.planning.rates import Device, read_rates
from workflow_scripts.planning.sizes import Data, Encoder, find_data, find_encoder
from workflow_scripts.planning.work import Work, most_merges
from workflow_scripts.study.study import load_study

BASE = Encoder(layers=12, hidden=768, vocabulary=250_000, body=100_000_000)
N, E = 49, 40  # presets/massive.yaml


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load_study(preset("massive"))


@pytest.fixture
def model(study):
    """10 tokens a sentence, 100 sentences to train on, 64 to validate, 20 to test; round rates on a pretended device."""
    data = Data({"de-DE": {"train": 100, "validation": 64, "test": 20}}, tokens=10, lengths=5, pieces=1000)
    found = Model(study, BASE, data, "gpu")
    layer, rates = {"train": 2e-3, "score": 1e-3}, {"bf16": 3e-9, "float32": 1e-9}
    found.device = Device(
        **{**read_rates().devices["gpu"].model_dump(), "start": 7.0, "layer": layer, "train": rates, "score": rates}
    )
    return found


def job(rule="row", subject="", reasons=("not made yet",), settings=None):
    return Job(rule, subject, {}, {"info": "missing"}, settings, reasons, None)


def test_a_training_is_steps_judgements_and_checkpoints(model):
    """300 steps of 16; 1 batch of 64 to judge by, ten times; 10 checkpoints of 100.768 M numbers, 12 bytes each."""
    learning = 300 * 12 * 2e-3 + 300 * 160 * 1e8 * 3e-9
    judging = 10 * 12 * 1e-3 + 10 * 640 * 1e8 * 3e-9 / 3
    writing = 10 * 100_768_000 * 12 * 2.5e-9
    assert model.price("finetune", []) == Price(pytest.approx(learning + judging + writing), 7, 1, 1, 403_072_000)


def test_frozen_layers_are_passed_once(model):
    """9 of 12 layers: a step costs a quarter; each sentence is passed by the nine once, forward."""
    whole = model.price("finetune", []).seconds
    config = preset("massive")
    config["finetune"] |= {"freeze_embeddings": True, "freeze_layers": 9}
    found = Model(load_study(config), BASE, model.data, "gpu")
    found.device = model.device
    learning = 300 * 3 * 2e-3 + 300 * 40 * 1e8 * 3e-9
    judging = 10 * 3 * 1e-3 + 10 * 160 * 1e8 * 3e-9 / 3
    once, writing = 0.75 * 1640 * 1e8 * 3e-9 / 3, 10 * (4 * 100_768_000 + 8 * 25_000_000) * 2.5e-9
    seconds = found.price("finetune", []).seconds
    assert seconds == pytest.approx(learning + judging + once + writing) and seconds < whole / 3
    assert found.cell() == pytest.approx((0.25 + 0.75 / N) * model.cell())


def test_a_cell_is_passes_of_one_length_each_and_tokens(model):
    price = model.price("row", [])
    assert price.seconds == pytest.approx(2 * 5 * 12 * 1e-3 + 84 * 10 * 1e8 * 1e-9)
    assert price.size == 2 * 84 * (2 * 60 + 7)


def test_a_merge_reads_its_sources_and_the_base(model):
    numbers, base = 100_768_000, 4 * (100_000_000 + 250_000 * 768)
    assert model.merge("ties", 5) == pytest.approx(5 * numbers * 3.2e-9 + base * 2.5e-10)
    assert model.merge("tsv_m", 5) == pytest.approx(5 * numbers * 53.9e-9 + base * 2.5e-10)
    assert model.merge("unheard_of", 1) == pytest.approx(numbers * 10.6e-9 + base * 2.5e-10)


def test_the_speed_of_a_gpu_counts_for_products_only(study, model):
    slow = Model(study, BASE, model.data, "gpu", speed=0.5)
    slow.device = model.device
    assert slow.passes("train", "bf16", 1000, 10) == pytest.approx(10 * 12 * 2e-3 + 2 * 1000 * 1e8 * 3e-9)


def test_a_number_format_that_was_not_measured_has_no_price(study, model):
    config = preset("massive")
    config["finetune"]["precision"] = "tf32"
    found = Model(load_study(config), BASE, model.data, "cpu")
    assert found.price("finetune", []) is None and found.price("row", []) is not None


def test_memory_is_bytes_per_number(model):
    assert gpu_training_mb(model) == pytest.approx((16 * 100_768_000 + 115 * 16 * 10 * 12 * 768) / 1e6)
    assert host_mb(model, "merge") == pytest.approx(1400 + 4 * 292)


def test_data_are_as_prepared_or_as_the_provider_is_known_to_have_them(study, tmp_path):
    assert find_data(study).sentences["de-DE"] == {"train": 11514, "validation": 2033, "test": 2974}
    sidecar = tmp_path / study.paths.examples_info.format(locale="de-DE", split="test")
    sidecar.parent.mkdir(parents=True)
    sidecar.write_text(json.dumps({"n": 7}))
    assert find_data(study).sentences["de-DE"]["test"] == 7
    assert find_data(load_study(preset("tiny"))).sentences["de-DE"] == {"train": 64, "validation": 16, "test": 24}


def test_an_encoder_that_is_there_is_measured(study, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    assert find_encoder(study) == Encoder(12, 768, 250_002, 86_600_000)
    folder = tmp_path / study.paths.base
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"n_layers": 2, "dim": 4, "vocab_size": 10}))
    save_file({"embedding": np.zeros((10, 4), "f4"), "rest": np.zeros(11, "f4")}, folder / "model.safetensors")
    assert find_encoder(study) == Encoder(2, 4, 10, 11)
    (folder / "config.json").write_text(json.dumps({"n_layers": 2, "d_model": 4}))
    assert find_encoder(study) is None, "nothing is guessed"


def test_merges_are_counted_with_the_baselines_that_are_merges(study):
    assert most_merges(study, "de-DE") == E + 1, "average_all"
    seeds = load_study(preset("massive", seeds=[0, 1], baselines=["average_all", "seed_soup", "shrunk_top1"]))
    assert most_merges(seeds, "de-DE") == 2 * E + 2, "every merge's first source, and a soup of two seeds"


def test_wall_time_is_rule_by_rule_and_counts_the_start_of_jobs():
    stages = {
        "finetune": Stage(3, Estimate(300, 300, 600, 0), gpus=2),
        "row": Stage(5, Estimate(500, 500, 500, 0)),
        "matrix": Stage(1, Estimate(3, 3, 0, 0)),
        "evaluate": Stage(5, Estimate(5, 5, 0, 0)),
    }
    light = 3.3 + 2 * 1.3  # four at a time, 0.3 s to start each
    assert wall_seconds(stages, "gpu", 1) == math.inf
    assert wall_seconds(stages, "gpu", 2) == pytest.approx(3 * 106 + 3 * 106 + light)
    assert wall_seconds(stages, "gpu", 8) == pytest.approx(106 + 106 + light)
    assert wall_seconds(stages, "cpu", 5) == pytest.approx(100.3 + 100.3 + 3.3 + 1.3)
    assert gpu_seconds(stages) == pytest.approx(2 * 3 * 106 + 5 * 106)


def finished_row(tmp_path, gpu):
    """A row that took 10 s to get ready and 4 s per cell."""
    cost = {"wall_seconds": 18.0, "cpu_seconds": 18.0, "gpu_seconds": gpu, "setup_seconds": 10.0, "setups": 1}
    info = tmp_path / "row.json"
    info.write_text(json.dumps({"cells": 2, "making_cost": cost}))
    return Job("row", "de-DE", {}, {"info": str(info)}, None, ("changed code",), None)


@pytest.mark.parametrize(("gpu", "device", "other"), [(0.0, "cpu", "gpu"), (18.0, "gpu", "cpu")])
def test_finished_jobs_are_preferred_for_the_device_that_they_ran_on(tmp_path, model, gpu, device, other):
    rows, work = {"row": [finished_row(tmp_path, gpu)]}, {"row": Work(computed=3, jobs=1)}
    stage = forecast(rows, work, device, model)["row"]
    assert not stage.modelled and stage.estimate.seconds == 10 + 3 * 4
    stage = forecast(rows, work, other, model)["row"]
    assert stage.modelled and stage.estimate.seconds == pytest.approx(7 + 3 * model.cell())


def test_what_the_cache_holds_is_not_modelled(model):
    stage = forecast({"row": [job()]}, {"row": Work(cached=3)}, "cpu", model)["row"]
    assert stage == Stage(0, Estimate(0, 0, 0, 0))


def test_what_is_not_known_is_said_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    changes = {"data": {"provider": "local_files", "folder": "data"}, "base": "somebody/encoder"}
    config = preset("tiny", **changes)
    for locale in config["locales"]:
        lines = [json.dumps({"text": "on", "label": "HassTurnOn", "split": s}) for s in ("train", "validation", "test")]
        (tmp_path / "data" / f"{locale}.jsonl").write_text("\n".join(lines))
    study = load_study(config)
    assert make_models(study) == {}
    encoder, data = unknown_sizes(study)
    assert "somebody/encoder" in encoder and "results/tiny/base/base.digest" in encoder and "`snakemake" in data
    text = overview(study, [job("base")])
    assert "?: nothing to estimate from (base); not in the sum: the size of somebody/encoder is not known" in text


def test_what_nobody_measured_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = load_study(preset("methods"))
    assert make_models(study)["cpu"].unmeasured == ["adamerging", "distill", "evolve", "fisher", "regmean"]
    text = overview(study, [job("merge", study.run.locales[0])])
    assert (
        "Merges by adamerging, distill, evolve, fisher, regmean count like" in text and "are taken to have" not in text
    )


def test_every_known_encoder_and_provider_has_sizes(study):
    from workflow_scripts.core import registry

    rates = read_rates()
    assert set(registry.names("encoder")) <= set(rates.encoders)
    assert set(registry.names("data provider")) <= {*rates.data, "local_files"}
    unmeasured = set(registry.names("merge method")) - set(rates.merging.methods)
    assert unmeasured == {"adamerging", "distill", "evolve", "fisher", "per_source", "regmean"}
    assert set(rates.merging.methods) <= set(registry.names("merge method"))


def test_the_slurm_profile_grants_more_memory_than_the_model_foresees(study):
    """profiles/slurm: 4000 MB and five times the encoder for trainings and merges, three times for rows."""
    for name in ("xlm-roberta-base", "xlm-roberta-large", "bundled_encoder"):
        models = make_models(load_study(preset("massive", base=name)))
        for model in models.values():
            megabytes = model.whole / 2**20
            assert host_mb(model, "finetune") < 4000 + 5 * megabytes
            assert max(host_mb(model, "row"), host_mb(model, "merge")) < 4000 + 3 * megabytes
