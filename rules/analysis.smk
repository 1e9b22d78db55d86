# Needs: evaluations and items, matrices, the plan, similarities, logits on validation data. Makes: what the run shows and how
# surely: comparisons, merges' worth in labels, the ledger of claims, whether the effect of merging can be predicted, and what to do for each target.


rule analyse:
    input:
        **N.results(),
        items_of=expand(P.evaluation_items, target=TARGETS),
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
        comparisons=f"{P.report}/statistics.csv",
        comparison_facts=f"{P.report}/statistics.json",
        prices=f"{P.report}/worth_in_labels.csv",
        claims=f"{P.report}/claims.csv",
        predictor=P.predictor,
        recommendations=P.recommendations,
    log:
        P.log_of("analyse", "analysis"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.report(tiers=N.tiers())),
        code=fingerprint("jobs.analyse"),
        claims=data_fingerprint("findings/claims/claims.yaml"),
    script:
        f"{SCRIPTS}/jobs/analyse.py"


rule analysis:
    input:
        rules.analyse.output,
    localrule: True
