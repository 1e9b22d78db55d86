"""Sources drawn at random: the control that every selector must beat."""

from typing import Annotated

from pydantic import Field

from workflow_scripts.core.digests import derive_seed
from workflow_scripts.selection.question import Choice, Question, proportional

SUPERVISION = "none"
USES_SIMILARITY = False


def random_k(
    question: Question,
    *,
    draw: Annotated[int, Field(ge=0, description="Number of the draw: another number, other sources.")] = 0,
) -> Choice:
    """Return k candidates drawn without replacement, all with the same weight.

    Parameters
    ----------
    question : Question
        The draw depends on the target, the seed of the models and `draw`; similarities have no part in it.

    Returns
    -------
    list of (str, float)
    """
    keys = {name: derive_seed("random_k", draw, question.seed, question.target, name) for name in question.free}
    chosen = sorted(keys, key=lambda name: (keys[name], name))[: question.wanted]
    return proportional(dict.fromkeys([*question.forced, *chosen], 1.0))
