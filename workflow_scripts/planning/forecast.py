"""What each rule's due jobs will take: by the run's own finished jobs, or else by measured rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

from workflow_scripts.planning.estimates import Estimate, estimate, price_of_finished
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.model import SUBMITTED, Model
from workflow_scripts.planning.rates import read_rates
from workflow_scripts.planning.sizes import find_data, find_encoder
from workflow_scripts.planning.work import Work
from workflow_scripts.study.study import Study

DEVICES = ("cpu", "gpu")
TRAININGS = ("finetune", "train_baselines")  # whose jobs hold `finetune.gpus` GPUs; no faster than with one, to be safe
LIGHT_CORES = 4  # local-cores of profiles/slurm


@dataclass(frozen=True)
class Stage:
    """What a rule's due jobs will take.

    Attributes
    ----------
    jobs : int
        Those with something to compute.
    estimate : Estimate or None
    modelled : bool
        Is it from measured rates, and not from this run's finished jobs?
    gpus : int
        GPUs that one of its jobs holds, where there are any.
    """

    jobs: int
    estimate: Estimate | None
    modelled: bool = False
    gpus: int = 1


Forecast = Mapping[str, Stage]  # by rule


def make_models(study: Study, speed: float = 1.0) -> dict[str, Model]:
    """Return a model per kind of device; none if the encoder's or the data's sizes are unknown."""
    encoder, data = find_encoder(study), find_data(study)
    if encoder is None or data is None:
        return {}
    return {name: Model(study, encoder, data, name, speed if name == "gpu" else 1.0) for name in DEVICES}


def unknown_sizes(study: Study) -> list[str]:
    """Return what a model lacks, each with the remedy."""
    reasons = []
    if find_encoder(study) is None:
        fetch = f"`snakemake --cores 1 --configfile … {study.paths.base_digest}`"
        reasons.append(f"the size of {study.run.base.name} is not known before it is there: {fetch} fetches it")
    if find_data(study) is None:
        reasons.append("the data are not counted yet: `snakemake --cores 1 --configfile … data` prepares them")
    return reasons


def forecast(
    by_rule: Mapping[str, Sequence[Job]], work: Mapping[str, Work], device: str, model: Model | None
) -> dict[str, Stage]:
    """Return what each rule's due jobs will take on one kind of device.

    Parameters
    ----------
    by_rule : mapping
        Rule → all its jobs.
    work : mapping
        Of the rules that look things up.
    device : {"cpu", "gpu"}
    model : Model or None
        For what this run's finished jobs do not tell.
    """
    finished = {rule: price_of_finished(rule, jobs, work.get(rule)) for rule, jobs in by_rule.items()}
    on_gpu = any(price.gpu for price in finished.values() if price)
    stages = {}
    for rule, jobs in by_rule.items():
        price, counted = finished[rule], work.get(rule)
        if rule in SUBMITTED and on_gpu != (device == "gpu"):
            price = None  # it tells of the other kind of device
        modelled = price is None and model is not None
        if price is None and model is not None:
            price = model.price(rule, jobs)
        gpus = model.study.run.finetune.gpus if model and rule in TRAININGS else 1
        if price is not None and rule in SUBMITTED and device == "gpu":
            price = replace(price, gpu=float(gpus))
        due = counted.jobs if counted else sum(job.due for job in jobs)
        stages[rule] = Stage(due, estimate(jobs, counted, price), modelled and bool(due), gpus)
    return stages


def wall_seconds(stages: Forecast, device: str, slots: int) -> float:
    """Return how long the rules take one after the other, `slots` of their submitted jobs at a time.

    Jobs of a rule count as equally long. With GPUs, light jobs run where Snakemake does, four at a time. Infinite if a
    training wants more GPUs.
    """
    total = 0.0
    for rule, stage in stages.items():
        if stage.estimate and stage.jobs:
            places = _places(rule, stage, device, slots)
            if not places:
                return inf
            each = stage.estimate.seconds / stage.jobs + submission(rule, device)
            total += ceil(stage.jobs / places) * each
    return total


def _places(rule: str, stage: Stage, device: str, slots: int) -> int:
    """Return how many of a rule's jobs run side by side."""
    if device == "cpu":
        return slots
    return slots // stage.gpus if rule in SUBMITTED else LIGHT_CORES


def submission(rule: str, device: str) -> float:
    """Return the seconds that starting a job takes."""
    devices = read_rates().devices
    return devices[device if rule in SUBMITTED else "cpu"].submission


def gpu_seconds(stages: Forecast) -> float:
    """Return how long jobs hold GPUs, the time to start them included."""
    held = [(stage, submission(rule, "gpu")) for rule, stage in stages.items() if rule in SUBMITTED]
    return sum(stage.estimate.gpu_seconds + stage.jobs * stage.gpus * start for stage, start in held if stage.estimate)
