"""The command `xlmerge`: what each subcommand takes, what it asks of Snakemake, how it fails."""

import tomllib
from pathlib import Path

import pytest
import snakemake.cli
import yaml
from click.shell_completion import ShellComplete

from tests.conftest import ROOT, xlmerge
from workflow_scripts.cli.main import main
from workflow_scripts.study.study import load_study

COMMANDS = ["check", "compare", "completion", "export", "init", "merge", "plan", "prune", "recommend", "report", "run"]
TINY = str(ROOT / "presets/tiny.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the command is called in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that Snakemake is called with; it ends with exit code 0."""
    words: list[str] = []

    def call(given: list[str]) -> None:
        words.extend(given)
        raise SystemExit(0)

    monkeypatch.setattr(snakemake.cli, "main", call)
    return words


def after(words: list[str], flag: str) -> list[str]:
    """Return the values of a flag."""
    rest = words[words.index(flag) + 1 :]
    return rest[: next((i for i, word in enumerate(rest) if word.startswith("-")), len(rest))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    done = xlmerge(command, "--help")
    assert done.exit_code == 0 and done.stdout.startswith(f"Usage: xlmerge {command}")


def test_the_help_lists_the_commands_untruncated():
    done = xlmerge("--help")
    assert done.exit_code == 0 and "..." not in done.stdout.split("Commands:")[1]
    assert (
        [line.split()[0] for line in done.stdout.split("Commands:\n")[1].splitlines()]
        == COMMANDS
        == [*sorted(main.commands)]
    )


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert xlmerge("--version").stdout.split()[-1] == project["version"]


@pytest.mark.parametrize("words", [["runn"], ["recommend"], ["report", "--opne"], ["plan", "--gpus", "0"]])
def test_wrong_use_has_exit_code_2(words):
    done = xlmerge(*words)
    assert done.exit_code == 2 and done.stderr.startswith("Usage: xlmerge") and "Error: " in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell):
    assert f"_XLMERGE_COMPLETE={shell}_complete" in xlmerge("completion", shell).stdout


@pytest.mark.parametrize(("words", "typed", "offered"), [([], "ex", "export"), (["merge"], "ti", "ties")])
def test_names_are_completed(words, typed, offered):
    found = ShellComplete(main, {}, "xlmerge", "_XLMERGE_COMPLETE").get_completions(words, typed)
    assert [item.value for item in found] == [offered]


@pytest.mark.parametrize("words", [["run"], ["plan"], ["report"], ["prune"], ["recommend", "xx"], ["export", "xx"]])
def test_a_missing_config_is_named(words):
    done = xlmerge(*words, "--configfile", "missing.yaml")
    assert (done.exit_code, done.stderr) == (1, "xlmerge: error: there is no config missing.yaml\n")


def test_init_begins_a_study(folder):
    assert xlmerge("init", "my study").exit_code == 0
    config = yaml.safe_load((folder / "my study/config.yaml").read_text(encoding="utf-8"))
    assert load_study(config).run.run == "my_study"
    assert "# sources per merge" in (folder / "my study/config.yaml").read_text(encoding="utf-8")
    for profile in ("slurm", "workstation"):
        name = f"{profile}/config.yaml"
        assert (folder / "my study" / name).read_bytes() == (ROOT / "profiles" / name).read_bytes()
    assert (folder / "my study/config.schema.json").is_file()


def test_init_takes_a_preset_and_overwrites_nothing(folder):
    assert xlmerge("init", "--preset", "tiny").exit_code == 0
    assert load_study(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))).run.base.name == "tiny_encoder"
    before = Path("config.yaml").read_bytes()
    again = xlmerge("init")
    assert again.exit_code == 1 and "nothing was written" in again.stderr
    assert Path("config.yaml").read_bytes() == before
    wrong = xlmerge("init", "other", "--preset", "tinny")
    assert wrong.exit_code == 1 and "did you mean 'tiny'?" in wrong.stderr
    assert not Path("other").exists()


def test_run_hands_snakemakes_options_on_in_their_order(asked):
    assert xlmerge("run", "--configfile", TINY, "-n", "-c2", "--forcerun", "row", "--", "data").exit_code == 0
    assert asked[-6:] == ["-n", "-c2", "--forcerun", "row", "--", "data"]
    assert after(asked, "--snakefile")[0] == str(ROOT / "Snakefile")
    assert after(asked, "--workflow-profile") == [str(ROOT / "profiles/default")]
    assert "--cores" not in asked


def test_run_takes_all_cores_unless_something_else_is_said(asked):
    xlmerge("run", "--configfile", TINY)
    assert after(asked, "--cores") == ["all"]


def test_run_takes_several_configs_from_here_or_the_presets(asked, folder):
    (folder / "mine.yaml").write_text("run: x")
    question = "presets/questions/more_sources.yaml"
    expected = [str(folder / "mine.yaml"), str(ROOT / question)]
    xlmerge("run", "--configfile", "mine.yaml", question, "data")
    assert after(asked, "--configfile") == expected and asked[-1] == "data"
    asked.clear()
    xlmerge("run", "--configfile", "mine.yaml", "--configfile", question)
    assert after(asked, "--configfile") == expected


def test_run_takes_the_config_of_this_folder_else_the_demo(asked, folder):
    done = xlmerge("run")
    assert after(asked, "--configfile") == [str(ROOT / "config.yaml")] and "the demo is meant" in done.stderr
    asked.clear()
    (folder / "config.yaml").write_text("run: x")
    done = xlmerge("run")
    assert after(asked, "--configfile") == [str(folder / "config.yaml")] and not done.stderr


def test_a_profile_of_the_users_goes_before_the_packages(asked, folder):
    xlmerge("run", "--configfile", TINY, "--profile", "slurm")
    assert after(asked, "--profile") == [str(ROOT / "profiles/slurm")] and "--cores" not in asked
    asked.clear()
    (folder / "slurm").mkdir()
    (folder / "slurm/config.yaml").write_text("jobs: 1")
    xlmerge("run", "--configfile", TINY, "--profile", "slurm")
    assert after(asked, "--profile") == ["slurm"]


def test_snakemakes_exit_code_is_the_commands(monkeypatch):
    def fail(_: list[str]) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(snakemake.cli, "main", fail)
    assert xlmerge("run", "--configfile", TINY).exit_code == 1


def test_export_asks_for_a_model_or_a_merge(asked):
    assert xlmerge("export", "de-DE", "--configfile", TINY, "-n").exit_code == 0
    assert asked[-2:] == ["results/tiny/export/de-DE/seed0", "-n"]
    xlmerge("export", "de-DE", "--experiment", "ties_NXN_k2_exc", "--configfile", TINY)
    assert asked[-1] == "results/tiny/export/ties_NXN_k2_exc/de-DE/seed0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["de-DF"], "unknown locale 'de-DF'; did you mean 'de-DE'?"),
        (["de-DE", "--seed", "3"], "unknown seed '3'"),
        (["de-DE", "--experiment", "ties_NXN_k3_exc"], "did you mean 'ties_NXN_k2_exc'?"),
    ],
)
def test_export_of_what_there_is_not(words, message, asked):
    done = xlmerge("export", *words, "--configfile", TINY)
    assert done.exit_code == 1 and message in done.stderr and not asked


def test_prune_asks_for_its_rule(asked):
    assert xlmerge("prune", "--configfile", TINY, "-n").exit_code == 0
    assert asked[-2:] == ["prune_cache", "-n"]


def test_report_says_where_it_is(folder):
    missing = xlmerge("report", "--configfile", TINY)
    assert missing.exit_code == 1 and "run 'tiny' has no report yet" in missing.stderr
    (folder / "results/tiny/report").mkdir(parents=True)
    for name, content in (("report.html", "<html>"), ("summary.txt", "tiny: 3 targets")):
        (folder / "results/tiny/report" / name).write_text(content)
    done = xlmerge("report", "--configfile", TINY)
    assert done.exit_code == 0
    assert done.stdout == f"tiny: 3 targets\nThe report: {folder}/results/tiny/report/report.html\n"


BAD_CONFIGS = {
    "malformed": (b"run: [a\nlocales: x: y\n", "not valid YAML"),
    "of another encoding": ("run: mine\n".encode("utf-16"), "save it as UTF-8"),
    "a list": (b"- run: mine\n", "must hold keys with values"),
    "empty": (b"", "must hold keys with values"),
    "a key twice": (b"run: a\ndata:\n  folder: x\n  folder: y\n", "line 4: the key 'folder' stands there twice"),
}


@pytest.mark.parametrize("kind", BAD_CONFIGS)
def test_a_config_that_cannot_be_read_is_one_sentence(kind, folder, asked):
    content, message = BAD_CONFIGS[kind]
    (folder / "mine.yaml").write_bytes(content)
    for words in (["recommend", "de-DE"], ["run"]):
        done = xlmerge(*words, "--configfile", "mine.yaml")
        assert done.exit_code == 1 and message in done.stderr and not asked


@pytest.mark.parametrize(
    "words", [("--gpu-speed", "0"), ("--gpu-speed", "inf"), ("--gpu-speed", "nan"), ("--gpus", "0")]
)
def test_a_plan_takes_no_gpus_that_cannot_be(words):
    assert xlmerge("plan", "--configfile", TINY, *words).exit_code == 2


def test_a_plan_reads_the_run_of_its_directory(folder, monkeypatch):
    (folder / "there").mkdir()
    monkeypatch.setattr("workflow_scripts.planning.jobs.read_jobs", lambda _: (None, [], folder / "there"))
    monkeypatch.setattr("workflow_scripts.planning.overview.overview", lambda *_: f"in {Path.cwd()}")
    assert xlmerge("plan", "--configfile", TINY).stdout.strip() == f"in {folder / 'there'}"
