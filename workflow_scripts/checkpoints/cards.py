"""Model cards: what an exported model is, what it was made of, and what it scored."""

from collections.abc import Mapping
from typing import Any, TypedDict

import jinja2
import pandas as pd

from workflow_scripts.core.lookup import versions
from workflow_scripts.selection.systems import BEST_SINGLE, BEST_SOURCE, MERGE, SELF

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


class Card(TypedDict):
    """What a card says.

    Attributes
    ----------
    name, what : str
        The model's name, and a sentence.
    facts : dict of str to object
    sources : list of dict
        ``locale``, ``weight``, ``similarity`` and ``digest`` of each; none for a model that is no merge.
    scores : list of dict
        Rows with the same keys.
    run, base, base_digest : str
    """

    name: str
    what: str
    facts: dict[str, Any]
    sources: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    run: str
    base: str
    base_digest: str


def render_card(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    return environment.from_string(CARD).render(**card, versions=software)


def card_of_model(
    sidecar: Mapping[str, Any], digest: str, cells: pd.DataFrame, settings: Mapping[str, Any], base_digest: str
) -> Card:
    """Return the card of a locale's model.

    Parameters
    ----------
    sidecar : mapping
        The model's.
    digest : str
        Its task vector's.
    cells : DataFrame
        All cells of the run.
    settings : mapping
        ``name``, ``locale``, ``seed``, ``run``, ``base``.
    base_digest : str
    """
    made = sidecar["settings"]
    of_model = (cells["model"] == settings["locale"]) & (cells["seed"] == settings["seed"])
    scored = cells[of_model & (cells["split"] == "test")]
    return {
        "name": settings["name"],
        "what": f"Fine-tuned on {settings['locale']}.",
        "facts": {"task vector": digest, **(made["finetune"] if "finetune" in made else {"source": made["source"]})},
        "sources": [],
        "scores": [
            {"evaluated on": row.locale, "accuracy": f"{100 * row.accuracy:.1f} %", "n": row.n}
            for row in scored.itertuples()
        ],
        "run": settings["run"],
        "base": settings["base"],
        "base_digest": base_digest,
    }


def card_of_merge(
    entry: Mapping[str, Any],
    identity: str,
    digests: Mapping[str, str],
    systems: pd.DataFrame,
    settings: Mapping[str, Any],
    base_digest: str,
) -> Card:
    """Return the card of a merge.

    Parameters
    ----------
    entry : mapping
        Its entry of the plan.
    identity : str
        Its content's.
    digests : mapping
        Source → digest of its task vector.
    systems : DataFrame
        The target's evaluation.
    settings : mapping
        ``name``, ``seed``, ``run``, ``base``.
    base_digest : str
    """
    beside = (systems["seed"].astype(str) == str(settings["seed"])) & systems["experiment"].isin(
        [entry["experiment"], ""]
    )
    scored = systems[beside & systems["system"].isin([MERGE, BEST_SOURCE, BEST_SINGLE, SELF])]
    return {
        "name": settings["name"],
        "what": f"Merged for {entry['target']} by `{entry['method']}`, without further training.",
        "facts": {
            "method": entry["method"],
            **entry["parameters"],
            "supervision": entry["tier"],
            "identity": identity,
        },
        "sources": [{**source, "digest": digests[source["locale"]]} for source in entry["sources"]],
        "scores": [
            {
                "system": row.system,
                "accuracy": f"{100 * float(row.accuracy):.1f} %",
                "95 % interval": f"{100 * float(row.low):.1f} – {100 * float(row.high):.1f} %",
                "n (clusters)": f"{row.n} ({row.clusters})",
            }
            for row in scored.itertuples()
        ],
        "run": settings["run"],
        "base": settings["base"],
        "base_digest": base_digest,
    }
