# Needs: evaluations, matrices, the plan, the analysis, stored logits. Makes: the report as HTML and Markdown, its tables and
# figures; at last a word on whether every merge was made, without which the run has failed.

from workflow_scripts.findings.older_studies import read_reference, reference_of

TEMPLATES = ["report.html.j2", "blocks.html.j2", "report.css", "report.js"]
FIGURES = [
    "key_performance_comparison",
    "merge_improvement_analysis",
    "zero_shot_comparison",
    "nxn_heatmap",
    *(["worth_in_labels"] if N.few_shot else []),
    *(["tuning_curve"] if S.tuned else []),
]
SIDECARS = N.looked_up() + expand(P.similarity_info, measure=S.measures, seed=SEEDS)


rule write_report:
    input:
        **N.results(),
        seed_matrices=expand(P.seed_matrix_test, seed=SEEDS),
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
        predictor=P.predictor,
        recommendations=P.recommendations,
        comparisons=rules.analyse.output.comparisons,
        comparison_facts=rules.analyse.output.comparison_facts,
        claims=rules.analyse.output.claims,
        prices=rules.analyse.output.prices,
        data_facts=ancient(expand(P.examples_info, locale=LOCALES, split=SPLITS)),
        tables=ancient(expand(P.examples, locale=LOCALES, split="test")),
        table_digests=expand(P.examples_digest, locale=LOCALES, split="test"),
        trainings=ancient(expand(P.training, locale=LOCALES, seed=SEEDS)),
        rows=ancient(expand(P.row_test, locale=LOCALES, seed=SEEDS)),
        row_digests=expand(P.row_digest, locale=LOCALES, seed=SEEDS),
        merges=ancient(expand(P.merge_test, target=TARGETS, seed=SEEDS)),
        merge_digests=expand(P.merge_digest, target=TARGETS, seed=SEEDS),
        models=ancient(expand(P.model, locale=LOCALES, seed=SEEDS)),
        sidecars=ancient(SIDECARS),
    output:
        targets=f"{P.report}/cross_lingual_summary.csv",
        details=f"{P.report}/merge_details.csv",
        diagnostics=f"{P.report}/selection_diagnostics.csv",
        markdown=f"{P.report}/report.md",
        terminal=f"{P.report}/summary.txt",
        html=report(
            f"{P.report}/report.html",
            caption=f"{SCRIPTS}/report/captions/report.rst",
            category="Report",
        ),
    log:
        P.log_of("report", "report"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.report(measures=list(S.measures))),
        code=fingerprint("jobs.write_report"),
        template=data_fingerprint(*(f"report/templates/{name}" for name in TEMPLATES)),
    script:
        f"{SCRIPTS}/jobs/write_report.py"


rule figures:
    input:
        **N.results(),
        prices=rules.analyse.output.prices,
    output:
        figures=[
            report(
                f"{P.report}/{figure}.png",
                caption=f"{SCRIPTS}/report/captions/{figure}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in FIGURES
        ],
    log:
        P.log_of("figures", "figures"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.report()),
        code=fingerprint("jobs.draw_figures", *(f"report.figures.{f}" for f in FIGURES)),
    script:
        f"{SCRIPTS}/jobs/draw_figures.py"


rule database:
    input:
        **N.results(),
        cells=P.cells,
        sidecars=ancient(SIDECARS),
        model_digests=expand(P.model_digest, locale=LOCALES, seed=SEEDS),
        trainings=ancient(expand(P.training, locale=LOCALES, seed=SEEDS)),
        facts=ancient(expand(P.merge_facts, target=TARGETS, seed=SEEDS)),
    output:
        database=P.database,
    log:
        P.log_of("database", "database"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.report(**N.database())),
        code=fingerprint("jobs.build_database"),
    script:
        f"{SCRIPTS}/jobs/build_database.py"


REFERENCE = reference_of(S.run.data.provider, S.run.base.name)


rule reference_comparison:
    input:
        **N.results(),
    output:
        table=f"{P.report}/reference_comparison.csv",
    log:
        P.log_of("report", "reference_comparison"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.report(reference=REFERENCE)),
        code=fingerprint("jobs.compare_with_reference"),
        reference=stable(read_reference(REFERENCE) if REFERENCE else {}),
    script:
        f"{SCRIPTS}/jobs/compare_with_reference.py"


rule report:
    input:
        rules.reference_comparison.output if REFERENCE else [],
        P.database,
        rules.write_report.output,
        rules.figures.output,
    localrule: True


rule complete:
    input:
        ancient(rules.report.input),
        failures=expand(P.merge_failures, target=TARGETS, seed=SEEDS),
    output:
        complete=P.complete,
    log:
        P.log_of("complete", "complete"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable({"report": f"{P.report}/report.html"}),
        code=fingerprint("jobs.check_merges"),
    script:
        f"{SCRIPTS}/jobs/check_merges.py"
