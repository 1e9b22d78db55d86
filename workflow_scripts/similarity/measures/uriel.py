"""URIEL: cosine of lang2vec's language vectors."""

import warnings
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from workflow_scripts.core.downloads import verify_package
from workflow_scripts.core.errors import XlmergeError, unknown
from workflow_scripts.similarity.context import MeasureContext

SUPERVISION = "none"
NEEDS = ("languages",)
FEATURE_SETS = ("syntax_knn", "phonology_knn", "inventory_knn", "fam", "geo", "learned")
OBSERVED_SETS = ("syntax_average", "phonology_average", "inventory_average")
ISOLATES = {"eus"}


def _check_features(value: str) -> str:
    for name in value.split("+"):
        if name not in FEATURE_SETS:
            raise ValueError(unknown("feature set", name, FEATURE_SETS))
    return value


def uriel(
    context: MeasureContext,
    *,
    features: Annotated[
        str,
        AfterValidator(_check_features),
        Field(description=f"lang2vec feature set, or several joined by `+`: {', '.join(FEATURE_SETS)}."),
    ] = "syntax_knn",
) -> np.ndarray:
    """Return the cosine of the locales' feature vectors.

    Parameters
    ----------
    context : MeasureContext
        ``languages`` gives each locale's codes: ``uriel`` for typological features, ``uriel_family`` for ``fam``.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Symmetric; rows = target, columns = source.

    Raises
    ------
    XlmergeError
        If lang2vec does not know a code, or has an all-zero vector for it; the one exception is ``fam`` of an isolate,
        which is similar to nothing (0).

    Notes
    -----
    Littell et al. 2017, "URIEL and lang2vec" (E17-2002).
    """
    parts = [_part(context, name) for name in features.split("+")]
    vectors = np.concatenate(parts, axis=1)
    norms = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors.T / np.where(norms == 0, 1, norms)[:, None] / np.where(norms == 0, 1, norms)
    return np.clip(cosine, -1, 1)


def _part(context: MeasureContext, features: str) -> np.ndarray:
    """Return the vectors of one feature set, shape (N, D), none of them all zero but that of an isolate's family."""
    vectors = np.stack([_vector(context, locale, features) for locale in context.locales])
    for locale, vector in zip(context.locales, vectors, strict=True):
        if not vector.any() and not (features == "fam" and _code(context, locale, "fam") in ISOLATES):
            raise XlmergeError(f"{locale}: lang2vec has no {features} features for it; {_remedy(context, locale)}")
    return vectors


def facts(context: MeasureContext) -> dict[str, object]:
    """Return, for the sidecar, the share of typological features that URIEL has observed (not guessed) per locale."""
    return {"observed_share": {locale: _observed(context, locale) for locale in context.locales}}


def _observed(context: MeasureContext, locale: str) -> float:
    try:
        return observed_share(_code(context, locale, "syntax"))
    except LookupError:
        raise XlmergeError(f"{locale}: lang2vec does not know its code; {_remedy(context, locale)}") from None


def observed_share(code: str) -> float:
    """Return the share of the syntax, phonology and inventory features of a language that are not missing."""
    values = [v for name in OBSERVED_SETS for v in _features(code, name)]
    return round(sum(v != "--" for v in values) / len(values), 4)


def _vector(context: MeasureContext, locale: str, features: str) -> np.ndarray:
    code = _code(context, locale, features)
    try:
        values = _learned(code) if features == "learned" else _features(code, features)
    except LookupError:
        raise XlmergeError(
            f"{locale}: lang2vec does not know the code {code!r} ({features}); {_remedy(context, locale)}"
        ) from None
    return np.array(values, float)


def _code(context: MeasureContext, locale: str, features: str) -> str:
    return str(context.languages[locale]["uriel_family" if features == "fam" else "uriel"])


def _remedy(context: MeasureContext, locale: str) -> str:
    row = context.languages[locale]
    return (
        f"its codes are uriel = {row['uriel']!r}, uriel_family = {row['uriel_family']!r}: "
        "give better ones under `languages:`, choose another feature set, or leave the locale out"
    )


@cache
def _features(code: str, features: str) -> tuple[object, ...]:
    verify_package("lang2vec", "lang2vec/data/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lang2vec imports pkg_resources
        from lang2vec import lang2vec
    try:
        return tuple(lang2vec.get_features([code], features)[code])
    except Exception as error:  # lang2vec raises plain Exception for an unknown code
        if "not found" not in str(error):
            raise
        raise LookupError(code) from None


@cache
def _learned(code: str) -> tuple[float, ...]:
    """Read the learned vectors directly: lang2vec gives a constant vector for a language without one."""
    import lang2vec

    verify_package("lang2vec", "lang2vec/data/")
    table = np.load(
        Path(lang2vec.__file__).parent / "data" / "learned.npy", encoding="latin1", allow_pickle=True
    ).item()
    return tuple(table[code])
