"""The measured rates in ``rates.yaml``, checked and typed."""

from functools import cache
from pathlib import Path

import yaml

from workflow_scripts.core.validation import Closed

FILE = Path(__file__).with_name("rates.yaml")


class Checked(Closed):
    """How far estimates from rates alone were from what finished runs took: factors of at least 1."""

    run: str
    total: float
    worst: float
    stage: str


class Layer(Closed):
    """Seconds per layer and batch that do not depend on the batch's size."""

    train: float
    score: float


class Device(Closed):
    """What one job has to itself: a CPU thread, or a GPU."""

    name: str
    start: float
    submission: float
    layer: Layer
    train: dict[str, float]
    score: dict[str, float]
    process_mb: float
    checked: Checked


class Disk(Closed):
    """Seconds per byte."""

    write: float
    read_base: float


class Factorised(Closed):
    """Methods that factorise matrices, and the hidden size that they were measured with."""

    methods: list[str]
    hidden: int


class Merging(Closed):
    """Nanoseconds per parameter of a source."""

    methods: dict[str, float]
    unmeasured: float
    factorised: Factorised


class Memory(Closed):
    """Bytes per number at the peak; `trainer_mb`: what a Trainer needs whatever the model."""

    host_train: float
    trainer_mb: float
    gpu_train: float
    gpu_activation: float


class Expected(Closed):
    """A provider's data before they are prepared; without sentences, the config or nobody knows them."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    tokens: float
    lengths: int
    pieces: int


class Rates(Closed):
    """All rates; ``rates.yaml`` says what each is and where it was measured."""

    devices: dict[str, Device]
    disk: Disk
    tokenise: float
    merging: Merging
    memory: Memory
    light: dict[str, float]
    encoders: dict[str, tuple[int, int, int, float]]
    downloads: dict[str, float]
    data: dict[str, Expected]


@cache
def read_rates() -> Rates:
    """Return the rates."""
    return Rates(**yaml.safe_load(FILE.read_text(encoding="utf-8")))
