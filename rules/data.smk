# Needs: the data provider. Makes: example tables per locale and split (parquet), their digests and sidecars.

HELD_OUT = {"test": [], "validation": ["test"], "train": ["test", "validation"]}


rule examples:
    input:
        sources=lambda w: S.provider.source_files(S.run.data, w.locale, w.split),
        held_out=lambda w: expand(P.examples, locale=w.locale, split=HELD_OUT[w.split]),
    output:
        table=P.examples,
        digest=P.examples_digest,
        info=P.examples_info,
    log:
        log_path("examples", "{locale}-{split}"),
    localrule: True  # a second each: not worth a submission
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: stable(
            {
                "data": S.run.data.model_dump(),
                "labels": S.labels,
                "locale": w.locale,
                "split": w.split,
            }
        ),
        code=fingerprint("prepare_data", resolve("data provider", S.run.data.provider)),
    script:
        f"{SCRIPTS}/prepare_data.py"


rule data:
    input:
        expand([P.examples, P.examples_digest], locale=LOCALES, split=SPLITS),
    localrule: True
