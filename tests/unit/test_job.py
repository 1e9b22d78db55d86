"""How a job runs: what it is told, and what its sidecar says."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT

JOB = """
from types import SimpleNamespace
from workflow_scripts.core.job import run_job

def main(inputs, outputs, settings, threads):
    return {"told": sorted(settings), "threads": threads}

run_job(main, SimpleNamespace(
    rule="finetune",
    input={"train_digest": "train.digest"},
    output={"info": "model.json"},
    params={"settings": '{"locale": "de-DE", "code": "of the training"}', "code": "of the job", "template": "t"},
    log=None,
    resources={},
    threads=3,
))
"""


def test_the_sidecar_states_the_settings_once_and_the_jobs_own_code(tmp_path):
    (tmp_path / "train.digest").write_text("0a\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", JOB], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sidecar = json.loads((tmp_path / "model.json").read_text())
    assert sidecar["settings"] == {"locale": "de-DE", "code": "of the training"}
    assert sidecar["code"] == "of the job"
    assert (sidecar["told"], sidecar["threads"]) == (["code", "locale"], 3)
    assert sidecar["inputs"] == {"train_digest": "train.digest = 0a"}
