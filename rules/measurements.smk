# Needs: a model, one locale's examples. Makes: what merge methods want to have measured on that model with those sentences.


rule measure:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        model=ancient(P.model),
        model_digest=P.model_digest,
        table=ancient(P.examples.replace("{locale}", "{text}")),
        table_digest=P.examples_digest.replace("{locale}", "{text}"),
    output:
        values=P.measurement,
        digest=P.measurement_digest,
        info=P.measurement_info,
    log:
        P.log_of("measure", "{measurement}-{locale}-{text}-{split}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(N.measurement(w)),
        code=fingerprint("jobs.measure_model"),
    script:
        f"{SCRIPTS}/jobs/measure_model.py"


rule measurements:
    input:
        lambda w: PLANNED.all_measurements(P.measurement, P.measurement_digest),
    localrule: True
