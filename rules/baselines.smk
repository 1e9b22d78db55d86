# Needs: the plan, θ₀, the data and models that trained baselines start from. Makes: per target and seed, their logits on the
# target's test data. Only where the config asks for `few_shot` or a block for `joint`.


rule train_baselines:
    input:
        **evaluation_data("{target}"),
        precision=PRECISION,
        plan=ancient(P.plan),
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=lambda w: ancient(start_files(P.model)(w)),
        model_digests=start_files(P.model_digest),
        tables=lambda w: ancient(table_files(P.examples)(w)),
        table_digests=table_files(P.examples_digest),
    output:
        test=P.trained_test,
        facts=P.trained_facts,
        digest=P.trained_digest,
        info=P.trained_info,
    log:
        log_path("train_baselines", "{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.finetune.threads
    params:
        settings=lambda w: stable(
            {
                "target": w.target,
                "seed": int(w.seed),
                "trainings": trainings(w),
                "models": starts(w),
                "tables": training_tables(w),
                "finetune": S.run.finetune.model_dump(exclude={"threads", "retries"}),
                "few_shot": S.run.few_shot.model_dump(),
                "cache": P.cache,
                "code": fingerprint("models.together"),
                "scoring": scoring_settings(),
            }
        ),
        code=fingerprint("jobs.train_baselines"),
    script:
        f"{SCRIPTS}/jobs/train_baselines.py"


rule trained_baselines:
    input:
        expand([P.trained_test, P.trained_digest], target=TRAINED, seed=SEEDS),
    localrule: True
