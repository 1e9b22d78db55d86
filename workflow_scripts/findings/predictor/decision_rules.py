"""Ways of deciding whether to merge; all but the predictor read validation data only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from workflow_scripts.findings.older_studies import STRONG_SOURCE, ZS_SELF, ZS_SELF_GATE
from workflow_scripts.findings.predictor.options import LABELLED, Option, TargetChoice


@dataclass(frozen=True)
class Policy:
    """A rule that picks an option from a choice and the validation accuracies ``self`` and ``best`` (zero-shot)."""

    description: str
    pick: Callable[[TargetChoice, Mapping[str, float]], Option]


def policies(tier: str) -> dict[str, Policy]:
    """Return the policies that a tier's supervision allows."""
    allowed = {
        "never merge": Policy("the best single source", lambda c, _: c.single),
        "always merge": Policy("the merge that is best on the other targets' validation data", lambda c, _: _recipe(c)),
    }
    if tier not in LABELLED:
        allowed["best elsewhere"] = Policy(
            "whatever is best on the other targets' validation data: the advice without labels", lambda c, _: c.chosen
        )
        return allowed
    allowed["pilot merge"] = Policy(
        "the merge of `always merge`, if it beats the best single source on the target's validation data",
        lambda c, _: _recipe(c) if c.scores[_recipe(c).key] > c.scores[c.single.key] else c.single,
    )
    allowed["best on validation"] = Policy(
        "all merges are made, and what is best on the target's validation data is taken: the advice with labels",
        lambda c, _: c.chosen,
    )
    allowed[f"best source > {STRONG_SOURCE}"] = Policy(
        f"no merge where the best single source exceeds {STRONG_SOURCE} on validation data, else as `always merge`",
        lambda c, level: c.single if level["best"] > STRONG_SOURCE else _recipe(c),
    )
    if tier == "labelled training":
        for gate in (ZS_SELF, ZS_SELF_GATE):
            allowed[f"ZS/self < {gate}"] = Policy(
                f"as `always merge` where best zero-shot / self is below {gate} on validation data, else no merge",
                partial(_below_ratio, gate),
            )
    return allowed


def _below_ratio(gate: float, choice: TargetChoice, level: Mapping[str, float]) -> Option:
    return _recipe(choice) if level["best"] < gate * level["self"] else choice.single


def _recipe(choice: TargetChoice) -> Option:
    return choice.recipe or choice.single
