"""One merge: stream the sources' weights together, score the target, keep the logits."""

import tempfile
from pathlib import Path
from typing import Any

from workflow_scripts.core.digests import digest_of, read_digest
from workflow_scripts.core.job import run_job
from workflow_scripts.evaluation.cells import SPLITS, cached_scores, cell_cache, targets_of
from workflow_scripts.evaluation.packs import write_pack


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Merge and score, unless the same merge of the same models was scored before."""
    entry, facts = settings["merge"], {}
    base = read_digest(inputs["base_digest"])
    identity = digest_of([entry, settings["code"], [read_digest(p) for p in inputs["model_digests"]]])

    def score(missing: list[Any]) -> Any:
        from workflow_scripts.evaluation.score_checkpoint import score_checkpoint
        from workflow_scripts.merging.workflow_merge import merge_models

        with tempfile.TemporaryDirectory() as folder:
            merged = Path(folder) / "merged.safetensors"
            facts.update(merge_models(inputs, entry, base, merged))
            yield from score_checkpoint({**inputs, "model": merged}, missing, settings["scoring"]["evaluation"], threads)

    cache = cell_cache(settings["scoring"], identity, base)
    packs, computed = cached_scores(cache, targets_of([settings["target"]], inputs), score)
    for split in SPLITS:
        write_pack(outputs[split], packs[split])
    return {"identity": identity, "computed": bool(computed), "merged": facts}


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
