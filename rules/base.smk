# Needs: the encoder (package index, hub or folder). Makes: θ₀ = encoder + seeded head, once per run, and its digest.

BASE = S.run.base.name
ENCODER_CODE = [resolve("encoder", BASE)] if BASE in names("encoder") else []


rule base:
    input:
        checkpoint_files(BASE),
    output:
        model=directory(P.base),
        digest=P.base_digest,
        info=P.base_info,
    log:
        log_path("base", "base"),
    localrule: True  # compute nodes often have no network
    conda:
        ENVIRONMENT
    params:
        settings=stable({"base": S.run.base.model_dump(), "labels": S.labels}),
        code=fingerprint("jobs.build_base", *ENCODER_CODE),
    script:
        f"{SCRIPTS}/jobs/build_base.py"
