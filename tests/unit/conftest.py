"""Fixtures that several files share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

LABELS = ["lights", "music", "weather"]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    """θ₀ with the tiny encoder and three labels; do not modify."""
    import torch

    from workflow_scripts.models.base import build_base
    from workflow_scripts.models.encoders import tiny_encoder

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    tiny_encoder.build(folder / "encoder")
    build_base(str(folder / "encoder"), None, LABELS, 0, folder / "base")
    return folder / "base"
