"""What RUN and RUN/BLOCK mean, written as a user writes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

import runstone
from runstone.errors import RunNotFound
from runstone.folder import layout
from runstone.folder.resolve import Located, locate, resolve
from tests import samples


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with `runs/tiny`, of a pipeline with the blocks `double` and `each`."""
    monkeypatch.chdir(tmp_path)
    samples.run_tiny(tmp_path / "runs" / "tiny")
    return tmp_path


def run_id(folder: Path) -> str:
    found: str = msgspec.json.decode((folder / layout.RUN).read_bytes())["id"]
    return found


def meant(text: str) -> tuple[str, str | None]:
    found = locate(text)
    return str(Path(found.folder).resolve()), found.block


def test_a_block_is_named_behind_every_name_of_a_run(place: Path) -> None:
    folder = place / "runs" / "tiny"
    identity = run_id(folder)
    names = ("tiny", "runs/tiny", "./runs/tiny", "runs//tiny", str(folder), identity, identity[:8], identity[:4])
    for name in names:
        assert meant(name) == (str(folder), None)
        assert meant(f"{name}/each") == (str(folder), "each")


def test_a_block_is_named_in_the_folder_where_one_stands(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "runs" / "tiny")
    assert meant("./each") == (str(place / "runs" / "tiny"), "each")
    monkeypatch.chdir(place / "runs")
    assert meant("tiny/each") == (str(place / "runs" / "tiny"), "each")


def test_a_folder_that_is_a_run_is_that_run(place: Path) -> None:
    inner = place / "runs" / "tiny" / "each"
    shutil.copytree(place / "runs" / "tiny", inner)
    assert meant("runs/tiny/each") == (str(inner), None)


def test_a_slash_at_the_end_means_the_run(place: Path) -> None:
    assert meant("runs/tiny/") == (str(place / "runs" / "tiny"), None)


def test_a_run_that_is_not_there_is_refused_with_a_suggestion(place: Path) -> None:
    for number in range(2):
        shutil.copytree(place / "runs" / "tiny", place / "runs" / f"adder-{number}f3c1d9a")
    (place / "runs" / "tinny").mkdir()
    for name, meant in [("tiyn", "tiny"), ("tinny2", "tiny"), ("adder", "adder-0f3c1d9a or adder-1f3c1d9a")]:
        with pytest.raises(RunNotFound, match=f"no run '{name}' here, .*; did you mean {meant}\\?$"):
            locate(name)
    with pytest.raises(RunNotFound, match=r"none with this id in runs \(workspace default; --workspace W .*\)$"):
        locate("something else")
    for name, meant in [("runs/tiyn", "runs/tiny"), ("./runs/tiyn/", "./runs/tiny")]:
        with pytest.raises(RunNotFound, match=f"no run in {name}: .*; did you mean {meant}\\?$"):
            runstone.open(name)


@pytest.mark.parametrize("name", ["tiny/eahc", "runs/tiny/eahc"])
def test_a_block_that_is_not_there_is_refused_with_a_suggestion(place: Path, name: str) -> None:
    with pytest.raises(RunNotFound, match=f"has no block 'eahc'; did you mean {name[:-4]}each\\?"):
        locate(name)
    with pytest.raises(RunNotFound, match="has no block 'outputs'; it has double, each"):
        locate("runs/tiny/outputs")


@pytest.mark.parametrize("name", ["runs/nope", "./nope", "nope/nope", "/nope", "../nope", "runs/tiny/a/b"])
def test_what_has_a_separator_and_names_no_block_is_a_folder(place: Path, name: str) -> None:
    assert locate(name) == Located(folder=name)


def test_a_prefix_of_several_runs_is_refused_with_a_block_behind_it_too(place: Path) -> None:
    shutil.copytree(place / "runs" / "tiny", place / "runs" / "twin")
    identity = run_id(place / "runs" / "tiny")
    for name in (identity, f"{identity}/each"):
        with pytest.raises(RunNotFound, match="fits 2 runs: tiny, twin"):
            locate(name)


def test_a_damaged_run_is_left_to_its_reader(place: Path) -> None:
    (place / "runs" / "tiny" / layout.RUN).write_text("{")
    assert meant("tiny/each") == (str(place / "runs" / "tiny"), "each")


def test_who_wants_a_whole_run_refuses_a_block(place: Path) -> None:
    assert resolve("runs/tiny") == "runs/tiny"
    with pytest.raises(RunNotFound, match=r"tiny/each is a block; .* name the run: runs/tiny"):
        resolve("tiny/each")
