"""One cluster for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster.one_node_slurm import OneNodeSlurm, why_unavailable


@pytest.fixture(scope="session")
def cluster() -> Iterator[OneNodeSlurm]:
    """A running Slurm with two pretend GPUs; skipped, with the reason, where it cannot be."""
    reason = why_unavailable()
    if reason:
        pytest.skip(f"no one-node Slurm: {reason}")
    with OneNodeSlurm(gpus=2) as slurm:
        yield slurm
