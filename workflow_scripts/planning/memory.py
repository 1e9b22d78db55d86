"""Peak memory of a job, from measured bytes per number, in MB."""

from workflow_scripts.planning.model import NUMBER, Model

MB = 1e6
COPIES = 12  # bytes per trained number on the host of a GPU: the model, θ₀ and their difference


def host_mb(model: Model, rule: str) -> float:
    """Return the memory of a training's process, or of one that scores a model or a merge."""
    memory, whole = model.rates.memory, NUMBER["float32"] * model.encoder.parameters  # θ₀'s embedding is read whole
    if rule != "finetune":
        needed: float = whole
    elif model.name == "cpu":
        needed = max(whole, memory.host_train * model.trained + memory.trainer_mb * MB)
    else:
        needed = whole + COPIES * model.trained
    return model.device.process_mb + needed / MB


def gpu_training_mb(model: Model) -> float:
    """Return what a training allocates on each of its GPUs: weights, gradients, moments, activations of a batch."""
    memory, settings = model.rates.memory, model.study.run.finetune
    frozen = model.encoder.body + model.data.pieces * model.encoder.hidden - model.trained
    units = settings.batch_size // settings.gpus * model.data.tokens * model.encoder.layers * model.encoder.hidden
    needed = memory.gpu_train * model.trained + NUMBER["float32"] * frozen + memory.gpu_activation * units
    return needed / MB
