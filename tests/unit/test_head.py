"""What sbatch and Slurm said is found in Snakemake's log, whatever else stands there."""

from workflow_scripts.core.messages import SHOWN, batch_system_errors

REFUSED = """\
[Sun Nov 22 06:07:12 2026]
Error in rule finetune:
    message: SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: none
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    sbatch call:
        sbatch --parsable --comment rule_finetune_wildcards_{locale}_0 --wrap="snakemake message: x"
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 1
"""
KILLED = """\
Error in rule row:
    message: SLURM-job '{job}' failed, SLURM status is: 'OUT_OF_MEMORY'.
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 2
"""
LOCAL = """\
Error in rule merge:
    message: None
    jobid: 3
    output: results/demo/merge
"""


def found(tmp_path, *parts):
    (tmp_path / "log").write_text("Building DAG of jobs...\n" + "".join(parts) + "Elapsed time: 0:00:15\n")
    return batch_system_errors([tmp_path / "log"])


def test_a_refusal_is_said_once_and_whole(tmp_path):
    texts = found(tmp_path, REFUSED.format(locale="de-DE"), LOCAL, REFUSED.format(locale="en-US"))
    assert texts == [
        "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: none\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified'."
    ]


def test_failures_of_different_jobs_are_told_apart(tmp_path):
    texts = found(tmp_path, KILLED.format(job=7), KILLED.format(job=8))
    assert texts == [f"SLURM-job '{job}' failed, SLURM status is: 'OUT_OF_MEMORY'." for job in (7, 8)]


def test_of_many_the_first_are_shown(tmp_path):
    texts = found(tmp_path, *(KILLED.format(job=job) for job in range(SHOWN + 5)))
    assert len(texts) == SHOWN + 1 and texts[-1] == "5 more messages are in Snakemake's log"


def test_local_failures_have_no_message(tmp_path):
    assert found(tmp_path, LOCAL) == []
