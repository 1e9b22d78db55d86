# Needs: the encoder (package index, hub or folder). Makes: θ₀ = encoder + seeded head, once per run, and its digest.

BASE = S.run.base.name
ENCODER_CODE = [resolve("encoder", BASE)] if BASE in names("encoder") else []


rule base:
    localrule: True  # compute nodes often have no network
    input:
        checkpoint_files(BASE),
    output:
        model=directory(P.base),
        digest=P.base_digest,
        info=P.base_info,
    params:
        settings=stable({"base": S.run.base.model_dump(), "labels": S.labels}),
        code=fingerprint("build_base", *ENCODER_CODE),
    log:
        log_path("base", "base"),
    conda:
        ENVIRONMENT
    script:
        f"{SCRIPTS}/build_base.py"
