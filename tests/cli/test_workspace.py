"""`--workspace`: every command is about the runs of one workspace."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from runstone.cli.main import _ABOUT_NO_RUN, COMMANDS, Commands
from tests import scripts

JOB = """
from runstone import Pipeline, block

@block
def one(n: int = 1) -> int:
    return n

job = Pipeline("job", [one])
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(JOB)
    for name in ("acme", "beta"):
        made = scripts.runstone("workspace", "create", name, "--description", f"for {name}", cwd=tmp_path)
        assert (made.returncode, made.stdout) == (0, f"workspace {name} is there; run in it with --workspace {name}\n")
        done = scripts.runstone("run", "job.py", "--workspace", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    return tmp_path


def listed(home: Path, *arguments: str, **environment: str) -> list[str]:
    told = scripts.runstone("list-runs", *arguments, cwd=home, **environment).stdout
    return [run["workspace"] for run in json.loads(told)["runs"]]


def test_runs_of_a_workspace_are_kept_and_found_apart(home: Path) -> None:
    assert sorted(path.parent.name for path in (home / ".runstone/workspaces").glob("*/runs")) == ["acme", "beta"]
    assert (listed(home), listed(home, "--workspace", "acme")) == ([], ["acme"])
    (name,) = (path.name for path in (home / ".runstone/workspaces/acme/runs").iterdir())
    assert scripts.runstone("status", name, "--workspace", "acme", cwd=home).returncode == 0
    assert scripts.runstone("status", name, "--workspace", "beta", cwd=home).returncode == 1
    assert scripts.runstone("status", name, cwd=home).returncode == 1


def test_the_environment_names_it_as_well(home: Path) -> None:
    named = {"RUNSTONE_WORKSPACE": "beta"}
    assert (listed(home, **named), listed(home, "--workspace", "acme", **named)) == (["beta"], ["acme"])


def test_a_name_that_cannot_be_one_is_told(home: Path) -> None:
    done = scripts.runstone("list-runs", "--workspace", "../beta", cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--workspace': use letters, digits, - and _, at most 100" in done.stderr
    done = scripts.runstone("run", "job.py", cwd=home, RUNSTONE_WORKSPACE="a b")
    assert done.returncode == 2
    assert "RUNSTONE_WORKSPACE='a b': use letters" in done.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in _ABOUT_NO_RUN])
def test_every_command_about_runs_has_it(name: str) -> None:
    command = Commands().get_command(click.Context(click.Command("runstone")), name)
    assert command is not None
    options = [option for each in [command, *getattr(command, "commands", {}).values()] for option in each.params]
    assert any("--workspace" in option.opts for option in options)


def test_workspaces_are_listed_and_deleted_with_their_runs(home: Path) -> None:
    listed = scripts.runstone("workspace", "list", cwd=home)
    assert listed.stdout == "default\nacme  for acme\nbeta  for beta\n"
    told = json.loads(scripts.runstone("workspace", "list", "--json", cwd=home).stdout)["workspaces"]
    assert [(each["name"], each["description"]) for each in told][1:] == [("acme", "for acme"), ("beta", "for beta")]
    refused = scripts.runstone("workspace", "delete", "acme", cwd=home)
    assert refused.returncode == 2
    assert "this deletes workspace acme with 1 run; add --yes" in refused.stderr
    done = scripts.runstone("workspace", "delete", "acme", "--yes", cwd=home)
    assert (done.returncode, done.stdout) == (0, "deleted workspace acme with 1 run\n")
    assert scripts.runstone("workspace", "list", cwd=home).stdout == "default\nbeta  for beta\n"


def test_a_name_that_is_taken_or_unknown_is_said_in_words_of_the_command_line(home: Path) -> None:
    for name in ("acme", "default"):
        again = scripts.runstone("workspace", "create", name, cwd=home)
        said = f"runstone: there is a workspace {name!r} already; run in it with --workspace {name}"
        assert (again.returncode, again.stderr) == (2, f"{said}; see runstone workspace create --help\n")
    unknown = scripts.runstone("workspace", "delete", "acem", "--yes", cwd=home)
    said = "runstone: there is no workspace 'acem', only default, acme, beta; see runstone workspace delete --help\n"
    assert (unknown.returncode, unknown.stderr) == (2, said)


@pytest.mark.parametrize("command", [["tail"], ["runs", "list"], ["history"], ["export"]])
def test_a_misspelt_name_is_not_taken_for_an_empty_workspace(home: Path, command: list[str]) -> None:
    done = scripts.runstone(*command, "--workspace", "acem", cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runstone: no workspace 'acem'; there is default, acme, beta")
    assert scripts.runstone(*command, "--workspace", "acme", cwd=home).returncode == 0


def test_a_run_in_a_workspace_that_is_not_there_does_not_begin(home: Path) -> None:
    done = scripts.runstone("run", "job.py", "--workspace", "acne", cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runstone: no workspace 'acne'; there is default, acme, beta; ")
    assert not (home / ".runstone" / "workspaces" / "acne").exists()
