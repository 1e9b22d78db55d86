# Needs: language codes or the validation matrix of a seed; some measures models, θ₀ or training sentences without labels.
# Makes: one matrix per similarity type and seed.

from workflow_scripts.similarity.context import HEAVY

COMPARED = N.measures_that_read(HEAVY)
COMPUTED = [measure for measure in S.measures if measure not in COMPARED]


rule similarity_matrix:
    input:
        validation=N.if_read("validation_matrix", P.seed_matrix_validation),
    output:
        matrix=P.similarity,
        info=P.similarity_info,
    log:
        P.log_of("similarity", "{measure}-seed{seed}"),
    wildcard_constraints:
        measure=one_of(COMPUTED),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(N.similarity(w)),
        code=lambda w: fingerprint(
            "jobs.compute_similarity",
            N.measure_module(w),
        ),
    script:
        f"{SCRIPTS}/jobs/compute_similarity.py"


rule compare_languages:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=ancient(N.if_read("models", P.model)),
        model_digests=N.if_read("models", P.model_digest),
        tables=ancient(N.if_read("texts", P.examples, split="train")),
        table_digests=N.if_read("texts", P.examples_digest, split="train"),
    output:
        matrix=P.similarity,
        info=P.similarity_info,
    log:
        P.log_of("similarity", "{measure}-seed{seed}"),
    wildcard_constraints:
        measure=one_of(COMPARED),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {**N.similarity(w), "max_length": S.run.evaluation.max_length}
        ),
        code=lambda w: fingerprint(
            "jobs.compare_languages",
            N.measure_module(w),
        ),
    script:
        f"{SCRIPTS}/jobs/compare_languages.py"


rule similarity:
    input:
        expand(P.similarity, measure=S.measures, seed=SEEDS),
    localrule: True
