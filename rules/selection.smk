# Needs: all similarity matrices; a greedy search also models, θ₀ and the target's validation examples. Makes: the plan of
# all merges, in one small file. The workflow's only checkpoint.

from workflow_scripts.study.needs import CANDIDATES
from workflow_scripts.study.planned import Planned


rule greedy:
    input:
        precision=N.precision,
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
        P.log_of("greedy", "{target}-seed{seed}-{candidates}"),
    wildcard_constraints:
        candidates=one_of(CANDIDATES.values()),
    conda:
        ENVIRONMENT
    threads: S.run.evaluation.threads
    params:
        settings=lambda w: stable(
            {
                "target": w.target,
                "locales": LOCALES,
                "include_target": w.candidates == CANDIDATES[True],
                "scoring": N.scoring(),
            }
        ),
        code=fingerprint("jobs.search_sources", "merging.methods.average"),
    script:
        f"{SCRIPTS}/jobs/search_sources.py"


checkpoint select:
    input:
        validation=N.validation_matrices(),
        similarities=expand(P.similarity, measure=S.measures, seed=SEEDS),
        greedy=N.greedy_files(),
    output:
        plan=P.plan,
    log:
        P.log_of("select", "plan"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(N.selection()),
        code=fingerprint("jobs.select_sources", *N.selectors()),
    script:
        f"{SCRIPTS}/jobs/select_sources.py"


PLANNED = Planned(N, lambda: checkpoints.select.get().output.plan)


rule selection:
    input:
        P.plan,
    localrule: True
