# Needs: the plan, the sources' models, θ₀, the target's examples. Makes: the merged model's logits on its target.


def planned(w):
    """The slice of the plan that one merge depends on."""
    return planned_merges(checkpoints.select.get().output.plan)[entry_key(w.experiment, w.target, w.seed)]


def source_files(template):
    return lambda w: expand(template, locale=planned(w)["sources"], seed=w.seed)


rule merge:
    input:
        **evaluation_data("{target}"),
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=lambda w: ancient(source_files(P.model)(w)),
        model_digests=source_files(P.model_digest),
    output:
        test=P.merge_test,
        validation=P.merge_validation,
        info=P.merge_info,
    params:
        settings=lambda w: stable(
            {
                "merge": planned(w),
                "code": fingerprint("merging.workflow_merge", resolve("merge method", planned(w)["method"])),
                "target": w.target,
                "scoring": scoring_settings(),
            }
        ),
        code=fingerprint("merge_models"),
    threads: S.run.evaluation.threads
    log:
        log_path("merge", "{experiment}-{target}-seed{seed}"),
    conda:
        ENVIRONMENT
    script:
        f"{SCRIPTS}/merge_models.py"


def merge_outputs(template, targets=None):
    return [
        template.format(experiment=name, target=target, seed=seed)
        for name, e in S.experiments.items()
        for target in e.targets
        for seed in SEEDS
        if targets is None or target in targets
    ]


rule merges:
    localrule: True
    input:
        merge_outputs(P.merge_test),
