# Needs: all similarity matrices. Makes: the plan of all merges, in one small file. The workflow's only checkpoint.

EXPERIMENTS = {
    name: {
        "settings": e.settings,
        "targets": e.targets,
        "method_tier": METHODS[name].supervision,
        "grouped_by": METHODS[name].grouped_by,
    }
    for name, e in S.experiments.items()
}
GROUPS = {
    by: {locale: row[by] for locale, row in S.languages.items()}
    for by in {m.grouped_by for m in METHODS.values()} - {None}
}
SELECTORS = sorted({e.settings["selector"] for e in S.experiments.values()})


checkpoint select:
    input:
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
    output:
        plan=P.plan,
    log:
        log_path("select", "plan"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(
            {
                "experiments": EXPERIMENTS,
                "seeds": SEEDS,
                "groups": GROUPS,
                "tiers": {
                    name: load("similarity measure", m).SUPERVISION
                    for name, (m, _) in S.measures.items()
                },
            }
        ),
        code=fingerprint("select_sources", *(resolve("selector", s) for s in SELECTORS)),
    script:
        f"{SCRIPTS}/select_sources.py"


rule selection:
    input:
        P.plan,
    localrule: True
