"""What claims are tested on: paired differences per target, and which experiments differ in one thing only."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.results.items import Correctness, read_items
from workflow_scripts.results.run_results import Results, differing
from workflow_scripts.results.tables import SELECTION
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SOURCE, MERGE, SELF
from workflow_scripts.statistics.contrasts import FLAT
from workflow_scripts.statistics.differences import Differences, Pair, paired_differences

SYSTEMS = frozenset({MERGE, SELF, BEST_SINGLE, BEST_SOURCE})


class PairedRun:
    """A run, as claims look at it.

    Parameters
    ----------
    results : Results
    paths : mapping
        Target → its items.
    """

    def __init__(self, results: Results, paths: Mapping[str, str | Path]) -> None:
        self.results = results
        self.paths = paths
        self._items: dict[str, Correctness] = {}

    @property
    def margin(self) -> float:
        """A smaller difference of accuracies is of no relevance."""
        return float(self.results.settings["margin"])

    def items(self, target: str) -> Correctness:
        """Return a target's items, of the systems that claims look at."""
        if target not in self._items:
            self._items[target] = read_items(self.paths[target], SYSTEMS)
        return self._items[target]

    @cached_property
    def effects(self) -> dict[str, Differences]:
        """Target → the merge chosen on its validation data − `best_zero_shot_val`: what merging is worth there.

        Among the experiments that need labelled validation data or less.
        """
        chosen = self.results.chosen_with("labelled validation")
        return self.differences({t: [((name, MERGE), ("", BEST_SINGLE))] for t, name in chosen.items()})

    def differences(self, pairs: Mapping[str, Sequence[Pair]]) -> dict[str, Differences]:
        """Return each target's mean difference over its pairs of systems, as one column."""
        means = {}
        for target, wanted in pairs.items():
            each = self.each(target, wanted)
            means[target] = Differences(
                each.clusters, each.sizes, each.sums.mean(1, keepdims=True), each.seeds.mean(0, keepdims=True)
            )
        return means

    def each(self, target: str, pairs: Sequence[Pair]) -> Differences:
        """Return the differences of pairs of systems on one target."""
        return paired_differences(self.items(target), pairs)

    def differing(self, key: str, first: Any, second: Any) -> list[tuple[str, str]]:
        """Return the pairs of experiments that differ in one setting only, which is `first` and `second`."""
        experiments = self.results.experiments
        return [
            (one, other)
            for one, other in itertools.permutations(experiments, 2)
            if differing(experiments[one], experiments[other]) == {key}
            and (experiments[one][key], experiments[other][key]) == (first, second)
        ]

    def beside_flat(self, *methods: str) -> list[tuple[str, str]]:
        """Return the experiments of some methods, each with the flat merge of the same sources and weights."""
        experiments = self.results.experiments
        pairs = []
        for name, settings in experiments.items():
            if settings["method"] not in methods or name in self.results.tuned:
                continue
            plain = {n: e for n, e in experiments.items() if n not in self.results.tuned}
            same = [n for n, e in plain.items() if all(e[k] == settings[k] for k in SELECTION)]
            flat = [n for method in FLAT for n in same if experiments[n]["method"] == method]
            pairs += [(name, flat[0])] if flat else []
        return pairs

    def of_experiments(self, pairs: Iterable[tuple[str, str]]) -> dict[str, Differences]:
        """Return the differences of pairs of experiments' merges, on the targets that a pair has in common."""
        wanted: dict[str, list[Pair]] = {}
        for first, second in pairs:
            for target in set(self.results.targets_of[first]) & set(self.results.targets_of[second]):
                wanted.setdefault(target, []).append(((first, MERGE), (second, MERGE)))
        return self.differences({t: wanted[t] for t in self.results.targets if t in wanted})

    def validation(self, system: str) -> dict[str, float]:
        """Return a baseline's validation accuracy per target, the mean over seeds."""
        return self.results.baseline(system)["accuracy_validation"].dropna().to_dict()

    def language(self, target: str) -> Mapping[str, Any]:
        """Return a target's row of the locale table."""
        return self.results.languages[target]
