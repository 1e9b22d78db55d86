"""A task vector as a Hugging Face folder with a model card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from workflow_scripts.checkpoints.merge import merge_checkpoints
from workflow_scripts.core.atomic import write_text
from workflow_scripts.core.provenance import versions
from workflow_scripts.merging.method import Step

CARD = """\
---
library_name: transformers
pipeline_tag: text-classification
tags: [xlmerge]
---
# {{ name }}

{{ what }}

| | |
|:--|:--|
{% for key, value in facts.items() %}
| {{ key }} | {{ value }} |
{% endfor %}

{% if sources %}
| source | weight | similarity | digest |
|:--|--:|--:|:--|
{% for s in sources %}
| {{ s.locale }} | {{ "%.4f" | format(s.weight) }} | {{ "%.4f" | format(s.similarity) }} | {{ s.digest }} |
{% endfor %}

{% endif %}
Scores on test data:

| {{ scores[0] | join(" | ") }} |
|{% for _ in scores[0] %}:--|{% endfor %}

{% for row in scores %}
| {{ row.values() | join(" | ") }} |
{% endfor %}

Made by xlmerge's run `{{ run }}` from `{{ base }}` (θ₀ {{ base_digest }}) with {{ versions }}.
"""


def export(vector: Path, base: str | Path, out: str | Path, card: Mapping[str, Any]) -> None:
    """Write θ₀ + τ as a Hugging Face folder.

    Parameters
    ----------
    vector : path
        A task-vector file.
    base : path
        θ₀'s folder.
    out : path
    card : mapping
        What the model card says: ``name``, ``what``, ``facts``, ``sources``, ``scores`` (rows with the same keys),
        ``run``, ``base``, ``base_digest``.
    """
    merge_checkpoints([vector], base, out, [Step("average", {}, (1.0,))], names=["model"])
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    write_text(Path(out) / "README.md", environment.from_string(CARD).render(**card, versions=known))
