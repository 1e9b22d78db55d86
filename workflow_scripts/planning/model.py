"""What jobs will take before any of them has run: measured rates times counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import ceil
from statistics import fmean
from typing import Literal

from workflow_scripts.core import registry
from workflow_scripts.models.length import length_of
from workflow_scripts.planning.estimates import COPIES, Price
from workflow_scripts.planning.jobs import Job
from workflow_scripts.planning.rates import read_rates
from workflow_scripts.planning.sizes import Data, Encoder
from workflow_scripts.selection.systems import AVERAGE_ALL, FEW_SHOT, SHRUNK_TOP1, system
from workflow_scripts.selection.trainings import ALL
from workflow_scripts.study.study import Study

Kind = Literal["train", "score"]
MB = 1e6
ON_HOST = 12  # bytes per trained number on the host of a GPU: the model, θ₀ and their difference
NUMBER = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes
SCORE = 7  # bytes beside a sentence's logits, which are float16: prediction, correctness, loss
EVALUATION_BATCH = 64  # of a Trainer
MOMENTS = 8  # bytes of the optimiser's state per trained number
SAMPLE, CHECKED, FORMATS = 400, 5, 3  # sentences and models of the rule `precision`, and the number formats it runs
SENTENCE = 60  # bytes in an example table
TOKENIZER = 17e6  # bytes beside θ₀'s weights


class Unmeasured(LookupError):
    """A number format that a device was not measured in."""


class Model:
    """Prices of jobs on one kind of device.

    Parameters
    ----------
    study : Study
    encoder : Encoder
    data : Data
    device : {"cpu", "gpu"}
    speed : float
        Products per second, relative to the measured device.
    """

    def __init__(self, study: Study, encoder: Encoder, data: Data, device: str, speed: float = 1.0) -> None:
        self.study, self.encoder, self.data = study, encoder, data
        self.name, self.speed = device, speed
        self.rates = read_rates()
        self.device = self.rates.devices[device]

    def price(self, rule: str, jobs: Sequence[Job]) -> Price | None:
        """Return the price of a training, cell or merge, or of a job of any other rule; None without a rate."""
        light = self.rates.light
        if rule not in SUBMITTED:
            seconds = light.get(rule, light["other"]) + (self._evaluation() if rule == "evaluate" else 0)
            return Price(seconds, size=self._size(rule))
        try:
            seconds = SUBMITTED[rule](self, jobs)
        except Unmeasured:
            return None
        return Price(seconds, self.device.start, 1.0, float(self.name == "gpu"), self._size(rule))

    def mean(self, split: str) -> float:
        """Return the mean number of a split's sentences."""
        return fmean(counts[split] for counts in self.data.sentences.values())

    def passes(self, kind: Kind, precision: str, tokens: float, batches: float) -> float:
        """Return the seconds of passes through the encoder: what each batch costs, and what its tokens cost."""
        rates = getattr(self.device, kind)
        if precision not in rates:
            raise Unmeasured(f"{self.device.name} was not measured in {precision}")
        rate = rates[precision] / self.speed
        return batches * self.encoder.layers * getattr(self.device.layer, kind) + tokens * self.encoder.body * rate

    def scoring(self, sentences: float, tables: int) -> float:
        """Return the seconds of scoring some tables that hold so many sentences together."""
        settings = self.study.run.evaluation
        batches = tables * self.data.batches(sentences / tables, settings.batch_tokens)
        return self.passes("score", settings.precision, sentences * self.data.tokens, batches)

    def training(self, sentences: float, validation: float, count: int | None = None) -> float:
        """Return the seconds of a training: its steps, and its judgements, each with a checkpoint.

        Parameters
        ----------
        sentences, validation : float
        count : int, optional
            Steps, instead of the most that the settings allow; a training may end earlier.
        """
        settings = self.study.run.finetune
        length = length_of(settings.model_dump(), ceil(sentences))
        done, every = count or length.most, length.judged_every
        batch = min(sentences, settings.batch_size * settings.gradient_accumulation)
        below, above = self._frozen_share, 1 - self._frozen_share
        learning = self.passes("train", settings.precision, above * done * batch * self.data.tokens, above * done)
        once = below * (sentences + validation) * self.data.tokens / 3  # a forward pass is a third of a step
        judgements = ceil(done / every)
        judged = above * judgements * validation * self.data.tokens / 3
        batches = judgements * ceil(validation / EVALUATION_BATCH) * self.encoder.layers * above
        judging = batches * self.device.layer.score + self.passes("train", settings.precision, judged + once, 0)
        return learning + judging + judgements * self.checkpoint * self.rates.disk.write

    @cached_property
    def _frozen_share(self) -> float:
        """Share of the encoder's layers that are kept as they are."""
        return self.study.run.finetune.freeze_layers / self.encoder.layers

    @cached_property
    def trained(self) -> float:
        """Numbers that fine-tuning changes: those of a task vector."""
        frozen = self.study.run.finetune.freeze_embeddings
        return (1 - self._frozen_share) * self.encoder.body + (0 if frozen else self.data.pieces * self.encoder.hidden)

    @cached_property
    def checkpoint(self) -> float:
        """Bytes of a running training's checkpoint."""
        compact = self.encoder.body + self.data.pieces * self.encoder.hidden
        return NUMBER["float32"] * compact + MOMENTS * self.trained

    @property
    def task_vector(self) -> float:
        """Bytes of a model on disk."""
        return self.trained * NUMBER[self.study.run.finetune.storage]

    @property
    def whole(self) -> float:
        """Bytes of a model on disk, were it kept as a whole."""
        return self.encoder.parameters * NUMBER["float32"]

    def merge(self, method: str, sources: int) -> float:
        """Return the seconds of merging so many sources and loading the result."""
        merging = self.rates.merging
        rate = merging.methods.get(method, merging.unmeasured) * 1e-9
        if method in merging.factorised.methods:
            rate *= self.encoder.hidden / merging.factorised.hidden
        return sources * self.trained * rate + self.whole * self.rates.disk.read_base

    def cell(self) -> float:
        """Return the seconds of scoring a model on one locale; frozen layers are passed once for all models."""
        whole = self.scoring(self.mean("test") + self.mean("validation"), 2)
        return (1 - self._frozen_share + self._frozen_share / len(self.study.run.locales)) * whole

    @property
    def unmeasured(self) -> list[str]:
        """The run's merge methods that no rate is known for."""
        methods = {spec.settings["method"] for spec in self.study.experiments.values()}
        return sorted(methods - set(self.rates.merging.methods))

    def _finetune(self) -> float:
        return self.training(self.mean("train"), self.mean("validation"))

    def _evaluation(self) -> float:
        merges = len(list(self._merges())) / len(self.study.run.locales)
        return self.rates.light["evaluate_merge"] * merges * len(self.study.run.seeds)

    def _merges(self) -> Iterator[float]:
        """Yield the seconds of making and scoring each merge of a seed, for all targets."""
        run, scoring = self.study.run, self.cell()
        others = len(run.locales) - 1
        for spec in self.study.experiments.values():
            seconds = self.merge(spec.settings["method"], self.study.sources_of(spec)) + scoring
            shrunk = [2 * self.merge("average", 1) + scoring] if SHRUNK_TOP1 in run.baselines else []
            yield from [seconds, *shrunk] * len(spec.targets)
        for name in self.study.merged_baselines:
            sources = others if name == AVERAGE_ALL else 1 if system(name).scaled else len(run.seeds)
            yield from [self.merge("average", sources) + scoring] * len(run.locales)

    def _trained_baselines(self) -> float:
        """Return the mean seconds of the trained baselines of a target and seed."""
        run, train, judged = self.study.run, self.mean("train"), self.mean("validation")
        few = 0.0
        if FEW_SHOT in run.baselines:
            curve = [judged if size == ALL else min(float(size), judged) for size in run.few_shot.sizes]
            few = sum(2 * self.training(sentences, 0, run.few_shot.steps) for sentences in curve)
            few += self.training(judged, 0, run.few_shot.steps)  # from a merge
        joint = 0.0
        for spec in self.study.experiments.values():
            sources = self.study.sources_of(spec)
            one = self.training(train, sources * judged, length_of(run.finetune.model_dump(), ceil(train)).most)
            every = self.training(sources * train, sources * judged)
            joint += len(spec.joint) / len(run.locales) * (one + every)
        return few + joint

    def _comparison(self, job: Job) -> float:
        """Return the seconds of one similarity matrix that reads models or sentences."""
        needs = registry.load("similarity measure", (job.settings or {})["measure"]).NEEDS
        locales = len(self.study.run.locales)
        seconds = locales * self.mean("train") * self.rates.tokenise if "texts" in needs else 0.0
        if "base" in needs:
            seconds += self.scoring(locales * self.mean("train"), locales)
        return seconds + (self.merge("average", locales) if "models" in needs else 0.0)

    def _greedy(self) -> float:
        """Return the seconds of a search that tries every other locale, and keeps half of them."""
        others = len(self.study.run.locales) - 1
        return others * (self.merge("average", ceil(others / 4)) + self.scoring(self.mean("validation"), 1))

    def _measure(self, job: Job) -> float:
        """Return the seconds of a forward and backward pass per sentence."""
        sentences = self.mean((job.settings or {})["split"])
        return self.passes("train", "float32", sentences * self.data.tokens, sentences)

    def _size(self, rule: str) -> float:
        """Return the bytes that a thing adds to the disk."""
        sizes = {
            "base": self.whole + TOKENIZER,
            "examples": SENTENCE * fmean(map(self.mean, ("train", "validation", "test"))),
            "finetune": self.task_vector,
        }
        if rule in {"row", "merge"}:
            cell = (self.mean("test") + self.mean("validation")) * (2 * len(self.study.labels) + SCORE)
            return COPIES[rule] * cell
        return sizes.get(rule, 0.0)


# Rules whose jobs are submitted, each with a GPU where there is one: seconds of a training, cell or merge, or of a job.
SUBMITTED: Mapping[str, Callable[[Model, Sequence[Job]], float]] = {
    "finetune": lambda model, _: model._finetune(),
    "row": lambda model, _: model.cell(),
    "merge": lambda model, _: fmean(model._merges()),
    "train_baselines": lambda model, _: model._trained_baselines(),
    "compare_languages": lambda model, jobs: fmean(map(model._comparison, jobs)),
    "greedy": lambda model, _: model._greedy(),
    "precision": lambda model, _: FORMATS * CHECKED * model.scoring(CHECKED * SAMPLE, 1),
    "measure": lambda model, jobs: fmean(map(model._measure, jobs)),
}


def host_mb(model: Model, rule: str) -> float:
    """Return the memory of a training's process, or of one that scores a model or a merge."""
    memory, whole = model.rates.memory, NUMBER["float32"] * model.encoder.parameters  # θ₀'s embedding is read whole
    if rule != "finetune":
        needed: float = whole
    elif model.name == "cpu":
        needed = max(whole, memory.host_train * model.trained + memory.trainer_mb * MB)
    else:
        needed = whole + ON_HOST * model.trained
    return model.device.process_mb + needed / MB


def gpu_training_mb(model: Model) -> float:
    """Return what a training allocates on each of its GPUs: weights, gradients, moments, activations of a batch."""
    memory, settings = model.rates.memory, model.study.run.finetune
    frozen = model.encoder.body + model.data.pieces * model.encoder.hidden - model.trained
    units = settings.batch_size // settings.gpus * model.data.tokens * model.encoder.layers * model.encoder.hidden
    needed = memory.gpu_train * model.trained + NUMBER["float32"] * frozen + memory.gpu_activation * units
    return needed / MB
