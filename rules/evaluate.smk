# Needs: logits of rows and merges, the plan. Makes: per target the accuracy of every system, with intervals.


rule evaluate:
    localrule: True
    input:
        plan=P.plan,
        validation_matrices=expand(P.seed_matrix_validation, seed=SEEDS),
        table=ancient(P.examples.format(locale="{target}", split="test")),
        table_digest=P.examples_digest.format(locale="{target}", split="test"),
        rows=ancient(expand(P.row_test, locale=LOCALES, seed=SEEDS)),
        row_digests=expand(P.row_digest, locale=LOCALES, seed=SEEDS),
        merges=lambda w: merge_outputs(P.merge_test, [w.target]),
        merges_validation=lambda w: merge_outputs(P.merge_validation, [w.target]),
    output:
        table=P.evaluation,
    params:
        settings=lambda w: stable(
            {
                "target": w.target,
                "locales": LOCALES,
                "seeds": SEEDS,
                "pivot": S.run.pivot,
                "entries": [
                    entry_key(name, w.target, seed)
                    for name, e in S.experiments.items()
                    if w.target in e.targets
                    for seed in SEEDS
                ],
            }
        ),
        code=fingerprint("evaluate_target"),
    log:
        log_path("evaluate", "{target}"),
    conda:
        ENVIRONMENT
    script:
        f"{SCRIPTS}/evaluate_target.py"


rule evaluation:
    localrule: True
    input:
        expand(P.evaluation, target=LOCALES),
