"""The headline events on the real encoder: what a changed or added locale costs there is what it costs on the tiny one."""

from pathlib import Path

import pytest

from tests.dataset import change_data, local_config, write_dataset
from tests.workflow.events import rerun

pytestmark = pytest.mark.real_encoder
LOCALES = ["en-US", "de-DE", "es-ES"]
N = len(LOCALES)
FEW = {  # thirty sentences and six passes per locale: with fewer, training learns nothing and says so
    "base": "bundled_encoder",
    "finetune": {"learning_rate": 1.0e-3, "epochs": 6, "min_steps": 1, "batch_size": 4, "freeze_layers": 10},
}


def test_a_locale_changed_or_added_costs_what_it_must(tmp_path: Path) -> None:
    def computed(locales: list[str]) -> tuple[int, int]:
        """Return the trainings and cells of one more run up to the matrices, by far the most of the work."""
        _, counts = rerun(tmp_path, local_config(locales, **FEW), "nxn")
        return counts["trainings"], counts["cells"]

    write_dataset(tmp_path / "data", [*LOCALES, "fr-FR"])
    assert computed(LOCALES) == (N, N * N)
    change_data(tmp_path, "de-DE", "test")
    assert computed(LOCALES) == (0, N)
    change_data(tmp_path, "de-DE", "train")
    assert computed(LOCALES) == (1, N)
    assert computed([*LOCALES, "fr-FR"]) == (1, 2 * N + 1)
