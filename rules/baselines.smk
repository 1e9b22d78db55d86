# Needs: the plan, θ₀, the data and models that trained baselines start from; where one starts from the merge chosen on
# validation data, the merges' scores there and their sources. Makes: per target and seed, their logits on the target's test
# data. Only where the config asks for `few_shot` or a block for `joint`.


rule train_baselines:
    input:
        test_tables=ancient(expand(P.examples, locale="{target}", split="test")),
        test_digests=expand(P.examples_digest, locale="{target}", split="test"),
        validation_tables=ancient(
            expand(P.examples, locale="{target}", split="validation")
        ),
        validation_digests=expand(
            P.examples_digest, locale="{target}", split="validation"
        ),
        precision=N.precision,
        plan=ancient(P.plan),
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=ancient(PLANNED.start_files(P.model)),
        model_digests=PLANNED.start_files(P.model_digest),
        scored_merges=ancient(PLANNED.candidate_scores(P.merge_validation)),
        merge_digests=PLANNED.candidate_scores(P.merge_digest),
        failures=PLANNED.candidate_scores(P.merge_failures),
        measurements=ancient(PLANNED.candidate_measurements(P.measurement)),
        measurement_digests=PLANNED.candidate_measurements(P.measurement_digest),
        text=ancient(PLANNED.candidate_text(P.examples)),
        text_digest=PLANNED.candidate_text(P.examples_digest),
        tables=ancient(PLANNED.table_files(P.examples)),
        table_digests=PLANNED.table_files(P.examples_digest),
    output:
        test=P.trained_test,
        facts=P.trained_facts,
        digest=P.trained_digest,
        info=P.trained_info,
    log:
        P.log_of("train_baselines", "{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.finetune.threads
    params:
        settings=lambda w: stable(PLANNED.baselines(w)),
        code=fingerprint("jobs.train_baselines"),
    script:
        f"{SCRIPTS}/jobs/train_baselines.py"


rule trained_baselines:
    input:
        expand([P.trained_test, P.trained_digest], target=N.trained, seed=SEEDS),
    localrule: True
