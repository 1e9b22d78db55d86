# Needs: θ₀, models, the plan, scores. Makes, on request only: a model as a Hugging Face folder with a model card.
# snakemake results/{run}/export/de-DE/seed0, snakemake results/{run}/export/{experiment}/de-DE/seed0


rule export_model:
    input:
        base=ancient(P.base),
        base_digest=P.base_digest,
        model=ancient(P.model),
        model_digest=P.model_digest,
        info=ancient(P.model_info),
        cells=P.cells,
    output:
        folder=directory(P.export_model),
    log:
        P.log_of("export", "{locale}-seed{seed}"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(
            {
                "name": f"{w.locale}, seed {w.seed}",
                "locale": w.locale,
                "seed": int(w.seed),
                "base": S.run.base.name,
                "run": S.run.run,
            }
        ),
        code=fingerprint("jobs.export_model"),
    script:
        f"{SCRIPTS}/jobs/export_model.py"


rule export_merge:
    input:
        **MERGE_INPUTS,
        evaluation=P.evaluation,
    output:
        folder=directory(P.export_merge),
    log:
        P.log_of("export", "{experiment}-{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                **PLANNED.merge(w),
                "name": f"{w.experiment} for {w.target}, seed {w.seed}",
                "experiment": w.experiment,
                "base": S.run.base.name,
                "run": S.run.run,
            }
        ),
        code=fingerprint("jobs.export_merge"),
    script:
        f"{SCRIPTS}/jobs/export_merge.py"
