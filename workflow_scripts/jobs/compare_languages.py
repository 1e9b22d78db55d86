"""One similarity measure for one seed that looks at models, the base encoder or texts."""

from pathlib import Path
from typing import Any

from workflow_scripts.core.job import run_job
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.models.checkpoints import skeleton, verify_base, verify_task_vector
from workflow_scripts.similarity.context import MeasureContext, write_similarity


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the matrix (rows = target, columns = source); everything that is read is verified first."""
    base = verify_base(inputs["base"], inputs["base_digest"])
    models = [Path(path) for path in inputs["models"]]
    for path, digest_file in zip(models, inputs["model_digests"], strict=True):
        verify_task_vector(path, digest_file, base)
    tables = zip(inputs["tables"], inputs["table_digests"], strict=True)
    texts = [read_examples(*table)["text"].tolist() for table in tables]
    context = MeasureContext(
        settings["locales"],
        settings["languages"],
        seed=settings["seed"],
        models=models,
        head=Layout.of(skeleton(inputs["base"])).head,
        base=Path(inputs["base"]),
        texts=dict(zip(settings["locales"], texts, strict=False)),
        max_length=settings["max_length"],
        threads=threads,
    )
    return write_similarity(context, outputs, settings)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
