"""The jobs of a run as Snakemake sees them now: which are due, and why."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.common.tbdstring import TBDString
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from workflow_scripts.core.environment import workflow_folder
from workflow_scripts.study.study import Study, load_study

SUBJECTS = ("locale", "target", "measure")  # wildcards


@dataclass(frozen=True)
class Job:
    """One job of the DAG.

    Attributes
    ----------
    rule : str
    subject : str
        What of its rule the job is about: a locale, a measure, a figure.
    inputs, outputs : dict
        By name, as the job itself would get them.
    settings : dict or None
        The job's decoded settings; None while they depend on a selection that has yet to run.
    reasons : tuple of str
        Why it is due, or may turn out to be; empty if it is not.
    seconds : float or None
        What the job took when it last ran, by Snakemake's records.
    """

    rule: str
    subject: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    settings: dict[str, Any] | None
    reasons: tuple[str, ...]
    seconds: float | None

    @property
    def due(self) -> bool:
        """Tell whether the next run starts the job, as far as is known now."""
        return bool(self.reasons)

    @property
    def files(self) -> list[str]:
        """All output files."""
        return [f for value in self.outputs.values() for f in ([value] if isinstance(value, str) else value)]


def read_jobs(arguments: list[str]) -> tuple[Study, list[Job], Path] | None:
    """Return the study, all jobs in the order of their rules, and the folder that the run's paths belong to.

    None after a message about what is wrong.

    Parameters
    ----------
    arguments : list of str
        As for ``snakemake``: ``--configfile``, ``--directory``, ``--config``, ``--forcerun`` and targets count.
    """
    _, options = parse_args(["--snakefile", str(workflow_folder() / "Snakefile"), *arguments])
    folder = Path(options.directory or ".").resolve()
    quiet = OutputSettings(
        quiet={Quietness.RULES, Quietness.PROGRESS},  # the dry run ends when the DAG is built
        log_level_override=logging.ERROR,
        enable_file_logging=False,
        dryrun=True,
    )
    with SnakemakeApi(quiet) as api:
        try:
            workflow_api = api.workflow(
                ResourceSettings(cores=1),
                ConfigSettings(config=parse_config(options.config), configfiles=options.configfile),
                snakefile=options.snakefile,
                workdir=options.directory,
            )
            workflow_api.dag(_dag_settings(options)).execute_workflow(
                pseudo_executor="dryrun", execution_settings=ExecutionSettings(lock=False)
            )
            workflow = workflow_api._workflow  # Snakemake's API builds the DAG but does not hand it out
            return load_study(workflow.config), jobs_of(workflow), folder
        except Exception as error:  # Snakemake's printer finds the rule and the line, as for a run
            api.print_exception(error)
            return None


def _dag_settings(options: Any) -> DAGSettings:
    return DAGSettings(
        targets=options.targets,
        forceall=options.forceall,
        forcerun=options.forcerun,
        force_incomplete=options.rerun_incomplete,
        rerun_triggers=options.rerun_triggers,
        max_checksum_file_size=options.max_checksum_file_size,
    )


def jobs_of(workflow: Any) -> list[Job]:
    """Return all jobs with outputs, in the order of their rules, of a workflow whose DAG is built."""
    dag = workflow.dag
    order = {rule.name: i for i, rule in enumerate(workflow.rules)}
    producers = {str(file): job.rule.name for job in dag.jobs for file in job.output}
    jobs = [job for job in dag.jobs if job.output]
    jobs.sort(key=lambda job: (order[job.rule.name], sorted(map(str, job.output))))
    return [
        Job(
            rule=job.rule.name,
            subject=next((job.wildcards_dict[k] for k in SUBJECTS if k in job.wildcards_dict), ""),
            inputs=_named(job.input),
            outputs=_named(job.output),
            settings=_settings(job.params.get("settings")),
            reasons=tuple(_reasons(job, dag.reason(job), producers)) if dag.needrun(job) else _perhaps(job),
            seconds=_recorded_seconds(workflow.persistence.metadata(job.output[0])),
        )
        for job in jobs
    ]


def _named(files: Any) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, str) else [str(v) for v in value]
        for name, value in files.items()
        if value is not None
    }


def _settings(text: Any) -> dict[str, Any] | None:
    return None if text is None or isinstance(text, TBDString) else json.loads(text)


def _perhaps(job: Any) -> tuple[str, ...]:
    """Return the reason of a job that becomes due if the selection changes; Snakemake lists it only then."""
    return ("perhaps, after select",) if isinstance(job.params.get("settings"), TBDString) else ()


def _recorded_seconds(record: Any) -> float | None:
    if record is None or record.endtime is None or record.starttime is None:
        return None
    return float(record.endtime - record.starttime)


def _reasons(job: Any, reason: Any, producers: dict[str, str]) -> Iterable[str]:
    """Yield the reasons from the most to the least telling one."""
    if reason.forced:
        yield "forced"
    if reason.missing_output:
        yield "an output is missing" if any(Path(file).exists() for file in job.output) else "not made yet"
    if reason.incomplete_output:
        yield "was interrupted"
    changed = sorted(map(str, set(reason.updated_input) - set(reason.updated_input_run)))
    if changed:
        yield f"changed {changed[0]}" + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")
    if reason.params_changed:
        code = str(job.params.get("code", "")) in {text.strip("'\"") for text in reason.params_changed.only_new}
        yield "changed code" if code else "changed settings"
    if reason.input_changed:
        yield "other inputs than before"
    if reason.software_stack_changed:
        yield "changed environment"
    upstream = {producers[str(file)]: None for file in reason.updated_input_run if str(file) in producers}
    if upstream:
        yield f"after {', '.join(sorted(upstream))}"
    if not reason:
        yield str(reason)
