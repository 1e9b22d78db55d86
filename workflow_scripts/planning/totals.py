"""The plan's last lines: hours, wall time by number of GPUs, memory, disk, and how sure all that is."""

import os
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from workflow_scripts.core.words import duration, hours, size
from workflow_scripts.planning.forecast import Forecast, gpu_seconds, wall_seconds
from workflow_scripts.planning.model import MB, SUBMITTED, Model, gpu_training_mb, host_mb
from workflow_scripts.planning.work import Work

UNKNOWN = "not known, because of the rules marked ?."
NEEDED = ("finetune", "row", "merge")  # rules whose memory is said


def totals(
    forecasts: Mapping[str, Forecast], models: Mapping[str, Model], work: Mapping[str, Work], gpus: Sequence[int]
) -> list[str]:
    """Return the paragraphs of the totals; none without a job that would be submitted."""
    submitted = [rule for rule in forecasts["cpu"] if rule in SUBMITTED and forecasts["cpu"][rule].jobs]
    if not submitted or not models:
        return []
    return [
        _with_gpus(forecasts["gpu"], models["gpu"], gpus),
        _without(forecasts["cpu"]),
        "\n".join(filter(None, (_memory(models, submitted), _disk(models["cpu"], work)))),
        "\n".join(filter(None, (_errors(forecasts, models), *_assumptions(forecasts["cpu"], models["cpu"])))),
    ]


def _with_gpus(stages: Forecast, model: Model, gpus: Sequence[int]) -> str:
    if not _complete(stages):
        return f"With GPUs: {UNKNOWN}"
    light = sum(s.estimate.seconds for rule, s in stages.items() if rule not in SUBMITTED and s.estimate)
    speed = f" at {model.speed:g} of its speed" if model.speed != 1 else ""
    held = _mark(stages) + hours(gpu_seconds(stages))
    head = (
        f"With GPUs ({model.device.name}{speed}, each for one job): {held} GPU-hours, "
        f"{model.device.submission:.0f} s to start each job included; beside them {hours(light)} CPU-hours."
    )
    walls = (duration(wall_seconds(stages, "gpu", count)) for count in gpus)
    rows = [["wall time", *(_mark(stages) + wall for wall in walls)]]
    return f"{head}\n{tabulate(rows, headers=['GPUs', *map(str, gpus)], tablefmt='simple', disable_numparse=True)}"


def _without(stages: Forecast) -> str:
    if not _complete(stages):
        return f"Without a GPU: {UNKNOWN}"
    cores = os.cpu_count() or 1
    seconds = sum(stage.estimate.cpu_seconds for stage in stages.values() if stage.estimate)
    wall = duration(wall_seconds(stages, "cpu", cores))
    return f"Without a GPU: {_mark(stages)}{hours(seconds)} CPU-hours, {_mark(stages)}{wall} on {cores} cores."


def _complete(stages: Forecast) -> bool:
    return all(stage.estimate for stage in stages.values())


def _mark(stages: Forecast) -> str:
    return "~" if any(stage.modelled for stage in stages.values()) else ""


def _memory(models: Mapping[str, Model], rules: Sequence[str]) -> str:
    said = []
    for rule in (rule for rule in NEEDED if rule in rules):
        without, host = (size(host_mb(models[name], rule) * MB) for name in ("cpu", "gpu"))
        gpu = f" and {size(gpu_training_mb(models['gpu']) * MB)} of GPU memory" if rule == "finetune" else ""
        said.append(f"{rule} {without} (with a GPU {host}{gpu})")
    return f"Peak memory of a job: {', '.join(said)}." if said else ""


def _disk(model: Model, work: Mapping[str, Work]) -> str:
    trainings, merges = work["finetune"].most, work["merge"].most
    said = []
    if trainings:
        said.append(
            f"{trainings} task vectors of {size(model.task_vector)}, {size(trainings * model.task_vector)} (whole "
            f"checkpoints would be {size(trainings * model.whole)}), and {size(2 * model.checkpoint)} beside each "
            "running training"
        )
    if merges:
        said.append(f"no merged weights (kept, they would be {size(merges * model.whole)})")
    return f"Disk: {'; '.join(said)}." if said else ""


def _errors(forecasts: Mapping[str, Forecast], models: Mapping[str, Model]) -> str:
    said = []
    for name, model in models.items():
        if any(stage.modelled for rule, stage in forecasts[name].items() if rule in SUBMITTED):
            checked = model.device.checked
            factors = f"by a factor of {checked.total:g} in total, {checked.worst:g} at worst ({checked.stage})"
            said.append(f"{name.upper()} time {factors}, on {checked.run}")
    return f"Error of such estimates (docs/how-to/costs.md): {'; '.join(said)}." if said else ""


def _assumptions(stages: Forecast, model: Model) -> list[str]:
    """Return what estimates rest on that nobody measured for this run."""
    said = []
    provider = model.study.run.data.provider
    if provider not in model.rates.data and any(stage.modelled for stage in stages.values()):
        said.append(f"Sentences are taken to have {model.data.tokens:g} tokens in the mean.")
    if model.unmeasured and "merge" in stages and stages["merge"].modelled:
        said.append(
            f"Merges by {', '.join(model.unmeasured)} count like those of the slowest method without factorisations; "
            "what is measured or learned on models for them is not in the estimate."
        )
    return said
