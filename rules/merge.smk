# Needs: the plan, the sources' models, θ₀, the target's examples. Makes: per target and seed, the logits of all its
# merges on the target. One job makes them all: what it finds in the cache it does not make again.

CODES = {name: merge_code(method) for name, method in METHODS.items()}


MERGE_INPUTS = {
    **evaluation_data("{target}"),
    "precision": PRECISION,
    "plan": ancient(P.plan),
    "base": ancient(P.base),
    "base_digest": P.base_digest,
    "models": lambda w: ancient(model_files(P.model)(w)),
    "model_digests": model_files(P.model_digest),
    "measurements": lambda w: ancient(measurement_files(P.measurement)(w)),
    "measurement_digests": measurement_files(P.measurement_digest),
    "text": lambda w: ancient(adaptation_text(P.examples)(w)),
    "text_digest": adaptation_text(P.examples_digest),
}


rule merge:
    input:
        **MERGE_INPUTS,
    output:
        test=P.merge_test,
        validation=P.merge_validation,
        facts=P.merge_facts,
        digest=P.merge_digest,
        info=P.merge_info,
    log:
        log_path("merge", "{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(merge_settings(w)),
        code=fingerprint("jobs.merge_models"),
    script:
        f"{SCRIPTS}/jobs/merge_models.py"


rule merges:
    input:
        expand(
            [P.merge_test, P.merge_validation, P.merge_digest],
            target=TARGETS,
            seed=SEEDS,
        ),
    localrule: True
