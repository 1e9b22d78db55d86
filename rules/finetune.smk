# Needs: θ₀, a locale's training and validation examples. Makes: its model as a task vector, training history, digest.


rule finetune:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        train=ancient(P.examples.replace("{split}", "train")),
        train_digest=P.examples_digest.replace("{split}", "train"),
        validation=ancient(P.examples.replace("{split}", "validation")),
        validation_digest=P.examples_digest.replace("{split}", "validation"),
    output:
        model=P.model,
        digest=P.model_digest,
        training=P.training,
        info=P.model_info,
    log:
        P.log_of("finetune", "{locale}-seed{seed}"),
    wildcard_constraints:
        locale=one_of(locale for locale in LOCALES if locale not in S.run.models),
    conda:
        ENVIRONMENT
    threads: S.run.finetune.threads
    params:
        settings=lambda w: stable(
            {
                "finetune": S.run.finetune.model_dump(exclude={"threads", "retries"}),
                "retries": S.run.finetune.retries,
                "locale": w.locale,
                "seed": int(w.seed),
                "cache": P.cache,
                "code": fingerprint("models.attempts"),
            }
        ),
        code=fingerprint("jobs.finetune_model"),
    script:
        f"{SCRIPTS}/jobs/finetune_model.py"


rule models:
    input:
        expand([P.model, P.model_digest], locale=LOCALES, seed=SEEDS),
    localrule: True
