# Needs: language codes or the validation matrix of a seed; some measures models, θ₀ or training sentences without labels.
# Makes: one matrix per similarity type and seed.

HEAVY = [name for name, needs in NEEDS.items() if needs & HEAVY_INPUTS]
LIGHT = [name for name in NEEDS if name not in HEAVY]


rule similarity_matrix:
    input:
        unpack(
            lambda w: (
                {"validation": P.seed_matrix_validation.format(seed=w.seed)}
                if "validation_matrix" in NEEDS[w.measure]
                else {}
            )
        ),
    output:
        matrix=P.similarity,
        info=P.similarity_info,
    log:
        log_path("similarity", "{measure}-seed{seed}"),
    wildcard_constraints:
        measure="|".join(map(re.escape, LIGHT)) or "none",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(similarity_settings(w)),
        code=lambda w: fingerprint(
            "jobs.compute_similarity",
            resolve("similarity measure", S.measures[w.measure][0]),
        ),
    script:
        f"{SCRIPTS}/jobs/compute_similarity.py"


rule compare_languages:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=lambda w: ancient(if_needed("models", P.model)(w)),
        model_digests=if_needed("models", P.model_digest),
        tables=lambda w: ancient(if_needed("texts", P.examples)(w)),
        table_digests=if_needed("texts", P.examples_digest),
    output:
        matrix=P.similarity,
        info=P.similarity_info,
    log:
        log_path("similarity", "{measure}-seed{seed}"),
    wildcard_constraints:
        measure="|".join(map(re.escape, HEAVY)) or "none",
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {**similarity_settings(w), "max_length": S.run.evaluation.max_length}
        ),
        code=lambda w: fingerprint(
            "jobs.compare_languages",
            resolve("similarity measure", S.measures[w.measure][0]),
        ),
    script:
        f"{SCRIPTS}/jobs/compare_languages.py"


rule similarity:
    input:
        expand(P.similarity, measure=S.measures, seed=SEEDS),
    localrule: True
