# Needs: the sidecars of the present results. Makes: nothing; deletes cache entries that no present result uses,
# locks and checkpoints that no job holds.


rule prune_cache:
    log:
        log_path("maintenance", "prune_cache"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(
            {
                "cache": P.cache,
                "sidecars": LOOKED_UP
                + sorted(map(str, Path(P.measurements).rglob("*.json"))),
            }
        ),
    script:
        f"{SCRIPTS}/jobs/prune_cache.py"
