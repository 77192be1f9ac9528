"""Secrets on the command line and in workspaces: references go in, and references are all that is shown."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import scripts

FLOW = """
from runstone import Pipeline, Secret, block

@block
def fetch(root: str, token: Secret, note: str = "nothing", login: str | None = None) -> list[object]:
    return [root, len(token.reveal()), note, login is None or len(login)]

flow = Pipeline("flow", [fetch])
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    scripts.write(tmp_path / "flow.py", FLOW)
    (tmp_path / "runstone.toml").write_text('[secrets]\nnames = ["login"]\n')
    return tmp_path


def run(place: Path, *arguments: str, **more: str) -> Any:
    done = scripts.runstone("run", "flow.py", "-p", "root=src", *arguments, cwd=place, **more)
    assert done.returncode == 0, done.stderr
    (newest,) = (place / "runs").iterdir()
    shown = scripts.runstone("output", str(newest), "fetch", "--format", "json", cwd=place).stdout
    return json.loads(shown)


def test_a_reference_is_one_where_a_secret_is_meant_and_a_text_elsewhere(place: Path) -> None:
    told = run(place, "-p", "token=env:TOKEN", "-p", "note=env:TOKEN", "-p", "login=env:TOKEN", TOKEN="swordfish-7")
    assert told == ["src", 11, "env:TOKEN", 11]


def test_references_may_come_from_a_file_of_parameters(place: Path) -> None:
    (place / "params.toml").write_text('token = "file:token"\nnote = "file:token"\n')
    (place / "token").write_text("swordfish-7\n")
    assert run(place, "--params", "params.toml") == ["src", 11, "file:token", True]


@pytest.mark.parametrize(
    "arguments",
    [["-p", "token=swordfish-7"], ["--params", "params.json"], ["-p", "token=env:TOKEN", "-p", "login=swordfish-7"]],
)
def test_a_secret_itself_is_refused_without_being_repeated(place: Path, arguments: list[str]) -> None:
    (place / "params.json").write_text('{"token": "swordfish-7"}')
    refused = scripts.runstone("run", "flow.py", "-p", "root=src", *arguments, cwd=place)
    assert refused.returncode == 2
    name = "login" if "login" in arguments[-1] else "token"
    assert f"'{name}' is a secret: say where it is found, {name}=env:NAME or {name}=file:PATH" in refused.stderr
    assert "swordfish" not in refused.stderr + refused.stdout
    assert not (place / "runs").exists()


def test_one_that_is_not_there_is_one_line(place: Path) -> None:
    refused = scripts.runstone("run", "flow.py", "-p", "root=src", "-p", "token=env:TOKEN", cwd=place)
    assert refused.returncode == 2
    assert "parameter 'token': env:TOKEN: the environment variable TOKEN is not set" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (place / "runs").exists()


def test_a_mark_that_is_no_name_is_refused(place: Path) -> None:
    (place / "runstone.toml").write_text("[secrets]\nnames = 7\n")
    refused = scripts.runstone("run", "flow.py", "-p", "root=src", "-p", "token=env:TOKEN", cwd=place)
    assert refused.returncode == 2
    assert "[secrets] names is 7: write a list of names" in refused.stderr


def test_a_replay_looks_the_secret_up_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runstone import InputError, Secret
    from runstone.workspace import WorkspaceManager

    monkeypatch.chdir(place)
    monkeypatch.setenv("TOKEN", "swordfish-7")
    monkeypatch.delenv("RUNSTONE_LEDGER")
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    sys.modules.pop("flow", None)
    from importlib import import_module

    flow = import_module("flow").flow

    async def all_of_it() -> None:
        manager = WorkspaceManager()
        workspace = await manager.get("default")
        first = await workspace.run(flow, {"root": "src", "token": Secret("env:TOKEN")})
        monkeypatch.setenv("TOKEN", "swordfish-77")
        job = await workspace.replay_run(first.run_id)
        await job.wait()
        assert (await workspace.get_run(job.run_id)).outputs["fetch"][1] == 12
        literal = await workspace.run(flow, {"root": "src", "token": Secret("swordfish-7777")})
        with pytest.raises(InputError, match="'token': it was given as a literal secret"):
            await workspace.replay_run(literal.run_id)
        again = await workspace.replay_run(literal.run_id, param_overrides={"token": Secret("swordfish-7777")})
        await again.wait()
        assert (await workspace.get_run(again.run_id)).outputs["fetch"][1] == 14

    asyncio.run(all_of_it())
    sys.modules.pop("flow", None)
