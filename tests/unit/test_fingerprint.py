"""Code identity: which edits count, on a copy of the package."""

import ast
import shutil

import pytest

from workflow_scripts.core import fingerprint as module
from workflow_scripts.core.fingerprint import ROOT, fingerprint

PACKAGE = ROOT / "workflow_scripts"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Return a function that edits a file of the copied package."""
    shutil.copytree(PACKAGE, tmp_path / "workflow_scripts", ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "cache"))

    def forget():
        for function in (module.fingerprint, module._file, module._syntax):
            function.cache_clear()

    def edit(path, old, new):
        file = tmp_path / "workflow_scripts" / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        forget()

    forget()
    yield edit
    forget()


TOP_K, NAME = "selection/selectors/top_k.py", "selection.selectors.top_k"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""The k most similar sources', '"""Something else'),
        ('"""Return the k most similar', '"""Words.\n\n    Return the k most similar'),
        ("        best = max(values.values())\n", "        # largest\n\n        best  =  max( values.values() )\n"),
        ("import math\n", "import math  # exp\n"),
    ],
    ids=["module docstring", "function docstring", "comment and layout", "trailing comment"],
)
def test_words_do_not_count(copy, old, new):
    before = fingerprint(NAME)
    copy(TOP_K, old, new)
    assert fingerprint(NAME) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(value - best) / temperature", "(best - value) / temperature"),
        ("] = 0.1,", "] = 0.2,"),
        ('SUPERVISION = "none"', 'SUPERVISION = "unlabelled"'),
        ("Field(gt=0,", "Field(gt=1,"),
    ],
    ids=["order", "default", "constant", "annotation"],
)
def test_code_counts(copy, old, new):
    before = fingerprint(NAME)
    copy(TOP_K, old, new)
    assert fingerprint(NAME) != before


def test_an_import_of_an_import_counts(copy):
    # finetune_model → models.train_job → core.digests
    assert "sha256" not in (PACKAGE / "jobs/finetune_model.py").read_text(encoding="utf-8")
    before = fingerprint("jobs.finetune_model")
    copy("core/digests.py", "hexdigest()[:32]", "hexdigest()[:16]")
    assert fingerprint("jobs.finetune_model") != before


def test_a_module_imported_from_its_package_counts(copy):
    # compute_similarity: from workflow_scripts.core import registry
    before = fingerprint("jobs.compute_similarity")
    copy("core/registry.py", "name.lower() not in names(kind)", "name not in names(kind)")
    assert fingerprint("jobs.compute_similarity") != before


def test_an_import_inside_a_function_counts(copy):
    # evaluate_row imports evaluation.scoring only where it scores
    before = fingerprint("jobs.evaluate_row")
    copy("models/predict.py", "max(1, batch_tokens // length)", "max(2, batch_tokens // length)")
    assert fingerprint("jobs.evaluate_row") != before


def test_a_module_that_is_not_imported_does_not_count(copy):
    before = {name: fingerprint(name) for name in (NAME, "jobs.finetune_model", "jobs.evaluate_target")}
    copy("core/intervals.py", "level: float = 0.95", "level: float = 0.9")
    after = {name: fingerprint(name) for name in before}
    assert {name for name in before if after[name] != before[name]} == {"jobs.evaluate_target"}


def test_the_package_in_an_import_from_counts(copy):
    # compute_similarity: from workflow_scripts.core import registry
    before = fingerprint("jobs.compute_similarity")
    copy("core/__init__.py", '"""What', 'X = 1\n"""What')
    assert fingerprint("jobs.compute_similarity") != before


def test_packages_hold_no_code_that_the_fingerprint_would_miss():
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1 and module._is_docstring(body[0]), f"{path} holds more than a docstring"


def test_several_modules_in_any_order():
    one, two = NAME, "similarity.measures.nxn"
    assert fingerprint(one, two) == fingerprint(two, one) != fingerprint(one)
    assert fingerprint(f"workflow_scripts.{one}") == fingerprint(one)


def test_a_module_that_does_not_exist_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"merging\.methods\.tiess"):
        fingerprint("merging.methods.tiess")


def test_no_module_imports_in_a_way_that_the_fingerprint_does_not_follow():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            assert not relative, f"{path}, line {node.lineno}: a relative import"


def test_a_text_is_parsed_once_and_a_cache_that_cannot_be_used_changes_nothing(copy, tmp_path, monkeypatch):
    before = fingerprint(NAME)
    entries = list((tmp_path / "cache/syntax").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(module, "_parsed", None)
        module.fingerprint.cache_clear()
        module._syntax.cache_clear()
        assert fingerprint(NAME) == before
    for unusable in ("half", None):
        for entry in entries:
            entry.unlink() if unusable is None else entry.write_text(unusable)
        if unusable is None:
            monkeypatch.setenv("XLMERGE_CACHE", str(tmp_path / "workflow_scripts/core/digests.py"))  # no folder
        module.fingerprint.cache_clear()
        module._syntax.cache_clear()
        assert fingerprint(NAME) == before
