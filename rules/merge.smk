# Needs: the plan, the sources' models, θ₀, the target's examples. Makes: per target and seed, the logits of all its
# merges on the target, and which of them could not be made. One job makes them all: what it finds in the cache it does
# not make again.

MERGE_INPUTS = {
    "test_tables": ancient(expand(P.examples, locale="{target}", split="test")),
    "test_digests": expand(P.examples_digest, locale="{target}", split="test"),
    "validation_tables": ancient(
        expand(P.examples, locale="{target}", split="validation")
    ),
    "validation_digests": expand(
        P.examples_digest, locale="{target}", split="validation"
    ),
    "precision": N.precision,
    "plan": ancient(P.plan),
    "base": ancient(P.base),
    "base_digest": P.base_digest,
    "models": ancient(PLANNED.model_files(P.model)),
    "model_digests": PLANNED.model_files(P.model_digest),
    "measurements": ancient(PLANNED.measurement_files(P.measurement)),
    "measurement_digests": PLANNED.measurement_files(P.measurement_digest),
    "text": ancient(PLANNED.text_files(P.examples)),
    "text_digest": PLANNED.text_files(P.examples_digest),
}


rule merge:
    input:
        **MERGE_INPUTS,
    output:
        test=P.merge_test,
        validation=P.merge_validation,
        facts=P.merge_facts,
        failures=P.merge_failures,
        digest=P.merge_digest,
        info=P.merge_info,
    log:
        P.log_of("merge", "{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(PLANNED.merge(w)),
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
