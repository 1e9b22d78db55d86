# Needs: the data provider. Makes: example tables per locale and split (parquet), their digests and sidecars; before that,
# for a provider that has to fetch its data, one folder with all of them, which are then read as local files.

from workflow_scripts.data.look import HELD_OUT

FETCHES = hasattr(S.provider, "fetch")
DATA = S.provider.fetched(P.original) if FETCHES else S.run.data


rule fetch:
    input:
        S.provider.files_to_fetch(S.run.data) if FETCHES else [],
    output:
        folder=directory(P.original),
        digest=P.original_digest,
        info=P.original_info,
    log:
        P.log_of("fetch", "data"),
    localrule: True  # compute nodes often have no network
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable({"data": S.run.data.model_dump(), "labels": S.labels}),
        code=fingerprint(
            "jobs.fetch_data", resolve("data provider", S.run.data.provider)
        ),
    script:
        f"{SCRIPTS}/jobs/fetch_data.py"


rule examples:
    input:
        sources=lambda w: (
            P.original_digest
            if FETCHES
            else S.provider.source_files(S.run.data, w.locale, w.split)
        ),
        folder=ancient(P.original) if FETCHES else [],
        held_out=lambda w: expand(P.examples, locale=w.locale, split=HELD_OUT[w.split]),
    output:
        table=P.examples,
        digest=P.examples_digest,
        info=P.examples_info,
    log:
        P.log_of("examples", "{locale}-{split}"),
    localrule: True  # a second each: not worth a submission
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(
            {
                "data": DATA.model_dump(),
                "labels": S.labels,
                "locale": w.locale,
                "split": w.split,
                "max_length": S.max_length,
                "trained": w.locale in S.trained,
            }
        ),
        code=fingerprint("jobs.prepare_data", resolve("data provider", DATA.provider)),
    script:
        f"{SCRIPTS}/jobs/prepare_data.py"


rule data:
    input:
        [P.original, P.original_digest] if FETCHES else [],
        expand([P.examples, P.examples_digest], locale=LOCALES, split=SPLITS),
    localrule: True
