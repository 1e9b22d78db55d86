# Needs: evaluations and items, matrices, the plan. Makes: what the run shows and how surely.


rule compare_systems:
    input:
        **RESULTS,
        items_of=expand(P.evaluation_items, target=TARGETS),
    output:
        table=f"{P.report}/statistics.csv",
        facts=f"{P.report}/statistics.json",
    log:
        log_path("compare_systems", "statistics"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({**REPORT_SETTINGS, "targets": TARGETS}),
        code=fingerprint("compare_systems"),
    script:
        f"{SCRIPTS}/compare_systems.py"


rule check_claims:
    input:
        **RESULTS,
        items_of=expand(P.evaluation_items, target=TARGETS),
    output:
        table=f"{P.report}/claims.csv",
    log:
        log_path("check_claims", "claims"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({**REPORT_SETTINGS, "targets": TARGETS}),
        code=fingerprint("check_claims"),
        claims=digest_of_files(f"{SCRIPTS}/analysis/claims/claims.yaml"),
    script:
        f"{SCRIPTS}/check_claims.py"


# Needs besides: similarities, logits on validation data. Makes: whether the effect of merging can be predicted, what
# policies lose, and what to do for each target.
rule predict_effects:
    input:
        **RESULTS,
        correct=expand(P.evaluation_items, target=TARGETS),
        seed_matrices_validation=expand(P.seed_matrix_validation, seed=SEEDS),
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
        validation_tables=ancient(
            expand(P.examples, locale=TARGETS, split="validation")
        ),
        validation_digests=expand(P.examples_digest, locale=TARGETS, split="validation"),
        validation_rows=ancient(expand(P.row_validation, locale=LOCALES, seed=SEEDS)),
        row_digests=expand(P.row_digest, locale=LOCALES, seed=SEEDS),
        validation_merges=ancient(
            expand(P.merge_validation, target=TARGETS, seed=SEEDS)
        ),
        merge_digests=expand(P.merge_digest, target=TARGETS, seed=SEEDS),
    output:
        predictor=P.predictor,
        recommendations=P.recommendations,
    log:
        log_path("predict_effects", "predictor"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(
            {
                **REPORT_SETTINGS,
                "tiers": {
                    name: load("similarity measure", measure).SUPERVISION
                    for name, (measure, _) in S.measures.items()
                },
                "targets": [
                    [t, [name for name, e in S.experiments.items() if t in e.targets]]
                    for t in TARGETS
                ],
            }
        ),
        code=fingerprint("predict_effects"),
    script:
        f"{SCRIPTS}/predict_effects.py"


rule analysis:
    input:
        rules.compare_systems.output,
        rules.check_claims.output,
        rules.predict_effects.output,
    localrule: True
