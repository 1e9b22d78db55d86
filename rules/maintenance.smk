# Needs: the sidecars of the present results. Makes: nothing; deletes cache entries that no present result uses,
# locks and checkpoints that no job holds.


rule prune_cache:
    log:
        P.log_of("maintenance", "prune_cache"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=stable(
            {
                "cache": P.cache,
                "sidecars": N.looked_up(),
                "measurements": P.measurements,
            }
        ),
    script:
        f"{SCRIPTS}/jobs/prune_cache.py"
