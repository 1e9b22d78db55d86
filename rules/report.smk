# Needs: evaluations, matrices, the plan, the analysis. Makes: the report's tables, figures and Markdown.

FIGURES = [
    "key_performance_comparison",
    "merge_improvement_analysis",
    "zero_shot_comparison",
    "nxn_heatmap",
]
SIDECARS = (
    expand(P.model_info, locale=LOCALES, seed=SEEDS)
    + expand(P.row_info, locale=LOCALES, seed=SEEDS)
    + expand(P.merge_info, target=TARGETS, seed=SEEDS)
    + expand(P.similarity_info, measure=S.measures, seed=SEEDS)
    + expand(P.trained_info, target=TRAINED, seed=SEEDS)
)


rule report_tables:
    input:
        **RESULTS,
        seed_matrices=expand(P.seed_matrix_test, seed=SEEDS),
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
        predictor=P.predictor,
        recommendations=P.recommendations,
        sidecars=ancient(SIDECARS),
        comparisons=rules.compare_systems.output.table,
        comparison_facts=rules.compare_systems.output.facts,
        claims=rules.check_claims.output.table,
    output:
        summary=f"{P.report}/cross_lingual_summary.csv",
        details=f"{P.report}/merge_details.csv",
        diagnostics=f"{P.report}/selection_diagnostics.csv",
        markdown=f"{P.report}/report.md",
    log:
        log_path("report", "tables"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({**REPORT_SETTINGS, "measures": list(S.measures)}),
        code=fingerprint("write_report"),
        template=template_digest(),
    script:
        f"{SCRIPTS}/write_report.py"


rule figure:
    input:
        **RESULTS,
    output:
        figure=f"{P.report}/{{figure}}.png",
    log:
        log_path("figure", "{figure}"),
    wildcard_constraints:
        figure="|".join(FIGURES),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable({**REPORT_SETTINGS, "figure": w.figure}),
        code=lambda w: fingerprint("draw_figure", f"analysis.figures.{w.figure}"),
    script:
        f"{SCRIPTS}/draw_figure.py"


rule database:
    input:
        **RESULTS,
        cells=P.cells,
        sidecars=ancient(SIDECARS),
        model_digests=expand(P.model_digest, locale=LOCALES, seed=SEEDS),
        trainings=ancient(expand(P.training, locale=LOCALES, seed=SEEDS)),
        facts=ancient(expand(P.merge_facts, target=TARGETS, seed=SEEDS)),
    output:
        database=P.database,
    log:
        log_path("database", "database"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(
            {
                **REPORT_SETTINGS,
                "models": [[locale, seed] for locale in LOCALES for seed in SEEDS],
                "merges": [[target, seed] for target in TARGETS for seed in SEEDS],
                "database": {
                    "ablations": {n: e.ablations for n, e in S.experiments.items()},
                    "base": S.run.base.name,
                    "results_dir": os.path.dirname(P.database),
                },
            }
        ),
        code=fingerprint("build_database"),
    script:
        f"{SCRIPTS}/build_database.py"


rule report:
    input:
        P.database,
        rules.report_tables.output,
        expand(f"{P.report}/{{figure}}.png", figure=FIGURES),
    localrule: True
