"""The regression behind the predictor, against scikit-learn, on a known rule, and on noise."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference
from sklearn.preprocessing import StandardScaler

from workflow_scripts.findings.predictor.ridge import FOLDS, PENALTIES, fit_ridge, leave_one_out


def rows(targets=12, per_target=4, features=5, seed=0):
    """Return features and groups; half of the features belong to the target, as in a run."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(targets), per_target)
    own = generator.normal(3, 2, (targets, features))[groups]
    varying = generator.normal(-1, 0.5, (len(groups), features))
    return np.where(np.arange(features) % 2, varying, own), groups


def reference(x, y, groups):
    """The same model from scikit-learn: (penalty, scaler, fitted)."""
    names = np.unique(groups)

    def fitted(training, penalty):
        scaler = StandardScaler().fit(x[training])
        return scaler, Reference(alpha=penalty * training.sum()).fit(scaler.transform(x[training]), y[training])

    errors = []
    folds = min(FOLDS, len(names))
    for penalty in PENALTIES:
        error = 0.0
        for fold in range(folds):
            held = np.isin(groups, names[fold::folds])
            scaler, model = fitted(~held, penalty)
            error += ((y[held] - model.predict(scaler.transform(x[held]))) ** 2).sum()
        errors.append(error)
    best = PENALTIES[int(np.argmin(errors))]
    return best, *fitted(np.full(len(y), True), best)


def test_fit_is_scikit_learns():
    x, groups = rows()
    y = np.random.default_rng(1).normal(size=(len(groups), 3)) + x[:, [0, 1, 2]] * [0.1, 0.5, 2]
    model = fit_ridge(x, y, groups)
    for i in range(3):
        penalty, scaler, expected = reference(x, y[:, i], groups)
        assert model.penalties[i] == penalty
        assert model.coefficients[:, i] == pytest.approx(expected.coef_, rel=1e-8, abs=1e-10)
        assert model.predict(x)[:, i] == pytest.approx(expected.predict(scaler.transform(x)))


def test_left_out_predictions_are_those_of_a_model_that_never_saw_the_target():
    x, groups = rows(targets=7)
    y = (x[:, :2] @ [0.5, -1] + np.random.default_rng(2).normal(0, 0.3, len(groups)))[:, None]
    predictions = leave_one_out(x, y, groups)
    for target in range(7):
        training = groups != target
        model = fit_ridge(x[training], y[training], groups[training])
        assert predictions[~training] == pytest.approx(model.predict(x[~training]))


def test_a_known_rule_is_recovered():
    x, groups = rows(targets=40)
    slopes = np.array([0.03, 0, -0.02, 0, 0])
    standardised = (x - x.mean(0)) / x.std(0)
    y = (0.01 + standardised @ slopes + np.random.default_rng(3).normal(0, 0.002, len(x)))[:, None]
    model = fit_ridge(x, y, groups)
    assert model.coefficients[:, 0] == pytest.approx(slopes, abs=0.001)
    assert model.intercepts[0] == pytest.approx(y.mean())


def test_noise_is_shrunk_away():
    x, groups = rows(targets=30)
    y = np.random.default_rng(4).normal(size=(30, 50))[groups]  # the same for all rows of a target
    model = fit_ridge(x, y, groups)
    assert np.median(model.penalties) >= 1


def test_constant_features_do_nothing():
    x, groups = rows()
    y = x[:, [0]]
    with_constant = np.column_stack([x, np.full(len(x), 0.1)])
    model = fit_ridge(with_constant, y, groups)
    assert model.coefficients[-1, 0] == 0
    assert model.predict(with_constant) == pytest.approx(fit_ridge(x, y, groups).predict(x))
