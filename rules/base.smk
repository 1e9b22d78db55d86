# Needs: the encoder (package index, hub or folder). Makes: θ₀ = encoder + seeded head, once per run, and its digest.

from workflow_scripts.study.study import built_in_encoder, checkpoint_files

BASE = S.run.base.name


rule base:
    input:
        checkpoint_files(BASE),
    output:
        model=directory(P.base),
        digest=P.base_digest,
        info=P.base_info,
    log:
        P.log_of("base", "base"),
    localrule: True  # compute nodes often have no network
    conda:
        ENVIRONMENT
    params:
        settings=stable({"base": S.run.base.model_dump(), "labels": S.labels}),
        code=fingerprint("jobs.build_base", *built_in_encoder(BASE)),
    script:
        f"{SCRIPTS}/jobs/build_base.py"
