# Needs: a model, one locale's examples. Makes: what merge methods want to have measured on that model with those sentences.


rule statistic:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        model=ancient(P.model),
        model_digest=P.model_digest,
        table=ancient(P.examples.replace("{locale}", "{text}")),
        table_digest=P.examples_digest.replace("{locale}", "{text}"),
    output:
        values=P.statistic,
        digest=P.statistic_digest,
        info=P.statistic_info,
    log:
        log_path("statistic", "{statistic}-{locale}-{text}-{split}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                "statistic": STATISTICS[w.statistic].name,
                "parameters": STATISTICS[w.statistic].parameters,
                "locale": w.locale,
                "seed": int(w.seed),
                "text": w.text,
                "split": w.split,
                "max_length": S.run.evaluation.max_length,
                "cache": P.cache,
                "code": statistic_code(w.statistic),
            }
        ),
        code=fingerprint("jobs.measure_statistic"),
    script:
        f"{SCRIPTS}/jobs/measure_statistic.py"


rule statistics:
    input:
        lambda w: sorted(
            {
                template.format(
                    statistic=s, locale=l, seed=seed, text=text, split=split
                )
                for template in (P.statistic, P.statistic_digest)
                for target in TARGETS
                for seed in SEEDS
                for s, l, text, split in statistics_of(
                    SimpleNamespace(target=target, seed=seed)
                )
            }
        ),
    localrule: True
