"""What the models learned from and were judged on, and what was left out of it."""

from workflow_scripts.core.words import number
from workflow_scripts.data.look import SPLITS, findings
from workflow_scripts.report.blocks import Items, Prose, Section, table
from workflow_scripts.report.run_data import RunData


def data_section(data: RunData) -> Section:
    """Return the section on the sentences of each locale."""
    facts = {
        locale: {split: data.counted[locale, split] for split in SPLITS} for locale in data.results.settings["locales"]
    }
    rows = [
        {
            "locale": data.named(locale),
            **{split: of[split]["n"] for split in SPLITS},
            "repeated": sum(each["dropped"] for each in of.values()),
            "ignored": sum(of["train"]["ignored"].values()),
            "labels": sum(map(bool, of["train"]["per_label"].values())),
        }
        for locale, of in facts.items()
    ]
    counts = table(
        "Sentences by locale",
        rows,
        {
            "locale": "locale",
            **{word: (split, number) for split, word in SPLITS.items()},
            "repeated, left out": ("repeated", number),
            "of no split, left out": ("ignored", number),
            "labels in training": ("labels", number),
        },
    )
    said = findings(data.counted)
    note = (
        "A sentence that a held-out split has as well is left out: of training if validation or test have it, of "
        "validation if test has it."
    )
    return Section("data", "The data", [Prose(note), *([Items(said)] if said else []), counts])
