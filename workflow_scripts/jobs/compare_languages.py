"""One similarity measure for one seed that looks at models, the base encoder or texts."""

from pathlib import Path
from typing import Any

from workflow_scripts.core.inputs import stated
from workflow_scripts.core.job import run_job
from workflow_scripts.data.examples import read_examples
from workflow_scripts.merging.pieces import Layout
from workflow_scripts.models.checkpoints import skeleton, verify_base, verify_task_vector
from workflow_scripts.similarity.context import MeasureContext, write_similarity


def main(inputs: dict[str, Any], outputs: dict[str, Any], settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the matrix (rows = target, columns = source); everything that is read is verified first."""
    base = verify_base(inputs["base"], inputs["base_digest"])
    models = stated(inputs, "model")
    for model in models:
        verify_task_vector(model.path, model.digest_file, base)
    texts = [read_examples(*table)["text"].tolist() for table in stated(inputs, "table")]
    context = MeasureContext(
        settings["locales"],
        settings["languages"],
        seed=settings["seed"],
        models=[Path(model.path) for model in models],
        head=Layout.of(skeleton(inputs["base"])).head,
        base=Path(inputs["base"]),
        texts=dict(zip(settings["locales"], texts, strict=False)),
        max_length=settings["max_length"],
        threads=threads,
    )
    return write_similarity(context, outputs, settings)


if "snakemake" in globals():
    run_job(main, globals()["snakemake"])
