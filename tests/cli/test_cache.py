"""`runstone cache ls | rm | why`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import click
import click.shell_completion
import pytest

from runstone import Pipeline, block
from runstone.cli import cache
from tests.cli import command

COMMANDS = (["ls"], ["ls", "--json"], ["why", "price"], ["why", "shop/price"])


@block(output="y", mapspec="x[i] -> y[i]")
def price(x: int, rate: int) -> int:
    return x * rate


@block(output="total")
def added(y: list[int]) -> int:
    return sum(y)


shop = Pipeline("shop", [price, added], cache=True)


def runstone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return command.runstone(*arguments, at=Path.cwd())


@pytest.fixture(autouse=True)
def _own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Two runs, of which the second has taken what the first has computed."""
    shop.run({"x": [1, 2, 3], "rate": 2}, run_folder="runs/first")
    shop.run({"x": [1, 2, 3, 4], "rate": 2}, run_folder="runs/second")
    return tmp_path


def test_ls_tells_what_there_is(kept: Path) -> None:
    lines = runstone("cache", "ls").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["block", "entries"], ["shop/added", "2"], ["shop/price", "4"]]
    told = json.loads(runstone("cache", "ls", "--json").stdout)
    assert [(each["stage"], each["entries"]) for each in told["stages"]] == [("shop/added", 2), ("shop/price", 4)]
    assert all(each["bytes"] > 0 and each["used_at"] >= each["made_at"] for each in told["stages"])


def test_rm_removes_what_is_named_and_tells_how_much(kept: Path) -> None:
    assert runstone("cache", "rm", "price").stdout.startswith("removed 4 entries, ")
    assert "shop/price" not in runstone("cache", "ls").stdout
    assert runstone("cache", "rm", "--older-than", "1d").stdout == "removed 0 entries, 0 B\n"
    told = json.loads(runstone("cache", "rm", "--all", "--json").stdout)
    assert (told["entries"], told["bytes"] > 0) == (2, True)
    assert "empty" in runstone("cache", "ls").stdout
    found = shop.run({"x": [1], "rate": 2})
    assert found.outputs["total"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what is to go"),
        (["price", "--all"], "leave out BLOCK"),
        (["nothing"], "has nothing of 'nothing'"),
        (["--older-than", "soon"], "no span of time"),
    ],
)
def test_rm_refuses_what_is_not_clear(kept: Path, arguments: list[str], says: str) -> None:
    refused = runstone("cache", "rm", *arguments)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert says in refused.stderr


def test_why_tells_of_a_block_of_a_run_of_an_element_and_of_what_was_last_looked_for(kept: Path) -> None:
    assert "3 elements reused from run" in runstone("cache", "why", "second/price").stdout
    assert "input x is new" in runstone("cache", "why", "second/price/3").stdout
    assert "was reused from run" in runstone("cache", "why", "second/price/0").stdout
    assert "3 of 4 results taken from the cache" in runstone("cache", "why", "price").stdout
    shop.run({"x": [1, 2], "rate": 3}, run_folder="runs/third")
    assert "computed: parameter rate changed" in runstone("cache", "why", "shop/price").stdout
    told = json.loads(runstone("cache", "why", "price", "--json").stdout)
    assert (told["wanted"], told["found"], told["misses"][0]["why"][0]["subject"]) == (2, 0, "rate")
    unknown = runstone("cache", "why", "nothing")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)


def test_looking_writes_nothing(kept: Path) -> None:
    from runstone.engine.caching import run_cache

    for store in run_cache._shared.values():
        store.close()
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept.rglob("*") if file.is_file()}
    for arguments in COMMANDS:
        assert runstone("cache", *arguments).returncode == 0
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("arguments", COMMANDS)
def test_without_a_cache_nothing_is_made(tmp_path: Path, arguments: list[str]) -> None:
    runstone("cache", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_one_line_and_rm_all_mends_it(kept: Path) -> None:
    from runstone.engine.caching import run_cache

    for store in run_cache._shared.values():
        store.close()
    (kept / ".runstone/cache/default/results.db").write_bytes(b"garbage" * 1000)
    refused = runstone("cache", "ls")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "runstone cache rm --all" in refused.stderr
    assert runstone("cache", "rm", "--all").returncode == 0
    assert shop.run({"x": [1], "rate": 2}).outputs["total"] == 2
    assert "shop/price" in runstone("cache", "ls").stdout


def test_a_workspace_has_its_own(kept: Path) -> None:
    for arguments in (["ls"], ["ls", "--json"], ["rm", "--all"], ["rm", "price"], ["why", "price"]):
        refused = command.runstone("cache", *arguments, "--workspace", "acme", at=kept, RUNSTONE_LEDGER="")
        assert refused.returncode == 2
        assert command.complaint(refused).startswith("runstone: no workspace 'acme'; there is default")
    made = command.runstone("workspace", "create", "acme", at=kept, RUNSTONE_LEDGER="")
    assert made.returncode == 0, made.stderr
    assert "empty" in runstone("cache", "ls", "--workspace", "acme").stdout
    assert "nothing of 'price'" in runstone("cache", "rm", "price", "--workspace", "acme").stderr


def test_blocks_are_completed(kept: Path) -> None:
    found = cache.complete_stage(click.Context(cache.remove), cache.remove.params[0], "shop/p")
    assert [each.value for each in found] == ["shop/price"]
