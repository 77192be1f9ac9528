"""A project to try the ledger in: the current folder, with runs that were really executed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from runstone.ledger.of_folder import rows_of
from runstone.ledger.row_types import RunRow
from tests.harness.nursery import Nursery
from tests.ledger import stories


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, in which the test is."""
    folder = tmp_path / "project"
    (folder / ".runstone").mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runs of the stories, made once: to be copied, and not to be changed."""
    folder = tmp_path_factory.mktemp("stories")
    found = stories.make(folder / "runs")
    shutil.rmtree(folder / "runs" / "scene")
    return found


def lay(made: dict[str, Path], root: Path) -> dict[str, Path]:
    """Copies of these runs below a folder."""
    return {name: Path(shutil.copytree(folder, root / name)) for name, folder in made.items()}


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Where processes come from that execute runs."""
    (tmp_path / "answers").mkdir()
    with Nursery(tmp_path / "answers") as nursery:
        yield nursery


def told(folder: Path) -> RunRow:
    """What a folder says of its run."""
    return rows_of(str(folder)).run


def claim(folder: Path, **said: object) -> None:
    """Change what a folder says of itself."""
    path = folder / "run.json"
    info = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**info, **said}))
