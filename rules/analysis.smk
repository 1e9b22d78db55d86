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


rule analysis:
    input:
        rules.compare_systems.output,
    localrule: True
