"""Ridge regression, tested by leaving one group out, for many responses at once.

Everything is computed from each group's moments, so that leaving a group out is a subtraction: a permutation null that
refits everything, penalty choice included, costs a second.
"""

from dataclasses import dataclass

import numpy as np

PENALTIES = np.logspace(3, -3, 13)  # per row, of standardised features; where two do equally well the stronger is taken
FOLDS = 5  # groups of groups that choose the penalty


@dataclass(frozen=True)
class Ridge:
    """A fitted model for m responses.

    Attributes
    ----------
    coefficients : ndarray, shape (p, m)
        Change of the response per standard deviation of the feature.
    means, scales : ndarray, shape (p,)
        Of the training rows; the scale of a constant feature is 1.
    intercepts : ndarray, shape (m,)
        Mean responses.
    penalties : ndarray, shape (m,)
    """

    coefficients: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    intercepts: np.ndarray
    penalties: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the responses (n, m) of feature rows (n, p)."""
        return self.intercepts + (features - self.means) / self.scales @ self.coefficients


@dataclass(frozen=True)
class _Moments:
    """Sums over rows, per group (axis 0): number, x, y, x xᵀ, x yᵀ, y²."""

    n: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, responses: np.ndarray, groups: np.ndarray) -> "_Moments":
        parts = [(features[groups == g], responses[groups == g]) for g in np.unique(groups)]
        return cls(
            np.array([float(len(x)) for x, _ in parts]),
            np.array([x.sum(0) for x, _ in parts]),
            np.array([y.sum(0) for _, y in parts]),
            np.array([x.T @ x for x, _ in parts]),
            np.array([x.T @ y for x, y in parts]),
            np.array([(y * y).sum(0) for _, y in parts]),
        )

    def only(self, chosen: np.ndarray) -> "_Moments":
        """Return the sums over the chosen groups."""
        return _Moments(*(getattr(self, name)[chosen].sum(0) for name in self.__dataclass_fields__))


def fit_ridge(features: np.ndarray, responses: np.ndarray, groups: np.ndarray) -> Ridge:
    """Fit on all rows, with the penalty that predicts left-out groups best.

    Parameters
    ----------
    features : ndarray, shape (n, p)
    responses : ndarray, shape (n, m)
    groups : ndarray, shape (n,)
        What is left out together.

    Notes
    -----
    Minimises ‖y − Xb‖²/n + penalty·‖b‖² over standardised features (Hoerl and Kennard 1970); standardisation and
    penalty come from the training rows alone.
    """
    shift_x, shift_y = features.mean(0), responses.mean(0)
    moments = _Moments.of(features - shift_x, responses - shift_y, groups)
    return _shifted(_fit(moments, np.arange(len(moments.n))), shift_x, shift_y)


def leave_one_out(features: np.ndarray, responses: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return predictions (n, m) of each group by a model fitted, penalty and all, on the other groups.

    Parameters are those of `fit_ridge`; two groups or more.
    """
    shift_x, shift_y = features.mean(0), responses.mean(0)
    x = features - shift_x
    moments = _Moments.of(x, responses - shift_y, groups)
    everyone = np.arange(len(moments.n))
    predictions = np.empty(responses.shape)
    for i, group in enumerate(np.unique(groups)):
        model = _fit(moments, np.delete(everyone, i))
        predictions[groups == group] = model.predict(x[groups == group])
    return predictions + shift_y


def _fit(moments: _Moments, training: np.ndarray) -> Ridge:
    """Choose the penalty of each response within the training groups, and fit on all of them."""
    errors = np.zeros((len(PENALTIES), moments.y.shape[1]))
    folds = min(FOLDS, len(training))
    for fold in range(folds if folds > 1 else 0):
        held = training[fold::folds]
        path, _, means, intercepts = _path(moments.only(np.setdiff1d(training, held)))
        errors += _squared_errors(path, intercepts - np.einsum("j,ajm->am", means, path), moments.only(held))
    best = errors.argmin(0)
    path, scales, means, intercepts = _path(moments.only(training))
    coefficients = np.take_along_axis(path, best[None, None, :], 0)[0] * scales[:, None]
    return Ridge(coefficients, means, scales, intercepts, PENALTIES[best])


def _path(total: _Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return, for all penalties, coefficients per unit (a, p, m); then scales, means and mean responses."""
    n, means, intercepts = float(total.n), total.x / total.n, total.y / total.n
    covariance = total.xx / n - np.outer(means, means)
    variances = np.clip(np.diag(covariance), 0, None)
    constant = variances <= 1e-12 * np.maximum(1, np.diag(total.xx) / n)
    scales = np.where(constant, 1, np.sqrt(np.where(constant, 1, variances)))
    usable = np.where(constant, 0, 1 / scales)
    values, vectors = np.linalg.eigh(covariance * np.outer(usable, usable))
    cross = vectors.T @ ((total.xy / n - np.outer(means, intercepts)) * usable[:, None])
    shrunk = cross[None] / (np.clip(values, 0, None)[None, :, None] + PENALTIES[:, None, None])
    return np.einsum("jk,akm->ajm", vectors, shrunk) * usable[None, :, None], scales, means, intercepts


def _squared_errors(path: np.ndarray, offsets: np.ndarray, held: _Moments) -> np.ndarray:
    """Return Σ(y − offset − x·b)² over held-out rows, for all penalties and responses (a, m)."""
    fitted = np.einsum("ajm,jk,akm->am", path, held.xx, path, optimize=True)
    crossed = np.einsum("ajm,jm->am", path, held.xy)
    summed = np.einsum("ajm,j->am", path, held.x)
    return held.yy + fitted + held.n * offsets**2 + 2 * offsets * (summed - held.y) - 2 * crossed


def _shifted(model: Ridge, shift_x: np.ndarray, shift_y: np.ndarray) -> Ridge:
    return Ridge(model.coefficients, model.means + shift_x, model.scales, model.intercepts + shift_y, model.penalties)
