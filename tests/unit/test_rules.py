"""The rules are a map: little Python, nothing used before it is defined, no folder listed while they are parsed."""

import ast
import io
import re
import tokenize
from pathlib import Path

from tests.conftest import ROOT

LISTS = re.compile(r"\b(r?glob|iterdir|listdir|scandir|walk|glob_wildcards)\b")


def included() -> list[Path]:
    """The rule files in the order in which the Snakefile includes them."""
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    return [ROOT / name for name in re.findall(r'^include: "(.+)"', text, re.MULTILINE)]


def python_lines(file: Path) -> list[str]:
    """Lines that are neither of a rule, checkpoint or include, nor comments, nor blank."""
    found, inside = [], False
    for line in file.read_text(encoding="utf-8").splitlines():
        if line[:1] not in {"", " ", "#"}:
            inside = bool(re.match(r"(rule|checkpoint|include)\b", line))
        if line.strip() and not line.lstrip().startswith("#") and not inside:
            found.append(line)
    return found


def defined_in(file: Path) -> set[str]:
    """Names that a rule file defines for itself and the files after it."""
    plain = re.sub(r"(?m)^wildcard_constraints:\n(?: .*\n?)+", "", "\n".join(python_lines(file)) + "\n")
    defined = set()
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return defined


def used_in(file: Path) -> set[str]:
    """Names that stand anywhere in it, but for attributes, keywords and the names of rules."""
    tokens = list(tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline))
    return {
        token.string
        for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if token.type == tokenize.NAME
        and before.string not in {".", "rule", "checkpoint", "import"}
        and after.string not in {"=", ":"}
    }


def test_at_most_an_eighth_of_the_rules_is_python():
    lines = sum(len(f.read_text(encoding="utf-8").splitlines()) for f in (ROOT / "rules").glob("*.smk"))
    python = sum(len(python_lines(f)) for f in (ROOT / "rules").glob("*.smk"))
    assert python <= lines / 8, f"{python} of {lines} lines"


def test_every_rule_file_is_included_once():
    assert sorted(included()) == sorted((ROOT / "rules").glob("*.smk"))


def test_no_name_is_used_before_the_file_that_defines_it():
    files = [*included(), ROOT / "Snakefile"]
    ours = set().union(*map(defined_in, files[:-1]))
    assert {"S", "P", "stable", "PLANNED", "MERGE_INPUTS"} <= ours
    known: set[str] = set()
    for file in files:
        known |= set() if file.name == "Snakefile" else defined_in(file)
        assert not (used_in(file) & ours) - known, file.name


def test_no_rule_refers_to_a_rule_of_a_later_file():
    known = set()
    for file in included():
        text = file.read_text(encoding="utf-8")
        known |= set(re.findall(r"(?m)^(?:rule|checkpoint) (\w+):", text))
        assert set(re.findall(r"\b(?:rules|checkpoints)\.(\w+)", text)) <= known, file.name


def test_nothing_lists_a_folder_while_the_snakefile_is_parsed():
    for file in (ROOT / "Snakefile", *included()):
        assert not LISTS.search(file.read_text(encoding="utf-8")), file.name


def test_every_template_counts_as_code_of_a_report():
    text = (ROOT / "rules/report.smk").read_text(encoding="utf-8")
    templates = ROOT / "workflow_scripts/report/templates"
    assert [f.name for f in templates.rglob("*") if f.is_file() and f'"{f.name}"' not in text] == []
