"""The rehearsal of the 49-locale study on a real Slurm, with a dozen locales and all experiments."""

import json
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.cluster.checkout import Checkout
from tests.cluster.one_node_slurm import OneNodeSlurm
from tests.conftest import preset
from tests.massive import group
from tests.rehearsal import rehearsal_config, write_rehearsal

# They understand each other, so that every measure leaves the balancing selector five sources.
LOCALES: list[str] = [locale for locale in preset("massive")["locales"] if group(locale) == group("en-US")][:12]
CONFIG = rehearsal_config(LOCALES)
HEAVY = ("EMBEDDING", "SUBWORD_OVERLAP", "TASK_VECTOR_COSINE")  # similarities that need models or texts
pytestmark = [pytest.mark.cluster, pytest.mark.rehearsal]


@pytest.fixture(scope="module")
def finished(cluster: OneNodeSlurm, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the documented command has run once."""
    folder = tmp_path_factory.mktemp("slurm-rehearsal")
    checkout = Checkout.fresh(folder, cluster, config="run.yaml", run="massive")
    write_rehearsal(folder, LOCALES)
    (folder / "run.yaml").write_text(yaml.safe_dump(CONFIG, allow_unicode=True, sort_keys=False))
    checkout.run(seconds=1500)
    return checkout


def test_every_model_row_and_merge_is_one_job(finished: Checkout) -> None:
    jobs = finished.jobs()
    assert all(job["JobState"] == "COMPLETED" for job in jobs)
    per_locale = [f"{rule}_wildcards_{locale}_0" for rule, locale in product(("finetune", "merge", "row"), LOCALES)]
    similarities = [f"compare_languages_wildcards_{measure}_0" for measure in HEAVY]
    assert sorted(job["Comment"].removeprefix("rule_") for job in jobs) == sorted([*per_locale, *similarities])


def test_nothing_is_missing(finished: Checkout) -> None:
    experiments = 40
    assert len(json.loads((finished.results / "selection/plan.json").read_text())) == (experiments + 1) * len(LOCALES)
    details = pd.read_csv(finished.results / "report/merge_details.csv")
    assert len(details) == experiments * len(LOCALES) and not details["accuracy"].isna().any()
    rows = [json.loads((finished.results / f"nxn/rows/{name}/seed0/row.json").read_text()) for name in LOCALES]
    assert sum(len(row["computed"]) for row in rows) == len(LOCALES) ** 2


def test_models_and_cells_are_those_of_the_local_run_with_more_locales(finished: Checkout, rehearsal_run: Path) -> None:
    local = rehearsal_run / "results" / "massive"
    for name in LOCALES:
        model = f"models/{name}/seed0/model.digest"
        assert (finished.results / model).read_text() == (local / model).read_text(), name
    for name in ("evaluation_matrix.csv", "evaluation_matrix_validation.csv"):
        here, there = (pd.read_csv(run / "nxn" / name, index_col=0) for run in (finished.results, local))
        pd.testing.assert_frame_equal(here, there.loc[LOCALES, LOCALES], check_exact=True)
