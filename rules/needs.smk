# Needs: common.smk. Makes: what single jobs need and are told, from their wildcards and, after the selection, from the plan.


def planned(w):
    """The slices of the plan for one target and seed, by experiment or baseline."""
    plan = planned_merges(checkpoints.select.get().output.plan)
    names = [name for name, e in S.experiments.items() if w.target in e.targets]
    keys = {name: entry_key(name, w.target, w.seed) for name in [*names, *BASELINES]}
    return {
        name: plan[key]
        for name, key in keys.items()
        if name in names or key in plan  # a soup of seeds belongs to the first seed
    }


def models_of(w):
    """The models that the merges of one target and seed need: [locale, seed]."""
    return sorted(
        {tuple(model) for entry in planned(w).values() for model in entry["models"]}
    )


model_files = files_of(models_of, "locale", "seed")


def merge_code(method):
    """Code identity of an experiment's merges: the engine, its method, and the methods that its parameters name."""
    modules = [
        resolve("merge method", m) for m in methods_in(method.name, method.settings)
    ]
    return fingerprint("merging.workflow_merge", *modules)


def measurement_code(measurement):
    return fingerprint(
        "merging.measuring",
        resolve("model measurement", MEASUREMENTS[measurement].name),
    )


def measurements_of(w):
    """What has to be measured on the sources of one target and seed: [measurement, locale, text's locale, split]."""
    found = {
        tuple(key)
        for entry in planned(w).values()
        for keys in entry.get("measurements", {}).values()
        for key in keys
    }
    return sorted(found)


measurement_files = files_of(measurements_of, "measurement", "locale", "text", "split")


def adaptation_text(template):
    """The target's training sentences, if one of its merges adapts to them."""
    return lambda w: (
        [template.format(locale=w.target, split="train")]
        if any(METHODS[name].adapts for name in planned(w))
        else []
    )


def trainings(w):
    """The baselines of one target and seed that are trained, by name."""
    return planned_trainings(checkpoints.select.get().output.plan, w.target, w.seed)


def starts(w):
    """The models that they start from: [locale, seed]."""
    found = (training["start"] for training in trainings(w).values())
    return sorted({tuple(start) for start in found if start})


def training_tables(w):
    """The examples that they train on, and judge by: [locale, split]."""
    found = trainings(w).values()
    pairs = {(locale, t["split"]) for t in found for locale in t["locales"]}
    return sorted(pairs | {(locale, "validation") for locale, _ in pairs})


start_files = files_of(starts, "locale", "seed")
table_files = files_of(training_tables, "locale", "split")


def trained_files(template):
    return lambda w: (
        expand(template, target=w.target, seed=SEEDS) if w.target in TRAINED else []
    )


def merge_settings(w):
    """What shapes the merges of one target and seed."""
    return {
        "target": w.target,
        "seed": int(w.seed),
        "models": models_of(w),
        "merges": planned(w),
        "measurements": measurements_of(w),
        "codes": {name: CODES[name] for name in planned(w)},
        "scoring": scoring_settings(),
    }


def similarity_settings(w):
    """Of a seed, what belongs to it: URIEL is the same for all."""
    return {
        "measure": S.measures[w.measure][0],
        "parameters": S.measures[w.measure][1],
        "locales": LOCALES,
        "languages": S.languages,
        "seed": int(w.seed),
    }


def if_needed(need, template, split="train"):
    """A path per locale for the measures that need it, else none."""
    return lambda w: (
        expand(template, locale=LOCALES, seed=w.seed, split=split)
        if need in NEEDS[w.measure]
        else []
    )
