"""Runs for the ledger: really executed ones, each with something that a row can tell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runstone import Pipeline, Retries, block
from runstone.ledger import tables
from runstone.ledger.port import Store
from tests import samples
from tests.harness.nursery import Nursery
from tests.harness.scene import Scene

ORDERED = "tests.harness.ordered:live"
_JSON = ("variables", "driver", "body", "metadata")
_SETTINGS = {"double": {"on_error": "continue"}, "total": {"missing": "drop"}}
_ORDERS = {"save": ["double:0", "double:3", "greeting:0"], "fail": ["double:1", "double:4"]}
_DEATHS = (("double:4", 99), ("double:5", 99), ("double:5", 3), ("total:0", 3))


class Flaky:
    """Fails so many times in this process."""

    left = 0


@block(retries=Retries(2, delay=0))
def flaky(x: int) -> int:
    Flaky.left -= 1
    if Flaky.left >= 0:
        raise ConnectionError(f"{Flaky.left} left")
    return x


@block(mapspec="ys[i] -> zs[i]", retries=Retries(1, delay=0))
def broken(ys: int, flaky: int) -> int:
    if ys == 2:
        raise ValueError("two is too many: 100 %, 'quoted' \0 \N{ROCK}")
    return ys


def make(place: Path) -> dict[str, Path]:
    """A folder for each story, by name."""
    folders = {name: place / name for name in ("degraded", "completed", "failed", "died")}
    samples.run_survey(folders["degraded"], place)
    samples.run_tiny(folders["completed"])
    Flaky.left = 2
    Pipeline("unlucky", [flaky, broken]).run(
        {"x": 1, "ys": [1, 2, 3]}, run_folder=folders["failed"], show_progress=False, raise_on_error=False
    )
    _die_often(folders["died"], place / "scene")
    return folders


def _die_often(folder: Path, place: Path) -> None:
    """A run of five epochs, in each of which its driver died: what attempts had told that are made again counts no
    more."""
    answers = place / "answers"
    answers.mkdir(parents=True)
    with Nursery(answers) as nursery:
        scene = Scene(nursery, place)
        for resume, (death, chunk) in enumerate(_DEATHS):
            told = {"orders": {**_ORDERS, "die": [death]}, "chunk": chunk, "resume": bool(resume)}
            scene.spawn(ORDERED, params={"size": 6}, settings=_SETTINGS, **told).wait()
        scene.spawn(ORDERED, orders=_ORDERS, params={"size": 6}, settings=_SETTINGS, resume=True).wait()
    shutil.copytree(scene.folder, folder)


class Prefixes:
    """A run folder as it was after each line of its journal, one after the other in the same place.

    The last one is the folder as it is.
    """

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder = place / folder.name
        self._whole = folder
        self._lines = [
            (path.name, line)
            for path in sorted((folder / "journal").iterdir())
            for line in path.read_bytes().splitlines(keepends=True)
        ]

    def __len__(self) -> int:
        return len(self._lines) + 1

    def __iter__(self) -> Iterator[Path]:
        return (self.lay(number) for number in range(len(self)))

    def lay(self, number: int) -> Path:
        """Bring the folder into the state that has this number, counted from 0."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._whole, self.folder)
        if number < len(self._lines):
            for name in ("status.json", "manifest.json", "outputs/values.pack"):
                (self.folder / name).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "journal")
            (self.folder / "journal").mkdir()
            for name, line in self._lines[: number + 1]:
                with (self.folder / "journal" / name).open("ab") as file:
                    file.write(line)
        return self.folder


_columns: dict[tuple[str, str], list[str]] = {}


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All rows of the index, by table, as they may be compared between ledgers: with ids in the place of keys."""
    return {table: _rows(store, table) for table in tables.INDEX}


def _rows(store: Store, table: str) -> list[dict[str, Any]]:
    # asking a server for them takes longer than all the rest
    names = _columns.get((store.dialect, table))
    if names is None:
        names = _columns[store.dialect, table] = [name for name in tables.columns(store, table) if name != "run_key"]
    wanted = ", ".join(f"of_table.{name}" for name in names)
    found = store.rows(
        f"SELECT run.run_id, {wanted} FROM {table} AS of_table"
        " JOIN pipeline_run AS run ON run.run_key = of_table.run_key"
    )
    rows = [dict(zip(("run_id", *names), _plain(names, values), strict=True)) for values in found]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def _plain(names: list[str], values: tuple[Any, ...]) -> list[Any]:
    """JSON as what it says: a store may write it, and large numbers in it, in its own way."""
    told = [
        json.loads(value, parse_int=float) if name in _JSON and value is not None else value
        for name, value in zip(names, values[1:], strict=True)
    ]
    return [values[0], *told]
