"""Every merge method against its plain reference on random small models, and what must not change a merge."""

from workflow_scripts.merging.methods import layer_swap as _layer_swap  # noqa: F401
