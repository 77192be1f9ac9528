"""Folders that somebody made worse: nothing runs, nothing changes, nothing outside is opened, and there is an answer at
once."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from runstone.cli.main import invoke
from runstone.core.status import KEYS
from runstone.folder import observe
from runstone.folder.foreign.pipefunc import stored
from runstone.folder.listing import list_runs
from tests.folder.spy import Spy, picture

real = pytest.importorskip("tests.folder.foreign.real", reason="pipefunc is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes and inotify as Linux has them")

LIMIT_SECONDS = 0.2
INFO, BEAT = "run_info.json", "pipefunc_status.json"
FILES = (
    INFO,
    BEAT,
    "outputs",
    "outputs/y",
    "outputs/y/__0__.pickle",
    "outputs/kept/dict_array.cloudpickle",
    "outputs/lab.note.cloudpickle",
    "outputs/made.cloudpickle",
    "defaults/defaults.cloudpickle",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / "run"
    storage = {"": "file_array", "kept": "dict"}
    functions = [real.double, real.keep, real.make, real.note]
    real.asynchronous(place, functions, {"x": [1, 2, 3]}, storage=storage, error_handling="continue")
    assert observe.status(str(place))["status"] == "completed"
    return place


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    made = tmp_path / "runs" / "run"
    shutil.copytree(whole, made)
    return made


def check(folder: Path) -> dict[str, Any]:
    """Look in every way; returns the status object."""
    before = picture(folder.parent)
    # of the processor: the machine may be busy with something else
    begun = time.process_time()
    status = observe.status(str(folder))
    assert time.process_time() - begun < LIMIT_SECONDS
    json.dumps(status, allow_nan=False).encode()
    if "error" not in status:
        assert tuple(status) == KEYS
        fraction = status["progress_fraction"]
        assert fraction is None or 0 <= fraction <= 1
        for output in status["outputs"].values():
            assert output["progress"] is None or 0 <= output["progress"] <= 1
            assert output["bytes"] >= 0
    if os.path.lexists(folder / INFO) and status["status"] != "missing":
        listed = list_runs(str(folder.parent))["runs"]
        assert [run["status"] for run in listed] == [status["status"]]
    for command in ("show", "status", "watch"):
        arguments = [command, str(folder)] + (["--timeout", "0"] if command == "watch" else [])
        try:
            code = invoke(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        assert code in (0, 1, 2)
    assert picture(folder.parent) == before
    return status


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(5000),
    "no text": b"\xff\xfe\x80" * 100,
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "a number": b"1e999",
    "deep": nested(200_000).encode(),
    "deep inside": b'{"status": ' + nested(100_000).encode() + b"}",
    "huge": b'{"a": "' + b"x" * 9_000_000 + b'"}',
    "wide": b"[" + b"0," * 3_000_000 + b"0]",
    "a trap": b"cos\nsystem\n(S'touch /tmp/trap'\ntR.",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_other_content(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.write_bytes(content)

    status = check(folder)

    assert status["status"] == ("error" if name == INFO else status["status"])
    if name == BEAT:
        # what it says cannot be read, and all is there
        assert (status["status"], status["status_source"]) == ("completed", "disk_heuristic")
        assert BEAT in status["message"]


def link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


KINDS: dict[str, Callable[[Path], object]] = {
    "absent": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": link("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link outside": link("/etc/passwd"),
    "a link to a folder outside": link("/etc"),
    "a device": link("/dev/zero"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_other_kinds_of_files(folder: Path, name: str, make: Callable[[Path], object]) -> None:
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    make(path)

    status = check(folder)

    if name == INFO:
        assert status["status"] in ("missing", "error")
    if name.startswith("outputs"):
        assert status["status"] == "incomplete"


@pytest.mark.parametrize("name", ["outputs", "outputs/y", "outputs/kept"])
def test_nothing_outside_is_opened(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(folder / name, outside)
    shutil.rmtree(folder / name)
    (folder / name).symlink_to(outside)
    with Spy(outside) as spy:
        assert check(folder)["status"] == "incomplete"
        assert spy.seen() == []


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "..", "a/b", "a\0b", "", "x" * 300, "a.b/../c"])
def test_names_that_lead_elsewhere_are_damage(folder: Path, name: str) -> None:
    info = json.loads((folder / INFO).read_text())
    info["all_output_names"].append(name)
    (folder / INFO).write_text(json.dumps(info))

    assert check(folder)["error"].startswith("run_info.json is damaged: no output can be called ")


@pytest.mark.parametrize(
    "change",
    [
        {"resolved_shapes": {"y": [10**18, 10**18]}, "shape_masks": {"y": [True, True]}},
        {"resolved_shapes": {"y": [-3]}},
        {"resolved_shapes": {"y": [1] * 500}, "shape_masks": {"y": [True] * 500}},
        {"shape_masks": {}},
        {"shape_masks": {"y": []}},
        {"resolved_shapes": {"y": [10**400]}},
        {"resolved_shapes": {"y": [3.5]}},
        {"storage": 7},
        {"storage": {}},
        {"all_output_names": ["y"] * 100},
        {"all_output_names": [f"y{number}" for number in range(300)]},
        {"all_output_names": [f"y{number}" for number in range(100_000)]},
        {"mapspecs_as_strings": ["[[[->]]]", "->", "x[i] -> " * 1000, "x[i] -> y[i]" * 1000]},
        {
            "all_output_names": [f"y{number}" for number in range(300)],
            "resolved_shapes": {",".join(f"y{number}" for number in range(first, 300)): [1] for first in range(290)},
        },
    ],
)
def test_impossible_descriptions(folder: Path, change: dict[str, Any]) -> None:
    info = json.loads((folder / INFO).read_text())
    info.update(change)
    (folder / INFO).write_text(json.dumps(info))

    check(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("updated_at", "yesterday"),
        ("updated_at", "2026-01-01T00:00:00"),
        ("updated_at", "9999-12-31T23:59:59+00:00"),
        ("updated_at", "0001-01-01T00:00:00+00:00"),
        ("updated_at", 1e300),
        ("stale_after_seconds", 1e300),
        ("stale_after_seconds", -1),
        ("stale_after_seconds", "long"),
        ("status", "marvellous"),
        ("status", None),
        ("outputs", {"y": {"progress": -1e300, "n_total": 10**30}}),
        ("outputs", [1]),
        ("functions", [{"function_name": "x" * 100_000, "output_names": ["y"], "n_failed": -5}]),
        ("functions", [{"function_name": "\x1b[31m\u202e", "output_names": ["y"]}] * 3),
    ],
)
def test_impossible_heartbeats(folder: Path, key: str, value: object) -> None:
    beat = json.loads((folder / BEAT).read_text())
    beat[key] = value
    (folder / BEAT).write_text(json.dumps(beat))

    assert check(folder)["status"] == "completed"

    (folder / "outputs/lab.note.cloudpickle").unlink()
    assert check(folder)["status"] in ("incomplete", "pending", "running")


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59+00:00", "1970-01-01T00:00:00+00:00"])
def test_a_heartbeat_from_another_age_is_no_sign_of_life(folder: Path, at: str) -> None:
    beat = json.loads((folder / BEAT).read_text())
    (folder / BEAT).write_text(json.dumps(beat | {"updated_at": at, "status": "running"}))
    (folder / "outputs/lab.note.cloudpickle").unlink()

    status = check(folder)

    assert (status["status"], status["liveness"], status["status_source"]) == ("incomplete", "lost", "heartbeat")


@pytest.mark.parametrize("moment", [0, 2**33, 4_000_000_000])
def test_impossible_times(folder: Path, moment: int) -> None:
    (folder / BEAT).unlink()
    (folder / "outputs/lab.note.cloudpickle").unlink()
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))

    status = check(folder)

    assert (status["status"], status["liveness"]) == ("incomplete", "lost")


def test_a_pickle_that_would_run_something_does_not(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trace"),)

    trap = cloudpickle.dumps(Trap())
    for path in folder.rglob("*pickle"):
        path.write_bytes(trap)
    (folder / "outputs/kept/dict_array.cloudpickle").write_bytes(cloudpickle.dumps({(0,): Trap(), (1,): 1, (2,): 2}))

    assert check(folder)["status"] == "completed"
    assert not (tmp_path / "trace").exists()


def test_a_folder_that_both_could_have_written_is_ours(folder: Path) -> None:
    (folder / "run.json").write_text("{}")

    assert "run.json is damaged" in observe.status(str(folder))["error"]


def test_names_in_a_folder_may_be_no_text(folder: Path) -> None:
    (folder / "outputs/y" / os.fsdecode(b"\xff__3__.pickle")).write_bytes(b"x")
    strange = folder.with_name(os.fsdecode(b"r\xff"))
    folder.rename(strange)

    assert check(strange)["status"] == "completed"


def test_more_files_than_are_counted_are_not_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_ENTRIES", 3)

    status = check(folder)

    assert status["outputs"]["y"]["progress"] is None
    assert status["message"].endswith("y has more files than are counted")


def test_folders_within_folders_end_somewhere(folder: Path) -> None:
    place = folder / "outputs/y"
    for _ in range(300):
        place = place / "d"
        place.mkdir()

    assert check(folder)["status"] == "completed"
