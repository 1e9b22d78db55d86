# Needs: language codes, or the validation matrix of a seed. Makes: one matrix per similarity type and seed.


rule similarity_matrix:
    input:
        unpack(similarity_inputs),
    output:
        matrix=P.similarity,
        info=P.similarity_info,
    log:
        log_path("similarity", "{measure}-seed{seed}"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(
            {
                "measure": S.measures[w.measure][0],
                "parameters": S.measures[w.measure][1],
                "locales": LOCALES,
                "languages": S.languages,
            }
        ),
        code=lambda w: fingerprint(
            "compute_similarity",
            resolve("similarity measure", S.measures[w.measure][0]),
        ),
    script:
        f"{SCRIPTS}/compute_similarity.py"


rule similarity:
    input:
        expand(P.similarity, measure=S.measures, seed=SEEDS),
    localrule: True
