"""The predictor of a tier on synthetic runs: a rule that similarity decides, and one that nothing decides."""

import pytest

from tests.unit.synthetic_run import synthetic_evidence
from workflow_scripts.findings.predictor.tiers import ENOUGH, predict_tier, predictor_summary


def near_helps(experiment, similarity):
    """Merges of similar sources gain what merges of dissimilar ones lose."""
    return 0.5 * (similarity - 0.65)


@pytest.fixture(scope="module")
def with_rule():
    return predictor_summary(synthetic_evidence(22, near_helps))


def test_the_rule_is_found(with_rule):
    found = with_rule["tiers"]["labelled validation"]
    assert (found["targets"], found["merges"], found["descriptive"]) == (22, 44, False)
    names = [f["name"] for f in found["predictor"]["features"] if f["coefficient"] > 0]
    assert names[0] == "SIM to sources"
    assert found["predictor"]["leave_one_target_out"]["r2"] > 0.5 and found["predictor"]["p"] < 0.01
    assert found["predictor"]["null_r2"]["q95"] < found["predictor"]["leave_one_target_out"]["r2"]


def test_following_it_loses_less_than_always_or_never(with_rule):
    found = with_rule["tiers"]["labelled validation"]
    rows = {row["policy"]: row for row in found["policies"]}
    regret = {name: row["regret"]["value"] for name, row in rows.items()}
    assert regret["predictor"] < min(regret["always merge"], regret["never merge"]) - 0.01
    assert abs(regret["predictor"]) < 0.02 and 0.2 < rows["predictor"]["merges"] < 0.8
    assert rows["predictor"]["less_than_never"]["value"] == pytest.approx(regret["never merge"] - regret["predictor"])
    assert found["statement"].startswith(f"`{found['policies'][0]['policy']}` loses least: regret ")


def test_each_tier_knows_what_it_may(with_rule):
    tiers = with_rule["tiers"]
    assert set(tiers) == {"none", "unlabelled", "labelled validation", "labelled training"}
    names = {tier: {f["name"] for f in found["predictor"]["features"]} for tier, found in tiers.items()}
    assert "sources agree on the target" not in names["none"] and "sources agree on the target" in names["unlabelled"]
    assert "best zero-shot" not in names["unlabelled"] and "best zero-shot" in names["labelled validation"]
    assert "self" not in names["labelled validation"]
    assert not any(name.startswith("NXN") for name in names["labelled training"]), "transfer has features of its own"
    assert tiers["labelled validation"]["merges"] == tiers["labelled training"]["merges"] == 44, "IncTar is left out"


def test_policies_by_tier(with_rule):
    policies = {tier: {row["policy"] for row in found["policies"]} for tier, found in with_rule["tiers"].items()}
    assert policies["none"] == {"never merge", "always merge", "best elsewhere", "predictor"}
    assert policies["labelled validation"] - policies["none"] - {"best elsewhere"} == {
        "pilot merge", "best on validation", "best source > 0.7",
    }  # fmt: skip
    assert policies["labelled training"] - policies["labelled validation"] == {"ZS/self < 0.6", "ZS/self < 0.7"}


def test_a_pilot_sees_what_a_predictor_must_guess(with_rule):
    rows = {row["policy"]: row for row in with_rule["tiers"]["labelled validation"]["policies"]}
    for name in ("pilot merge", "best on validation"):
        assert rows[name]["regret"]["value"] < min(rows[n]["regret"]["value"] for n in ("never merge", "always merge"))
    assert rows["never merge"]["merges"] == 0 and rows["always merge"]["merges"] == 1


def test_few_targets_are_described_not_tested():
    found = predict_tier("none", synthetic_evidence(ENOUGH - 1, near_helps, items=60))
    assert found["descriptive"] and found["predictor"]["p"] is None
    assert (
        "gradient_boosting_r2" not in found["predictor"]
        and found["predictor"]["leave_one_target_out"]["r2"] is not None
    )


def test_two_targets_teach_nothing_but_policies_are_compared():
    found = predict_tier("none", synthetic_evidence(3, near_helps, items=40))
    assert found["predictor"] is not None
    evidence = synthetic_evidence(3, near_helps, items=40)
    evidence.items["L00"].clusters[:] = "one"  # cannot be halved
    evidence.__dict__.pop("first_halves", None)
    found = predict_tier("none", evidence)
    assert found["targets"] == 2 and found["predictor"] is None
    assert {row["policy"] for row in found["policies"]} == {"never merge", "always merge", "best elsewhere"}
    assert predictor_summary(evidence)["not_halved"] == ["L00"]


def test_predictions_of_a_target_do_not_depend_on_its_own_test_results():
    """Whatever happens on a target's test data, the predictor's choice for it stays; only the judgement moves."""
    from workflow_scripts.findings.predictor import tiers

    evidence, changed = (synthetic_evidence(8, near_helps, items=60) for _ in range(2))
    for key, correct in changed.items["L03"].correct.items():
        changed.items["L03"].correct[key] = 1 - correct
    picks = [tiers._predicted_choices("none", tiers._task("none", e), e) for e in (evidence, changed)]
    assert (picks[0]["L03"] == picks[1]["L03"]).all()
    assert any((picks[0][t] != picks[1][t]).any() for t in picks[0] if t != "L03"), "others learn from it"
