# Needs: every model, every locale's validation and test examples. Makes: rows of logits and the NxN matrices; before them,
# unless they are made in float32, the decision in which number format.

# Their models and validation sentences tell whether a fast number format will do.
CHECKED = LOCALES[:5]


rule precision:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=ancient(expand(P.model, locale=CHECKED, seed=SEEDS[0])),
        model_digests=expand(P.model_digest, locale=CHECKED, seed=SEEDS[0]),
        tables=ancient(expand(P.examples, locale=CHECKED, split="validation")),
        table_digests=expand(P.examples_digest, locale=CHECKED, split="validation"),
    output:
        decision=P.precision,
        info=P.precision_info,
    log:
        P.log_of("precision", "precision"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=stable(
            {
                "locales": CHECKED,
                "scoring": N.scoring(),
            }
        ),
        code=fingerprint("jobs.choose_precision"),
    script:
        f"{SCRIPTS}/jobs/choose_precision.py"


rule row:
    input:
        test_tables=ancient(expand(P.examples, locale=LOCALES, split="test")),
        test_digests=expand(P.examples_digest, locale=LOCALES, split="test"),
        validation_tables=ancient(
            expand(P.examples, locale=LOCALES, split="validation")
        ),
        validation_digests=expand(P.examples_digest, locale=LOCALES, split="validation"),
        precision=N.precision,
        base=ancient(P.base),
        base_digest=P.base_digest,
        model=ancient(P.model),
        model_digest=P.model_digest,
    output:
        test=P.row_test,
        validation=P.row_validation,
        cells=P.row_cells,
        digest=P.row_digest,
        info=P.row_info,
    log:
        P.log_of("row", "{locale}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                "locales": LOCALES,
                "locale": w.locale,
                "seed": int(w.seed),
                "scoring": N.scoring(),
            }
        ),
        code=fingerprint("jobs.evaluate_row"),
    script:
        f"{SCRIPTS}/jobs/evaluate_row.py"


rule matrix:
    input:
        cells=expand(P.row_cells, locale=LOCALES, seed=SEEDS),
    output:
        cells=P.cells,
        test=P.matrix_test,
        validation=P.matrix_validation,
        test_by_seed=expand(P.seed_matrix_test, seed=SEEDS),
        validation_by_seed=expand(P.seed_matrix_validation, seed=SEEDS),
    log:
        P.log_of("matrix", "matrix"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({"locales": LOCALES, "seeds": SEEDS}),
        code=fingerprint("jobs.collect_matrix"),
    script:
        f"{SCRIPTS}/jobs/collect_matrix.py"


rule nxn:
    input:
        expand([P.row_test, P.row_validation, P.row_digest], locale=LOCALES, seed=SEEDS),
        N.precision,
        rules.matrix.output,
    localrule: True
