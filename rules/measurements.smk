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
        log_path("measure", "{measurement}-{locale}-{text}-{split}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                "measurement": MEASUREMENTS[w.measurement].name,
                "parameters": MEASUREMENTS[w.measurement].parameters,
                "locale": w.locale,
                "seed": int(w.seed),
                "text": w.text,
                "split": w.split,
                "max_length": S.run.evaluation.max_length,
                "cache": P.cache,
                "code": measurement_code(w.measurement),
            }
        ),
        code=fingerprint("jobs.measure_model"),
    script:
        f"{SCRIPTS}/jobs/measure_model.py"


rule measurements:
    input:
        lambda w: sorted(
            {
                template.format(
                    measurement=s, locale=l, seed=seed, text=text, split=split
                )
                for template in (P.measurement, P.measurement_digest)
                for target in TARGETS
                for seed in SEEDS
                for s, l, text, split in measurements_of(
                    SimpleNamespace(target=target, seed=seed)
                )
            }
        ),
    localrule: True
