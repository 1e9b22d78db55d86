"""One training on several GPUs: one process each, which transformers' Trainer joins through accelerate."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.core.atomic import remove
from workflow_scripts.core.environment import die_with_parent
from workflow_scripts.core.errors import XlmergeError
from workflow_scripts.models.collapse import TrainingFailed
from workflow_scripts.models.training import Trained, finetune

CALL, RESULT = "call.pickle", "result.pickle"


def finetune_on_gpus(settings: dict[str, Any], scratch: str | Path, **call: Any) -> Trained:
    """Train as `training.finetune` does, which see, on ``settings["gpus"]`` GPUs.

    Without a GPU, as many processes share the CPUs.

    Raises
    ------
    TrainingFailed
        If training diverges.
    XlmergeError
        If there are fewer GPUs, or a process fails.
    """
    call = {**call, "settings": settings, "scratch": str(scratch)}
    if settings["gpus"] == 1:
        return finetune(**call)
    _check_gpus(settings["gpus"])
    folder = Path(scratch)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CALL).write_bytes(pickle.dumps({**call, "threads": torch.get_num_threads()}))
    remove(folder / RESULT)
    _launch(settings["gpus"], folder)
    result = pickle.loads((folder / RESULT).read_bytes())
    if isinstance(result, TrainingFailed):
        raise result
    return result


def _check_gpus(wanted: int) -> None:
    visible = torch.cuda.device_count()
    if 0 < visible < wanted:
        raise XlmergeError(
            f"finetune.gpus is {wanted}, but this job sees {visible}: let a `finetune` job ask for {wanted} "
            "(docs/how-to/cluster.md, several GPUs for one training), or lower `finetune.gpus`"
        )


def _launch(processes: int, folder: Path) -> None:
    """Run this module once per GPU and wait for the end of all."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", __name__, str(folder))
    except ChildFailedError as error:
        raise XlmergeError(f"one of {processes} processes that train together failed; its error is above") from error


def _take_part(folder: Path) -> None:
    """Train as one of the processes; the first one leaves the result in the folder."""
    die_with_parent()
    call = pickle.loads((folder / CALL).read_bytes())
    torch.set_num_threads(call.pop("threads"))
    result: Trained | TrainingFailed
    try:
        result = finetune(**call)
    except TrainingFailed as error:  # all processes see the same loss
        result = error
    if os.environ["RANK"] == "0":
        (folder / RESULT).write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    _take_part(Path(sys.argv[1]))
