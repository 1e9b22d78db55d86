# Needs: evaluations and items, matrices, the plan. Makes: what the run shows and how surely.


rule compare_systems:
    input:
        **RESULTS,
        items_of=expand(P.evaluation_items, target=TARGETS),
    output:
        table=f"{P.report}/statistics.csv",
        facts=f"{P.report}/statistics.json",
    log:
        log_path("compare_systems", "statistics"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({**REPORT_SETTINGS, "targets": TARGETS}),
        code=fingerprint("compare_systems"),
    script:
        f"{SCRIPTS}/compare_systems.py"


rule check_claims:
    input:
        **RESULTS,
        items_of=expand(P.evaluation_items, target=TARGETS),
    output:
        table=f"{P.report}/claims.csv",
    log:
        log_path("check_claims", "claims"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({**REPORT_SETTINGS, "targets": TARGETS}),
        code=fingerprint("check_claims"),
        claims=digest_of_files(f"{SCRIPTS}/analysis/claims/claims.yaml"),
    script:
        f"{SCRIPTS}/check_claims.py"


rule analysis:
    input:
        rules.compare_systems.output,
        rules.check_claims.output,
    localrule: True
