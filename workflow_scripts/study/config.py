"""The config's schema: closed pydantic models, read before the DAG is built.

Every option is described here and nowhere else; the pages of ``docs/reference`` about it and ``config.schema.json`` are
generated from these models (``make docs``).
"""

from typing import Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, field_validator, model_validator

from workflow_scripts.core import registry
from workflow_scripts.core.errors import did_you_mean
from workflow_scripts.core.validation import Closed
from workflow_scripts.selection.systems import ASKABLE, AVERAGE_ALL, SEED_SOUP, TIERS

Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]
Tier = Literal[TIERS]  # type: ignore[valid-type]
Baseline = Literal[ASKABLE]  # type: ignore[valid-type]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Base(Closed):
    """The pretrained encoder. A plain string is short for `name`."""

    name: str = Field(
        description="`bundled_encoder` (multilingual-e5-small, fetched from the package index), a folder with a "
        "Hugging Face checkpoint, or a hub id such as `xlm-roberta-base`. Architectures that tests go through: XLM-R "
        "(with Glot500 and e5), BERT, DeBERTa-v3, ModernBERT (with mmBERT), DistilBERT, RemBERT."
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a hub id.")
    head_seed: int = Field(0, ge=0, description="Seed of the classification head, drawn once and saved in θ₀.")


class Finetune(Closed):
    """How each locale's model is trained (transformers' Trainer)."""

    learning_rate: float = Field(4e-4, gt=0, description="Peak learning rate (AdamW).")
    epochs: float = Field(
        10,
        gt=0,
        description="Most passes over the training data; training ends earlier when the validation loss stops falling.",
    )
    min_steps: int = Field(
        300,
        ge=1,
        description="Optimiser steps that are trained in any case, however few sentences there are: more passes over "
        "little data.",
    )
    batch_size: int = Field(32, ge=1, description="Sentences per forward pass, over all GPUs of a training.")
    gradient_accumulation: int = Field(1, ge=1, description="Batches summed into one optimiser step.")
    gpus: int = Field(
        1,
        ge=1,
        description="GPUs that one training takes; they share each batch, so `batch_size` must be a multiple. For "
        "encoders that are too large for one; many small trainings are faster side by side. Without a GPU: processes. "
        "The jobs must be given as many: docs/how-to/cluster.md.",
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps with a rising learning rate.")
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = Field(
        "linear", description="Learning rate after the warm-up."
    )
    weight_decay: float = Field(
        0.01, ge=0, description="Weight decay of the matrices; never of embeddings, norms and biases."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    freeze_embeddings: bool = Field(True, description="Keep the token embeddings at their pretrained values.")
    freeze_layers: int = Field(
        0,
        ge=0,
        description="Keep so many of the encoder's lowest layers, and the embeddings, at their pretrained values. What "
        "they compute is computed once per sentence, without dropout, and not once per pass: training, scoring and "
        "merging cost what the layers above cost. For encoders of the BERT and RoBERTa families.",
    )
    early_stopping: int = Field(
        3,
        ge=0,
        description="After so many judgements without a lower validation loss (ten, at most one an epoch), the "
        "learning rate goes down to zero in a last stretch, a fifth of the steps so far, and training ends; 0: "
        "the planned steps are trained in any case.",
    )
    max_length: int = Field(128, ge=4, description="Longer sentences are cut to so many tokens.")
    precision: Literal["auto", "float32", "tf32", "bf16", "fp16"] = Field(
        "float32",
        description="Number format of the passes; weights, gradients and optimiser are float32 in any case. `auto`: "
        "bf16 autocast where the hardware multiplies it natively, fp16 on older GPUs, else float32, so that machines "
        "may come to different models.",
    )
    retries: int = Field(
        2,
        ge=0,
        description="A training that diverges or collapses to the majority class is tried again so many times, each "
        "time with the next derived seed; `training.json` says so. Raising it retrains nothing.",
    )
    compile: bool = Field(
        False, description="`torch.compile`: worth its minute of compiling only for long trainings on a GPU."
    )
    storage: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Number format of the saved task vectors."
    )
    threads: int = Field(1, ge=1, description="CPU threads per training, and per GPU of one.")

    @model_validator(mode="after")
    def _batches_can_be_shared(self) -> "Finetune":
        if self.batch_size % self.gpus:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of gpus {self.gpus}")
        return self

    @model_validator(mode="after")
    def _frozen_from_below(self) -> "Finetune":
        if self.freeze_layers and not self.freeze_embeddings:
            raise ValueError("freeze_layers keeps the layers above the embeddings: it needs freeze_embeddings: true")
        return self


class FewShot(Closed):
    """The baseline `few_shot`: what the labels that a selection sees would buy by training on them."""

    steps: int = Field(
        300,
        ge=1,
        description="Optimiser steps on the target's validation data; their number is fixed, nothing is left to judge.",
    )
    sizes: list[Annotated[int, Field(ge=1)] | Literal["all"]] = Field(
        ["all"],
        description="Numbers of labelled sentences to train on: `[16, 32, 64, all]` is a curve, on which the accuracy "
        "of a merge is worth so many labelled sentences. Smaller numbers are parts of larger ones, drawn by cluster. "
        "Each costs two short trainings per target and seed. A target that has no more sentences than a number is "
        "left out there.",
    )

    @field_validator("sizes")
    @classmethod
    def _with_all(cls, value: list[int | str]) -> list[int | str]:
        numbers = [size for size in value if size != "all"]
        if value != [*sorted(set(map(int, numbers))), "all"]:
            raise ValueError("must be ascending numbers with `all` at the end, such as [16, 32, 64, all]")
        return value


class Evaluation(Closed):
    """How models are scored."""

    batch_tokens: int = Field(2048, ge=1, description="Tokens per forward pass; batches hold one exact length.")
    max_length: int = Field(128, ge=4, description="Longer sentences are cut to so many tokens.")
    precision: Literal["float32", "medium", "bf16", "auto"] = Field(
        "float32",
        description="Number format of the forward passes, one for the whole run. `medium`: torch's faster float32 "
        "products. `bf16`: the encoder's linear layers in bfloat16, and sentences whose two best intents are close "
        "once more in float32. Both are compared with float32 on validation sentences of some of the run's models; if "
        "more than 0.1 % of the predictions differ, the run stops. `auto`: the fastest that the hardware has and that "
        "passes.",
    )
    threads: int = Field(1, ge=1, description="CPU threads per row of the matrix and per merge.")


class Statistics(Closed):
    """How differences are judged."""

    margin: float = Field(
        2.0,
        gt=0,
        lt=100,
        description="Points of accuracy: a difference that is surely smaller in both directions is *no relevant "
        "difference*.",
    )


class Language(Closed):
    """What the locale table says of a language; for locales that it does not hold."""

    language: str = Field(description="English name.")
    uriel: str = Field(description="lang2vec code (ISO 639-3) for typological features.")
    uriel_family: str | None = Field(None, description="lang2vec code with a family path; default: `uriel`.")
    family: str = Field("unknown", description="Language family, for the report's breakdown.")
    genus: str = Field("unknown", description="Genus within the family.")
    script: str = Field("unknown", description="ISO 15924 code, such as `Latn`.")
    region: str = Field("unknown", description="Region of the world, to group by.")
    cc100_gib: float = Field(0.0, ge=0, description="GiB of text in CC-100, which sets the resource level.")


class Ablation(Closed):
    """A block of experiments: `sweep` multiplies out, `fixed` holds for all of them."""

    name: str = Field(pattern=NAME, description="Name of the block, shown in tables.")
    description: str = Field("", description="What the block asks.")
    fixed: dict[str, Any] = Field(default_factory=dict, description="Experiment keys with one value.")
    sweep: dict[str, list[Any]] = Field(default_factory=dict, description="Experiment keys with a list of values.")
    tune: dict[str, list[Any]] = Field(
        default_factory=dict,
        description="Parameters of the method with a list of values, such as `scaling: [0.5, 0.7, 1.0, 1.4, 2.0]`: of "
        "these merges one counts for each target, whose validation accuracy is best (see `tune_on`).",
    )
    tune_on: Literal["target", "others"] = Field(
        "target",
        description="Whose validation data pick: the target's own (`supervision` becomes `labelled validation`), or "
        "those of all other targets (the target is left out; `supervision` stays the method's).",
    )


class Experiment(Closed):
    """The keys that `fixed` and `sweep` take; parameters of the method and of the selector may stand beside them."""

    method: str = Field("average", description="A merge method.")
    similarity_type: str = Field("URIEL", description="A similarity measure, or a name from `similarity:`.")
    num_languages: int | Literal["all"] = Field(3, description="Number of sources k, or `all` candidates.")
    include_target: bool = Field(False, description="Is the target's own model one of the sources (IncTar)?")
    target_similarity: float = Field(1.0, gt=0, description="Similarity that the target itself counts with (IncTar).")
    locales: list[Locale] | None = Field(None, min_length=1, description="Targets; default: all locales of the run.")
    model_family: str | None = Field(None, description="Must be the run's base, if given (kept from older runs).")
    selector: str = Field("top_k", description="A source selector.")
    compatibility: bool = Field(
        False, description="Multiply each source's weight by the mean cosine of its task vector to the other sources'."
    )
    joint: bool = Field(
        False,
        description="Also fine-tune one model on the sources' training data together: `joint_one` with as many steps "
        "as one source takes, `joint_all` with those of all. Two trainings per target, seed and set of sources.",
    )
    supervision: Tier | None = Field(
        None,
        description="What the experiment may see of the target at most; an experiment that sees more is an error. The "
        "tiers: `none`, `unlabelled` text, `labelled validation` data, `labelled training` data (a target model).",
    )

    @field_validator("num_languages")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be 1 or more")
        return value


def _data_settings() -> Any:
    models = tuple(registry.load("data provider", n).Settings for n in registry.names("data provider"))
    if len(models) == 1:
        return models[0]
    return Annotated[Union[models], Discriminator("provider")]  # noqa: UP007


class Run(Closed):
    """A complete run."""

    run: str = Field(pattern=NAME, max_length=100, description="Name of the output folder: `results/{run}/`.")
    locales: list[Locale] = Field(min_length=2, description="The locales: each gets a model, each is a target.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0], min_length=1, description="Training seeds. One seed: the report is descriptive."
    )
    pivot: Locale = Field(
        "en-US",
        description="The locale of the `english` baseline, which a run without that locale does not have.",
    )
    labels: list[str] | None = Field(
        None, min_length=2, description="Ordered list of intents; default: the provider's own list."
    )
    languages: dict[Locale, Language] = Field(
        default_factory=dict, description="Entries for locales that the built-in table does not hold."
    )
    data: _data_settings() = Field(description="Where the examples come from.")  # type: ignore[valid-type]
    base: Base = Field(description="The pretrained encoder.")
    models: dict[Locale, str] = Field(
        default_factory=dict,
        description="Your own fine-tuned models: locale → folder of a Hugging Face checkpoint, or hub id, which takes "
        "the place of training. They must be fine-tuned from `base`; with several seeds, `{seed}` in the name stands "
        "for the seed. Labels are aligned by `id2label`.",
    )
    finetune: Finetune = Field(default_factory=Finetune, description="Training.")
    few_shot: FewShot = Field(default_factory=FewShot, description="The baseline `few_shot`.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="Scoring.")
    statistics: Statistics = Field(default_factory=Statistics, description="The margin of relevance.")
    similarity: dict[Annotated[str, Field(pattern=NAME)], dict[str, Any]] = Field(
        default_factory=dict,
        description="Settings of similarity measures by name. A key `measure` makes the name a variant of that "
        "measure: `GEO: {measure: URIEL, features: geo}`.",
    )
    scaling_grid: list[float] = Field(
        default=[0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0],
        min_length=1,
        description="The values of λ that the baseline `scaled_top1` chooses among. Blocks that tune `scaling` should "
        "have the same ones: it is the single model that a tuned merge has to beat.",
    )
    baselines: list[Baseline] = Field(
        default=[AVERAGE_ALL, SEED_SOUP],
        description="Baselines that cost merges: `average_all` (all other locales' models), `seed_soup` (several seeds "
        "of the best source; needs two or more seeds), `scaled_top1` (the source that is best on the target's "
        "validation data, its task vector times the λ of `scaling_grid` that is best there), `shrunk_top1` (the "
        "first source's task vector, as long as the merged one; as many forward passes as the merges themselves). And "
        "one that costs three short trainings per target: `few_shot` (the best source, as `few_shot_base` the base, "
        "and as `few_shot_merge` the merge that is chosen on the target's validation data, fine-tuned on these data).",
    )
    ablations: list[Ablation] = Field(
        min_length=1,
        description="The experiments. A single block may stand under `ablation:` instead, as older configs have it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_block(cls, value: Any) -> Any:
        """Take a single block under `ablation:` for a list of one."""
        if not isinstance(value, dict) or "ablation" not in value:
            return value
        if "ablations" in value:
            raise ValueError("`ablation` and `ablations` say the same; put all blocks under `ablations`")
        return {**{k: v for k, v in value.items() if k != "ablation"}, "ablations": [value["ablation"]]}

    @field_validator("base", mode="before")
    @classmethod
    def _short_base(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("similarity")
    @classmethod
    def _named_measures(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, settings in value.items():
            measure = settings.get("measure", name)
            if not isinstance(measure, str):
                raise ValueError(f"{name}.measure must be the name of a similarity measure")
            if measure.lower() != name.lower() and name.lower() in registry.names("similarity measure"):
                raise ValueError(
                    f"{name} is a measure itself and cannot stand for {measure}; call the variant otherwise"
                )
        return value

    @field_validator("locales", "seeds", "labels", "baselines", "scaling_grid")
    @classmethod
    def _unique(cls, value: list[Any] | None) -> list[Any] | None:
        if value and len(set(value)) < len(value):
            twice = sorted({v for v in value if value.count(v) > 1})
            raise ValueError(f"listed twice: {', '.join(map(str, twice))}")
        return value

    @model_validator(mode="after")
    def _pivot_has_a_model(self) -> "Run":
        if "pivot" in self.model_fields_set and self.pivot not in self.locales:
            near = did_you_mean(self.pivot, self.locales) or "; name one of them, or leave it out"
            raise ValueError(f"pivot: {self.pivot!r} is not among the run's locales{near}")
        return self

    @model_validator(mode="after")
    def _own_models(self) -> "Run":
        for locale, name in self.models.items():
            if locale not in self.locales:
                raise ValueError(f"models.{locale}: {locale} is not among the run's locales")
            if len(self.seeds) > 1 and "{seed}" not in name:
                raise ValueError(
                    f"models.{locale}: one model cannot stand for {len(self.seeds)} seeds; write `{{seed}}` where the "
                    "names of your models of different seeds differ, or use one seed"
                )
        return self

    @model_validator(mode="after")
    def _unique_ablations(self) -> "Run":
        names = [a.name for a in self.ablations]
        if len(set(names)) < len(names):
            raise ValueError("two ablations have the same name")
        return self
