"""A run, checked as a whole before the DAG is built: everything that can be known to be wrong is said here."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workflow_scripts.core import registry
from workflow_scripts.core.errors import XlmergeError, did_you_mean, unknown
from workflow_scripts.core.paths import Paths, run_paths
from workflow_scripts.core.signatures import parameters
from workflow_scripts.core.validation import describe
from workflow_scripts.languages.locales import Locale, all_locales, described_by_hand, get_locale
from workflow_scripts.merging.method import ROLE, load_method
from workflow_scripts.selection.baselines import baseline_names
from workflow_scripts.selection.plan import selection_tier
from workflow_scripts.selection.systems import TIERS, TUNED_ON_TARGET
from workflow_scripts.study.config import Run
from workflow_scripts.study.experiments import ExperimentSpec, expand, measure_of
from workflow_scripts.study.tuning import TunedSpec

NOT_DESCRIBED = dict.fromkeys(("family", "genus", "script", "region", "resource_level"), "unknown")
COSINES = "TASK_VECTOR_COSINE"  # the similarity type that compatibility weighting reads


@dataclass(frozen=True)
class Study:
    """A checked run.

    Attributes
    ----------
    run : Run
    paths : Paths
    labels : list of str
    experiments : dict of str to ExperimentSpec
    tuned : dict of str to TunedSpec
        Systems that pick one of some experiments for each target.
    measures : dict of str to (str, dict)
        Similarity types in use: their measure and all its parameters.
    languages : dict of str to dict
        Per locale its row of the locale table; locales that nobody describes have ``unknown`` fields.
    """

    run: Run
    paths: Paths
    labels: list[str]
    experiments: dict[str, ExperimentSpec]
    tuned: dict[str, TunedSpec]
    measures: dict[str, tuple[str, dict[str, Any]]]
    languages: dict[str, dict[str, Any]]

    @property
    def provider(self) -> Any:
        """The data provider's module."""
        return registry.load("data provider", self.run.data.provider)

    @property
    def targets(self) -> list[str]:
        """The locales that an experiment has as its target, in the run's order."""
        return [t for t in self.run.locales if any(t in spec.targets for spec in self.experiments.values())]

    @property
    def merged_baselines(self) -> list[str]:
        """The names of the baselines that are merges; soups of seeds belong to the first seed only."""
        sizes = list(map(self.sources_of, self.experiments.values()))
        return baseline_names(self.run.baselines, self.run.seeds, sizes, self.run.scaling_grid)

    @property
    def max_length(self) -> int:
        """The number of tokens beyond which a text is cut, in training or in scoring."""
        return min(self.run.finetune.max_length, self.run.evaluation.max_length)

    @property
    def trained(self) -> list[str]:
        """The locales whose models are trained, not brought along."""
        return [locale for locale in self.run.locales if locale not in self.run.models]

    @property
    def undescribed(self) -> list[str]:
        """The locales of which neither the locale table nor the config says anything."""
        return [locale for locale, row in self.languages.items() if row.items() >= NOT_DESCRIBED.items()]

    def sources_of(self, spec: ExperimentSpec) -> int:
        """Return an experiment's number of sources; `all` are all locales but the target."""
        wanted = spec.settings["num_languages"]
        return len(self.run.locales) - 1 if wanted == "all" else int(wanted)


def load_study(config: Mapping[str, Any]) -> Study:
    """Check a config and return the study.

    Raises
    ------
    XlmergeError
        With one line per problem.
    """
    try:
        run = Run(**config)
    except ValidationError as error:
        raise XlmergeError(f"the config is not valid:\n  {describe(error, Run)}") from None
    provider = registry.load("data provider", run.data.provider)
    provider.check(run.data, run.locales)
    labels = run.labels or provider.labels(run.data, run.locales)
    provider.check_labels(run.data, labels)
    _check_model("base", run.base.name, registry.names("encoder"))
    for locale, seed in itertools.product(run.models, run.seeds):
        _check_model(f"models.{locale}", own_model(run, locale, seed), [])
    experiments, tuned = expand(run)
    for name, spec in experiments.items():
        _check_candidates(name, spec, run)
    measures = _measures(run, experiments)
    languages = _languages(run, measures)
    for name, spec in experiments.items():
        _check_method(name, spec, run, languages)
        _check_supervision(name, spec.settings, spec.allowed, measures)
    for name, system in tuned.items():
        member, labelled = experiments[system.members[0]], system.on == "target"
        picked_by = {"tune_on target": TUNED_ON_TARGET} if labelled else {}
        _check_supervision(name, member.settings, system.allowed, measures, picked_by)
    return Study(run, run_paths(run.run), labels, experiments, tuned, measures, languages)


def own_model(run: Run, locale: str, seed: int) -> str:
    """Return the folder or hub id of a user's own model of a locale."""
    return run.models[locale].replace("{seed}", str(seed))


def _check_model(key: str, name: str, built_in: Sequence[str]) -> None:
    """Accept a built-in encoder, a checkpoint folder, or what looks like a hub id."""
    if name in built_in:
        return
    path = Path(name).expanduser()
    if path.is_dir():
        if (path / "adapter_config.json").is_file() and not [*path.glob("model*.safetensors"), *path.glob("*.bin")]:
            raise XlmergeError(
                f"{key}: {name!r} is an adapter, not a model: merge it into its base first (peft: "
                "`merge_and_unload()`, then `save_pretrained`) and name the folder of the merged model"
            )
        if not (path / "config.json").is_file():
            raise XlmergeError(f"{key}: {name!r} is a folder without a config.json")
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        others = f", or one of: {', '.join(built_in)}" if built_in else ""
        raise XlmergeError(f"{key}: there is no folder {name!r}; give an existing one, a hub id{others}")
    elif near := did_you_mean(name, built_in, cutoff=0.8):
        raise XlmergeError(f"{key}: {name!r} is neither a folder nor a built-in encoder{near}")


def built_in_encoder(name: str) -> list[str]:
    """Return the module of an encoder that comes with the project; none for any other."""
    return [registry.resolve("encoder", name)] if name in registry.names("encoder") else []


def checkpoint_files(name: str) -> list[str]:
    """Return the files of a model that is a local folder; an edit to them makes what is made of it stale."""
    folder = Path(name).expanduser()
    if name in registry.names("encoder") or not folder.is_dir():
        return []
    return sorted(str(p) for p in folder.iterdir() if p.suffix in {".json", ".safetensors", ".bin", ".model", ".txt"})


def _check_candidates(name: str, spec: ExperimentSpec, run: Run) -> None:
    k, include = spec.settings["num_languages"], spec.settings["include_target"]
    candidates = len(run.locales) if include else len(run.locales) - 1
    if k != "all" and k > candidates:
        raise XlmergeError(
            f"experiment {name}: num_languages is {k}, but a target has only {candidates} candidate sources "
            f"({len(run.locales)} locales{'' if include else ', the target left out'}); "
            "use less or `num_languages: all`"
        )


def _check_method(name: str, spec: ExperimentSpec, run: Run, languages: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise an `XlmergeError` if a method takes another number of sources, names unknown ones or cannot group them."""
    settings, module = spec.settings, registry.load("merge method", spec.settings["method"])
    wanted, k = getattr(module, "SOURCES", None), settings["num_languages"]
    if wanted is not None and k not in {wanted, "all"}:
        raise XlmergeError(f"experiment {name}: {settings['method']} merges exactly {wanted} sources, not {k}")
    method = load_method(settings["method"], settings["method_parameters"])
    for source in method.named_sources:
        if source not in run.locales:
            raise XlmergeError(f"experiment {name}: {unknown('source', source, run.locales)}")
    if method.grouped_by == ROLE:
        if not getattr(registry.load("selector", settings["selector"]), "WITHOUT_PIVOT", False) or k == 1:
            raise XlmergeError(
                f"experiment {name}: {settings['method']} merges the pivot's model with others: say `selector: pivot` "
                "and `num_languages: 2` or more, or `middle_from: all`"
            )
    elif by := method.grouped_by:
        undescribed = [locale for locale, row in languages.items() if row[by] == "unknown"]
        if undescribed:
            raise XlmergeError(
                f"experiment {name}: the {by} of {undescribed[0]} is not known; say it under `languages:`"
            )


def _check_supervision(
    name: str,
    settings: Mapping[str, Any],
    allowed_tiers: Sequence[str],
    measures: Mapping[str, tuple[str, dict[str, Any]]],
    picked_by: Mapping[str, str] | None = None,
) -> None:
    """Raise an `XlmergeError` if an experiment, or what picks it, sees more of the target than its block allows."""
    further = picked_by or {}
    measure = registry.load("similarity measure", measures[settings["similarity_type"]][0]).SUPERVISION
    method = load_method(settings["method"], settings["method_parameters"]).supervision
    needed = max(selection_tier(settings, measure), method, *further.values(), key=TIERS.index)
    for allowed in allowed_tiers:
        if TIERS.index(needed) > TIERS.index(allowed):
            parts = {
                f"similarity {settings['similarity_type']}": measure,
                f"selector {settings['selector']}": registry.load("selector", settings["selector"]).SUPERVISION,
                f"method {settings['method']}": method,
                "include_target": "labelled training" if settings["include_target"] else "none",
                **further,
            }
            guilty = ", ".join(f"{part} ({tier})" for part, tier in parts.items() if tier == needed)
            raise XlmergeError(
                f"experiment {name} needs supervision {needed!r} but its block allows {allowed!r}: because of {guilty}"
            )


def _measures(run: Run, experiments: Mapping[str, ExperimentSpec]) -> dict[str, tuple[str, dict[str, Any]]]:
    measures = {}
    used = {spec.settings["similarity_type"] for spec in experiments.values()}
    used |= {COSINES} if any(spec.settings["compatibility"] for spec in experiments.values()) else set()
    for name in sorted(used | set(run.similarity)):
        measure, given = measure_of(run, name)
        try:
            fewest = getattr(registry.load("similarity measure", measure), "FEWEST_LOCALES", 2)
            measures[name] = (measure.lower(), parameters("similarity measure", measure.lower(), given))
        except ValidationError as error:
            raise XlmergeError(f"similarity.{name}: {describe(error)}") from None
        if name in used and len(run.locales) < fewest:
            raise XlmergeError(f"similarity {name} needs {fewest} or more locales, this run has {len(run.locales)}")
    return {name: measures[name] for name in sorted(used)}


def _languages(run: Run, measures: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    needed = [name for name, (measure, _) in measures.items() if _needs_languages(measure)]
    undescribed = [locale for locale in run.locales if locale not in {*run.languages, *all_locales()}]
    if needed and undescribed:
        raise XlmergeError(
            f"similarity {needed[0]} needs language codes, and these locales are not in the locale table: "
            f"{described_by_hand(undescribed)}"
        )
    return {
        locale: NOT_DESCRIBED | {"locale": locale, "language": locale}
        if locale in undescribed
        else _language(run, locale)
        for locale in run.locales
    }


def _needs_languages(measure: str) -> bool:
    return "languages" in registry.load("similarity measure", measure).NEEDS


def _language(run: Run, locale: str) -> dict[str, Any]:
    """Return the row of a locale: from the config's `languages:`, else from the table."""
    described = run.languages.get(locale)
    if described is None:
        row = get_locale(locale)
    else:
        row = Locale(
            locale=locale, **{**described.model_dump(), "uriel_family": described.uriel_family or described.uriel}
        )
    return {**asdict(row), "resource_level": row.resource_level}
