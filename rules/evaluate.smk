# Needs: logits of rows and merges, the plan. Makes: per target the accuracy of every system, with
# intervals, and every system's correctness per item.


rule tune:
    input:
        plan=P.plan,
        validation=ancient(expand(P.merge_validation, target=TARGETS, seed=SEEDS)),
        merge_digests=expand(P.merge_digest, target=TARGETS, seed=SEEDS),
        failures=expand(P.merge_failures, target=TARGETS, seed=SEEDS),
    output:
        tuned=P.tuned,
    log:
        P.log_of("tune", "tuned"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.tuning()),
        code=fingerprint("jobs.pick_tuned"),
    script:
        f"{SCRIPTS}/jobs/pick_tuned.py"


rule evaluate:
    input:
        plan=P.plan,
        tuned=N.tuned,
        validation_matrices=expand(P.seed_matrix_validation, seed=SEEDS),
        table=ancient(P.examples.format(locale="{target}", split="test")),
        table_digest=P.examples_digest.format(locale="{target}", split="test"),
        rows=ancient(expand(P.row_test, locale=LOCALES, seed=SEEDS)),
        row_digests=expand(P.row_digest, locale=LOCALES, seed=SEEDS),
        merges=ancient(expand(P.merge_test, target="{target}", seed=SEEDS)),
        merges_validation=ancient(
            expand(P.merge_validation, target="{target}", seed=SEEDS)
        ),
        merge_digests=expand(P.merge_digest, target="{target}", seed=SEEDS),
        failures=expand(P.merge_failures, target="{target}", seed=SEEDS),
        trained=ancient(N.trained_files(P.trained_test)),
        trained_facts=ancient(N.trained_files(P.trained_facts)),
        trained_digests=N.trained_files(P.trained_digest),
    output:
        table=P.evaluation,
        correct=P.evaluation_items,
    log:
        P.log_of("evaluate", "{target}"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(N.evaluation(w)),
        code=fingerprint("jobs.evaluate_target"),
    script:
        f"{SCRIPTS}/jobs/evaluate_target.py"


rule evaluation:
    input:
        expand(P.evaluation, target=TARGETS),
        expand(P.evaluation_items, target=TARGETS),
    localrule: True
