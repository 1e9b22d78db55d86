"""The study of presets/massive.yaml through Slurm, in miniature: everything is submitted that should be, once."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.cluster.checkout import Checkout
from tests.cluster.one_node_slurm import OneNodeSlurm
from tests.rehearsal import rehearsal_config, write_rehearsal

pytestmark = pytest.mark.cluster
LOCALES = ["en-US", "de-DE", "cy-GB", "sw-KE", "th-TH"]


def test_the_study_in_miniature(cluster: OneNodeSlurm, tmp_path: Path) -> None:
    checkout = Checkout.fresh(tmp_path, cluster, config="study.yaml", run="massive")
    write_rehearsal(checkout.folder, LOCALES)
    config = rehearsal_config(LOCALES)
    (checkout.folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    checkout.run()
    submitted = Counter(job["Comment"].split("_wildcards")[0] for job in checkout.jobs())
    assert submitted == {
        "rule_finetune": len(LOCALES),
        "rule_row": len(LOCALES),
        "rule_compare_languages": 3,
        "rule_merge": len(LOCALES),
    }
    rows = [json.loads(p.read_text()) for p in checkout.results.glob("nxn/rows/*/seed0/row.json")]
    assert sum(r["cells_computed"] for r in rows) == len(LOCALES) ** 2
    details = pd.read_csv(checkout.results / "report" / "merge_details.csv")
    assert len(details) == details["experiment"].nunique() * len(LOCALES) > 100
    assert (checkout.results / "report" / "reference_comparison.csv").exists()
