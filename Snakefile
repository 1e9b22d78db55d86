"""xlmerge: when does merging per-language models beat the best single one? This file is the map."""

from snakemake.utils import min_version

min_version("9.27")

if (
    not workflow.config_settings.configfiles
):  # a preset is complete: it must not be merged with the default run

    configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/base.smk"
include: "rules/own_models.smk"
include: "rules/finetune.smk"
include: "rules/nxn.smk"
include: "rules/similarity.smk"
include: "rules/selection.smk"
include: "rules/measurements.smk"
include: "rules/merge.smk"
include: "rules/baselines.smk"
include: "rules/evaluate.smk"
include: "rules/analysis.smk"
include: "rules/report.smk"
include: "rules/export.smk"
include: "rules/maintenance.smk"


# Every lasting artefact is a target by itself: a job that failed in an earlier invocation must not be forgotten.
rule all:
    default_target: True
    input:
        rules.data.input,
        rules.models.input,
        rules.nxn.input,
        rules.similarity.input,
        rules.selection.input,
        rules.measurements.input,
        rules.merges.input,
        rules.trained_baselines.input,
        rules.evaluation.input,
        rules.analysis.input,
        rules.report.input,
        rules.complete.output,
    localrule: True


onstart:
    head.begin(workflow, S, CONSOLE, log)


onsuccess:
    head.end(S, CONSOLE)


onerror:
    head.print_batch_system_errors(log, CONSOLE)
