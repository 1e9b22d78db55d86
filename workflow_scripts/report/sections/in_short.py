"""The opening: what was run, the answer in three sentences, what to do for each target."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workflow_scripts.core.words import (
    listed,
    number,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
    unsigned_points,
)
from workflow_scripts.report.blocks import (
    Bars,
    Beside,
    Block,
    Column,
    Items,
    Note,
    Prose,
    Section,
    Table,
    number_cell,
    table,
)
from workflow_scripts.report.marks import Link, Text, Verdict, marked
from workflow_scripts.report.run_data import LABELS_CHOOSE, RunData
from workflow_scripts.report.sections.comparisons import ruled_out
from workflow_scripts.report.sections.prices import worth_in_labels
from workflow_scripts.selection.systems import (
    BEST_SINGLE,
    ENGLISH,
    FEW_SHOT,
    MEAN_SINGLE,
    SELF,
    baselines,
    is_system,
    title,
)
from workflow_scripts.statistics.contrasts import CHOSEN
from workflow_scripts.statistics.verdicts import BETTER, CANNOT_TELL, NO_DIFFERENCE, ONE_SEED, TOO_FEW, WORSE

MOST_NAMED = 12  # targets in a line
DOUBTED = "low"  # the confidence of an advice that test data do not confirm
NOT_CONFIRMED = "test data do not confirm it"
ADVICE = {
    "merge": "merge for {}",
    "single source": "take a single source for {}",
    "train on the labels": "train on these labels instead for {}",
    "fine-tune needed": "fine-tune for {}",
}
UNLABELLED = {"none": "Without any data of the target", "unlabelled": "With unlabelled text of the target"}
VERDICTS = {
    BETTER: "after correction for several comparisons merging is better",
    WORSE: "after correction for several comparisons merging is worse",
    NO_DIFFERENCE: "no relevant difference",
    CANNOT_TELL: "the data cannot tell whether there is a difference",
    TOO_FEW: "these are too few targets to tell",
    ONE_SEED: "with one seed this describes and does not prove",
}


def opening(data: RunData) -> Section:
    """Return what is seen without scrolling."""
    blocks: list[Block] = [Prose(marked("Run **{}**: {}", data.results.settings["run"], what_was_run(data)), "lead")]
    if data.results.one_seed:
        blocks.append(
            Note(
                marked(
                    "**One seed: descriptive.** Training noise is not measured; another seed can move a single "
                    "accuracy by several points. Add seeds (`seeds: [0, 1, 2]`) before you rely on a difference."
                )
            )
        )
    blocks += [*_missing(data), *_not_converged(data)]
    blocks.append(Beside([Items(answer(data), numbered=True), mean_accuracies(data)], "answer"))
    fine = marked(
        "Brackets are 95 % intervals that respect that sentences of one cluster (template, parallel utterance) are "
        "alike. What is marked **oracle** was chosen on the test data: it shows a limit and is no fair opponent. "
        "A merge is chosen among those that need no labelled training data of the target (among all, where there is "
        "no other)."
    )
    blocks.append(Prose(fine, "fine"))
    if len(data.primary_recommendations):
        advice: list[Block] = [_recommendations(data), Prose(_how_advised(data), "fine")]
        blocks.append(Section("advice", "What to do for each target", advice))
    return Section("overview", "When does merging beat the best single model?", blocks)


def summary(data: RunData) -> list[Block]:
    """Return the opening in about a dozen lines, for the terminal: the targets by advice, the claims by verdict."""
    run = data.results.settings["run"]
    blocks: list[Block] = [Prose(f"{run}: {what_was_run(data)}"), *_missing(data), *_not_converged(data)]
    blocks += [mean_accuracies(data), Items(answer(data))]
    if len(data.primary_recommendations):
        blocks += [Prose("Advice by labelled validation data:"), Items(_advised(data.primary_recommendations))]
    if len(data.claims):
        counts = data.claims["verdict"].value_counts()
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        blocks.append(Prose(f"Earlier claims: {verdicts}"))
    return blocks


def _advised(rows: pd.DataFrame) -> list[str]:
    """Return the targets by advice; those whose test data say otherwise are told apart."""
    said = []
    for advice, same in rows.groupby("advice"):
        doubted = same["confidence"] == DOUBTED
        groups = [(same.loc[~doubted, "target"], ""), (same.loc[doubted, "target"], f" ({NOT_CONFIRMED})")]
        said.append(f"{advice}: " + ", ".join(f"{_some(list(group))}{note}" for group, note in groups if len(group)))
    return said


def _missing(data: RunData) -> list[Block]:
    """Return a note on merges that could not be made; an experiment that fails with one seed is left out with all."""
    reasons: dict[str, dict[str, None]] = {}
    for record in data.results.failures:
        for name, reason in record["failed"].items():
            reasons.setdefault(reason, {})[f"{name} for {record['target']}"] = None
    if not reasons:
        return []
    told = "; ".join(f"{_some(list(merges), 'merge')}: {reason}" for reason, merges in reasons.items())
    return [Note(marked("**Merges are missing that could not be made.** {}.", told.removesuffix(".")))]


def _not_converged(data: RunData) -> list[Block]:
    """Return a note on models that had not finished learning: what is compared with them means little."""
    if not data.not_converged:
        return []
    several = len(data.results.settings["seeds"]) > 1
    models = [f"{locale}, seed {seed}" if several else locale for locale, seed in data.not_converged]
    reason = next(iter(data.not_converged.values()))
    return [
        Note(
            marked(
                "**Not converged: {}.** Of the first, {}. A model’s own accuracy is too low then, and whatever is "
                "compared with it too good: train longer (`finetune.epochs`, `min_steps`).",
                _some(models, "model"),
                reason,
            )
        )
    ]


def _some(names: list[str], kind: str = "target") -> str:
    return ", ".join(names) if len(names) <= MOST_NAMED else plural(len(names), kind)


def mean_accuracies(data: RunData) -> Bars:
    """Return mean accuracies over targets, the highest first, of what every target has."""
    bars = [("merge chosen on validation data", data.results.chosen_and_fair[0].mean(), "merge")]
    for row in baselines("target"):
        reached = data.results.baseline(row.name)["accuracy"]
        if reached.notna().all() and not row.oracle:
            count = len({locale for locale, _ in data.not_converged}) if row.name == SELF else 0
            mark = f" ({count} not converged)" if count else ""
            bars.append((title(row.name) + mark, reached.mean(), "single" if row.name == BEST_SINGLE else ""))
    return Bars("Mean test accuracy over targets", sorted(bars, key=lambda bar: -bar[1]))


def what_was_run(data: RunData) -> str:
    """Return the size of the run in a sentence."""
    run, own = data.results.settings, data.results.baseline(SELF)
    return (
        f"{plural(len(data.results.targets), 'target')}, {plural(len(data.results.experiments), 'experiment')}, "
        f"{plural(len(data.details), 'merge')}, {plural(len(run['seeds']), 'seed')}; "
        f"{plural(len(run['locales']), 'model')} fine-tuned from {run['base']['name']} on {len(run['labels'])} "
        f"intents, judged on {number(own['n'].sum())} test sentences in {number(own['clusters'].sum())} clusters."
    )


def answer(data: RunData) -> list[Text]:
    """Return the answer in sentences."""
    merging = [_levels(data), *_without_labels(data), _difference(data), _advice(data)]
    return [*merging, *_training_instead(data), *worth_in_labels(data)]


def _without_labels(data: RunData) -> list[Text]:
    """Return what merging is worth where no label of the target may choose, against whom, per level of supervision."""
    said = []
    for tier, known in UNLABELLED.items():
        tested = data.primary_contrast(tier)
        if tested is not None:
            text = marked(
                "{}, the merge {} is **{} points** against {}, better for {}, worse for {}; {}.",
                known,
                data.results.titles[tested["experiment"]],
                points_interval(tested["effect"], tested["low"], tested["high"]),
                opponent(data, tested["baseline"]),
                number(tested["improved"]),
                number(tested["hurt"]),
                told(tested, data),
            )
            said.append(text)
    return said


def opponent(data: RunData, name: str) -> str:
    """Return the title of a system that merges are compared with; the pivot is named."""
    return f"{title(name)} ({data.results.settings['pivot']})" if name == ENGLISH else title(name)


def _levels(data: RunData) -> Text:
    mean = {name: data.results.baseline(name)["accuracy"].mean() for name in (SELF, MEAN_SINGLE, BEST_SINGLE)}
    return marked(
        "A target’s own model reaches **{}** on average, another language’s model {}, and the best of those, "
        "chosen on validation data, **{}**.",
        *map(percent, mean.values()),
    )


def _difference(data: RunData) -> Text:
    difference, tested = data.differences, data.effect(BEST_SINGLE, CHOSEN)
    return marked(
        "The merge chosen on validation data reaches **{}**, **{} points** against that best single model; it is "
        "better for {} of {}, worse for {}. {}{}",
        percent(data.results.chosen_and_fair[0].mean()),
        points(difference.mean()),
        number((difference > 0).sum()),
        plural(len(difference), "target"),
        number((difference < 0).sum()),
        "This run cannot test the difference."
        if tested is None
        else f"95 % interval over targets, for these intents: {_sure(tested, data)}.",
        _tuned(data),
    )


def _tuned(data: RunData) -> str:
    """Return how the merge stands against a single model that was tuned on the same labels, if the run has one."""
    tested = data.primary_contrast(LABELS_CHOOSE)
    if tested is None or tested["baseline"] == BEST_SINGLE:
        return ""
    return f" Against {opponent(data, tested['baseline'])}: {_sure(tested, data)}."


def _sure(tested: pd.Series, data: RunData) -> str:
    return f"{points_interval(tested['effect'], tested['low'], tested['high'])}; {told(tested, data)}"


def told(tested: pd.Series, data: RunData) -> str:
    """Return the verdict of a comparison in words, with what it rules out."""
    return ", ".join([VERDICTS[tested["verdict"]], *ruled_out(tested, data)])


def _advice(data: RunData) -> Text:
    rows = data.primary_recommendations
    if rows.empty:
        effects = data.overview["effect_best"]
        return marked(
            "Merging among the chosen sources (merge − best of its own sources, an oracle) changed accuracy by "
            "**{} to {} points** on average, depending on the experiment.",
            points(effects.min()),
            points(effects.max()),
        )
    counts = rows["advice"].value_counts()
    parts = [text.format(plural(int(counts[name]), "target")) for name, text in ADVICE.items() if name in counts]
    return marked(
        "What to do, by validation data: **{}**; test data, which were not asked, agree for {} of {}. The "
        "recommendations say why.",
        listed(parts),
        number((rows["confidence"] != DOUBTED).sum()),
        plural(len(rows), "target"),
    )


def _training_instead(data: RunData) -> list[Text]:
    """Return what the labels that choose would buy by training on them, if the run tried it."""
    tested = data.effect(FEW_SHOT, CHOSEN)
    if tested is None:
        return []
    text = marked(
        "If those validation labels may be trained on instead, the best single source fine-tuned on them reaches "
        "**{}**; the chosen merge − that: {} points, better for {}, worse for {}.",
        percent(data.results.baseline(FEW_SHOT)["accuracy"].mean()),
        points_interval(tested["effect"], tested["low"], tested["high"]),
        number(tested["improved"]),
        number(tested["hurt"]),
    )
    return [text]


def _recommendations(data: RunData) -> Table:
    rows = data.primary_recommendations
    columns: dict[str, Column] = {
        "target": lambda row: Link(row["target"], f"#target-{row['target']}"),
        "language": "language",
        **advice_columns(data),
    }
    if rows["few_shot_accuracy"].notna().any():
        why = columns.pop("why")
        columns |= {"trained on the same labels": ("few_shot_accuracy", percent), "why": why}
    caption = (
        f"For someone with {listed(list(dict.fromkeys(rows['tier'])))} data of the target and without training data. "
        "Chosen on validation data, expected accuracy judged on test data. Other levels of supervision: on its page, "
        "and in recommendations.csv."
    )
    return table(caption, [row for _, row in rows.iterrows()], columns)


def _how_advised(data: RunData) -> Text:
    criteria, tried = data.predictor["criteria"], data.primary_recommendations["few_shot_accuracy"].notna().any()
    return marked(
        "*Train on the labels*: fine-tuning on the validation sentences was ahead for the other targets, on their test "
        "data; {}. *Fine-tune*: even the upper end of the best option’s interval is below {} of what other languages’ "
        "own models reach on validation data. *Confidence*: high means that test data confirm the advice with the "
        "whole interval and in every one of at least {} seeds, medium that they point the same way, low that they do "
        "not.",
        "its own test data were not asked" if tried else "this run did not try it (baseline few_shot)",
        percent(criteria["fine_tune_below"], 0),
        number(criteria["seeds"]),
    )


def advice_columns(data: RunData) -> dict[str, Column]:
    """Return the columns that tell a recommendation, but for whom it is."""
    titles = data.results.titles
    return {
        "advice": lambda row: Verdict(row["advice"]),
        "best option": lambda row: _option(data, row["what"]),
        "expected accuracy [95 %]": lambda row: number_cell(
            percent_interval(row["expected_accuracy"], row["low"], row["high"]), row["expected_accuracy"]
        ),
        "− alternative [95 %]": lambda row: _against(titles.get(row["alternative"], row["alternative"]), row),
        "below own model": ("gap_to_self", unsigned_points),
        "confidence": "confidence",
        "why": lambda row: with_titles(data, row["reason"]),
    }


def _option(data: RunData, what: str) -> str:
    """Return what people read for an option: a system's title, an experiment's, or the source itself."""
    return title(what) if is_system(what) else data.results.titles.get(what, what)


def _against(alternative: str, row: Mapping[str, Any]) -> str:
    """Return the difference to the best option of the other kind, and what that is; nothing where there is none."""
    interval = points_interval(row["difference"], row["difference_low"], row["difference_high"])
    return f"{interval}: {alternative}" if alternative else ""


def with_titles(data: RunData, text: str) -> str:
    """Return a text with the titles of experiments in the place of their names."""
    for name in sorted(data.results.titles, key=len, reverse=True):
        text = text.replace(name, data.results.titles[name])
    return text.replace(" %", "\u202f%")
