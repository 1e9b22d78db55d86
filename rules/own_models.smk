# Needs: θ₀ and the models that the config names under `models:`. Makes: their task vectors, in the place of a training.

from workflow_scripts.study.study import checkpoint_files, own_model


rule import_model:
    input:
        lambda w: checkpoint_files(own_model(S.run, w.locale, w.seed)),
        base=ancient(P.base),
        base_digest=P.base_digest,
    output:
        model=P.model,
        digest=P.model_digest,
        training=P.training,
        info=P.model_info,
    log:
        P.log_of("import_model", "{locale}-seed{seed}"),
    wildcard_constraints:
        locale=one_of(S.run.models),
    localrule: True  # compute nodes often have no network
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(
            {
                "source": own_model(S.run, w.locale, w.seed),
                "locale": w.locale,
                "seed": int(w.seed),
                "storage": S.run.finetune.storage,
            }
        ),
        code=fingerprint("jobs.import_model"),
    script:
        f"{SCRIPTS}/jobs/import_model.py"
