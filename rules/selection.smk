# Needs: all similarity matrices; a greedy search also models, θ₀ and the target's validation examples. Makes: the plan of
# all merges, in one small file. The workflow's only checkpoint.

EXPERIMENTS = {
    name: {
        "settings": e.settings,
        "targets": e.targets,
        "method_tier": METHODS[name].supervision,
        "grouped_by": METHODS[name].grouped_by,
        "joint": e.joint,
    }
    for name, e in S.experiments.items()
}
GROUPS = {
    by: {locale: row[by] for locale, row in S.languages.items()}
    for by in {m.grouped_by for m in METHODS.values()} - {None}
}
SELECTORS = sorted({e.settings["selector"] for e in S.experiments.values()})
GREEDY = sorted(
    {
        (target, seed, e.settings["include_target"])
        for e in S.experiments.values()
        if getattr(load("selector", e.settings["selector"]), "NEEDS_GREEDY", False)
        for target in e.targets
        for seed in SEEDS
    }
)
CANDIDATES = {False: "exc", True: "inc"}


rule greedy:
    input:
        precision=PRECISION,
        table=ancient(P.examples.format(locale="{target}", split="validation")),
        table_digest=P.examples_digest.format(locale="{target}", split="validation"),
        matrix=P.seed_matrix_validation,
        base=ancient(P.base),
        base_digest=P.base_digest,
        models=ancient(expand(P.model, locale=LOCALES, seed="{seed}")),
        model_digests=expand(P.model_digest, locale=LOCALES, seed="{seed}"),
    output:
        sources=P.greedy,
    log:
        log_path("greedy", "{target}-seed{seed}-{candidates}"),
    wildcard_constraints:
        candidates="exc|inc",
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                "target": w.target,
                "locales": LOCALES,
                "include_target": w.candidates == "inc",
                "scoring": scoring_settings(),
            }
        ),
        code=fingerprint("jobs.search_sources", "merging.methods.average"),
    script:
        f"{SCRIPTS}/jobs/search_sources.py"


checkpoint select:
    input:
        validation=(
            expand(P.seed_matrix_validation, seed=SEEDS)
            if FEW_SHOT in S.run.baselines
            or any(name.startswith(SEED_SOUP) for name in BASELINES)
            else []
        ),
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
        greedy=[
            P.greedy.format(target=t, seed=seed, candidates=CANDIDATES[inc])
            for t, seed, inc in GREEDY
        ],
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
                "pivot": S.run.pivot,
                "locales": LOCALES,
                "targets": TARGETS,
                "baselines": S.run.baselines,
                "baseline_names": BASELINES,
                "cosines": COSINES,
                "greedy": GREEDY,
                "tiers": {
                    name: load("similarity measure", m).SUPERVISION
                    for name, (m, _) in S.measures.items()
                },
            }
        ),
        code=fingerprint(
            "jobs.select_sources", *(resolve("selector", s) for s in SELECTORS)
        ),
    script:
        f"{SCRIPTS}/jobs/select_sources.py"


rule selection:
    input:
        P.plan,
    localrule: True
