"""Folders made by someone hostile: nothing in them runs, nothing changes, nothing outside is opened, and there is an
answer at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest

import runstone
from runstone.cli.main import invoke
from runstone.core import events as ev
from runstone.core.status import KEYS
from runstone.errors import FolderError, RunstoneError, Untrusted
from runstone.folder import observe, scan
from runstone.folder.journal import encode_line
from runstone.folder.listing import list_runs
from runstone.folder.pack import encode_frame
from runstone.folder.sealed import seal, unseal
from tests import samples
from tests.folder.spy import Picture, Spy, picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes and inotify as Linux has them")

LIMIT_SECONDS = 0.2
RUN, STATUS, JOURNAL = "run.json", "status.json", "journal/0001.jsonl"
PACK, TEXT, VALUES = "outputs/parse.0001.pack", "outputs/text.0001.pack", "outputs/values.pack"
FILES = (RUN, STATUS, "manifest.json", JOURNAL, PACK, TEXT, VALUES, "inputs/inputs.pack", "artifacts/report.md")

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    assert samples.run_survey(place / "run", place).status == "degraded"
    return place / "run"


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A run that somebody may now make worse."""
    made = tmp_path / "runs" / "run"
    shutil.copytree(whole, made)
    return made


@pytest.fixture
def outside(tmp_path: Path, whole: Path) -> Iterator[Path]:
    """A folder beside the run that nobody has a reason to open. It holds files of another run, as bait."""
    place = tmp_path / "outside"
    place.mkdir()
    for name in FILES:
        shutil.copy(whole / name, place / Path(name).name)
    shutil.copy(whole / PACK, place / "x.0001.pack")
    with Spy(place) as spy:
        yield place
        assert spy.seen() == []


# What must hold, whatever the folder is


def look(folder: Path) -> dict[str, Any]:
    """The status of a folder, with all that must hold of the way it was found."""
    before = picture(folder)
    status = timed(folder)
    assert picture(folder) == before
    answer = msgspec.json.encode(status)
    assert len(answer) < 1_000_000
    assert json.loads(answer) == status
    if "error" in status:
        assert list(status) == ["run_folder", "status", "status_source", "error"]
        assert status["status"] in ("missing", "error")
    else:
        assert tuple(status) == KEYS
        check_counts(status)
    return status


def timed(folder: Path) -> dict[str, Any]:
    best = 9.0
    status: dict[str, Any] = {}
    for _ in range(3):
        start = time.thread_time()
        status = observe.status(str(folder))
        best = min(best, time.thread_time() - start)
        if best < LIMIT_SECONDS:
            return status
    raise AssertionError(f"an answer took {best:.2f} s")


def check_counts(status: dict[str, Any]) -> None:
    fraction = status["progress_fraction"]
    assert fraction is None or 0 <= fraction <= 1
    assert 0 <= status["n_outputs_completed"] <= status["n_outputs"] <= len(status["outputs"])
    for output in status["outputs"].values():
        assert output["bytes"] >= 0
        assert output["progress"] is None or 0 <= output["progress"] <= 1


def ask(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> tuple[int, bytes]:
    """Exit code and standard output of a command; it may complain in one line and never with a traceback."""
    capsysbinary.readouterr()
    try:
        code = invoke(list(arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    out, err = capsysbinary.readouterr()
    assert b"Traceback" not in err
    assert code in (0, 1, 2)
    return code, out


def ask_all(capsysbinary: pytest.CaptureFixture[bytes], folder: Path, status: dict[str, Any]) -> None:
    """Every command that looks at runs answers in its own way, and none of them changes anything."""
    before = picture(folder.parent)
    name = str(folder)
    readable = "error" not in status
    code, out = ask(capsysbinary, "status", name)
    assert code == (0 if readable else 1)
    assert json.loads(out) == status
    code, out = ask(capsysbinary, "status", name, "--include-run-info", "--pretty")
    assert code == (0 if readable else 1)
    assert json.loads(out).keys() == status.keys() | ({"run_info"} if readable else set())
    code, out = ask(capsysbinary, "watch", name, "--timeout", "0")
    goes_on = status["status"] == "running" or (status["status"] == "pending" and status["liveness"] == "live")
    assert code == (0 if status["status"] in ("completed", "degraded") else 2 if goes_on else 1)
    assert json.loads(out.splitlines()[-1]) == status
    code, out = ask(capsysbinary, "list-runs", str(folder.parent), "--max-runs", "3")
    assert code == 0
    assert json.loads(out)["scanned_directories"] >= 1
    for arguments in (["show"], ["show", "--json"], ["graph"]):
        ask(capsysbinary, *arguments, name)
    for output in list(status.get("outputs", ()))[:3]:
        for form in ("json", "csv"):
            ask(capsysbinary, "output", name, output, "--format", form)
    assert picture(folder.parent) == before


def use(folder: Path) -> None:
    """The record as an object: what it cannot tell is an error of ours, and nothing is unpickled without trust."""
    before = picture(folder)
    with contextlib.suppress(RunstoneError):
        run = runstone.open(folder, trust=False)
        for tell in (
            lambda: run.manifest(), lambda: run.explain(), lambda: repr(run), lambda: [repr(one) for one in run.errors],
            lambda: run.list_artifacts(), lambda: run.stages, lambda: run.error, lambda: run.duration_seconds,
        ):  # fmt: skip
            with contextlib.suppress(RunstoneError):
                tell()
        for values in (run.outputs, run.params):
            for name in values:
                with contextlib.suppress(RunstoneError):
                    found = values[name]
                    if hasattr(found, "to_list") and len(found) < 100:
                        found.to_list()
    assert picture(folder) == before


def check(capsysbinary: pytest.CaptureFixture[bytes], folder: Path) -> dict[str, Any]:
    status = look(folder)
    ask_all(capsysbinary, folder, status)
    use(folder)
    return status


# Pickles


def test_no_pickle_is_opened_by_anything_that_looks(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    canary = tmp_path / "canary"
    traps = {"small": samples.Trap(str(canary)), "large": samples.Trap(str(canary), "x" * 9000)}

    @runstone.block(output=["one", "two"])
    def make(small: Any, large: Any) -> tuple[Any, Any]:
        return small, large

    @runstone.block(mapspec="numbers[i] -> cells[i]", on_error="continue")
    def cells(numbers: int, small: Any) -> Any:
        if numbers == 2:
            raise ValueError(small)
        return small

    pipeline = runstone.Pipeline("traps", [make, cells])
    pipeline.run({**traps, "numbers": [1, 2, 3]}, run_folder=tmp_path / "runs" / "run", show_progress=False)
    folder = tmp_path / "runs" / "run"
    assert not canary.exists()
    status = check(capsysbinary, folder)
    assert status["status"] == "degraded"
    run = runstone.open(folder, trust=False)
    for name in ("small", "large"):
        with pytest.raises(Untrusted, match="trust=True"):
            run.params[name]
    for name in ("one", "two"):
        with pytest.raises(Untrusted):
            run.outputs[name]
    for name in (STATUS, JOURNAL):
        os.remove(folder / name)
        check(capsysbinary, folder)
    assert not canary.exists()
    with contextlib.suppress(FileExistsError, FolderError):
        runstone.open(folder).params["small"]
    assert canary.exists(), "the trap itself does not work"


# Size and depth


def sparse(name: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / name, size)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("without_checkpoint", [False, True])
def test_a_file_of_a_gigabyte_of_nothing_is_not_read_whole(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str, without_checkpoint: bool
) -> None:
    sparse(name, 2**30)(folder)
    if without_checkpoint and name != STATUS:
        os.remove(folder / STATUS)
    status = check(capsysbinary, folder)
    assert status["status"] == ("error" if name == RUN else "degraded")


@pytest.mark.parametrize("name", [JOURNAL, PACK])
def test_a_file_of_terabytes_is_given_up_after_a_while(folder: Path, name: str) -> None:
    sparse(name, 2**42)(folder)
    os.remove(folder / STATUS)
    assert look(folder)["status"] == "degraded"


@pytest.mark.parametrize("name", [RUN, STATUS, JOURNAL, PACK, VALUES, "inputs/inputs.pack"])
@pytest.mark.parametrize(
    "junk",
    [
        b"[" * 5_000_000, b'{"a":' * 1_000_000, b"\n" * 16_000_000, b"RSf1" * 4_000_000, b"\0" * 16_000_000, b"",
        b'"' + b"x" * 16_000_000, b"RSf1\xff\xff\x7f\0" * 1_000_000, b'{"event":"\n' * 1_000_000, b"1" * 5_000_000,
    ],
    ids=["deep lists", "deep objects", "lines", "magics", "zeros", "nothing", "a long text", "large frames",
         "broken lines", "a long number"],
)  # fmt: skip
def test_junk_is_given_up_at_once(folder: Path, name: str, junk: bytes) -> None:
    (folder / name).write_bytes(junk)
    status = look(folder)
    assert status["status"] in (("error",) if name == RUN else ("degraded", "incomplete", "completed", "running"))
    if name != STATUS:
        (folder / STATUS).unlink()
        look(folder)


@pytest.mark.parametrize("name", [RUN, STATUS])
def test_large_json_that_is_not_ours_is_answered_at_once(folder: Path, name: str) -> None:
    content = json.loads((folder / name).read_bytes())
    content.pop("crc", None)
    content["more"] = [[{"a": "b" * 100}] * 1000] * 100
    body = json.dumps(content, separators=(",", ":")).encode()
    assert 8_000_000 < len(body) < 16_000_000
    (folder / name).write_bytes(seal(body) if name == STATUS else body)
    assert look(folder)["status"] == ("degraded" if name == STATUS else "error")


@pytest.mark.parametrize("depth", [*range(100, 1000, 100), *range(940, 1000, 3)])
def test_json_that_can_just_be_read_can_also_be_shown(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    text = (folder / RUN).read_text()
    (folder / RUN).write_text(text.replace('"preview":"src"', f'"preview":{deep}'))
    for command in (["status"], ["status", "--pretty"], ["status", "--include-run-info"], ["watch", "--timeout", "0"]):
        code, out = ask(capsysbinary, *command, str(folder))
        assert code in (0, 1)
        json.loads(out)


# Records that lie


def line(event: ev.Event) -> bytes:
    return encode_line(event)


def last_seq(folder: Path) -> int:
    return int(observe.status(str(folder))["seq"])


def with_records(folder: Path, *records: ev.Record, upto: int = 4) -> None:
    """Replace what follows the first `upto` lines of the journal, and all packs, by other records with right
    checksums."""
    shutil.rmtree(folder / "outputs")
    (folder / "outputs").mkdir()
    (folder / STATUS).unlink()
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)[:upto]
    seq = upto
    pack = b""
    for record in records:
        seq += 1
        numbered = msgspec.structs.replace(record, seq=seq)
        if isinstance(numbered, ev.Chunk):
            pack += b"".join(encode_frame(numbered, [b""]))
        else:
            lines.append(line(numbered))
    (folder / JOURNAL).write_bytes(b"".join(lines))
    (folder / PACK).write_bytes(pack)


def started(shape: list[int] | None) -> ev.Record:
    return ev.BlockStarted(seq=0, at="2026-01-01T00:00:00Z", block="parse", shape=shape)


def chunk(*elements: tuple[int, int], **fields: Any) -> ev.Record:
    columns = [ev.ColumnMeta(name=name, bytes=2**62, count=2**62, type="int") for name in ("stats", "sizes")]
    known: dict[str, Any] = {"ok": 1, "columns": columns, **fields}
    return ev.Chunk(seq=0, at="2026-01-01T00:00:00Z", block="parse", elements=list(elements), **known)


@pytest.mark.parametrize(
    "records",
    [
        [started([2**62]), chunk((0, 2**62), ok=2**62)],
        [started([2**62, 2**62]), chunk((0, 2**62), ok=2**62)],
        [started([2**62] * 3000)],
        [chunk((0, 1), shape=[2**62] * 100_000)],
        [started([-1, -10]), chunk((0, 10), ok=10, shape=[-1, -10])],
        [started([10]), chunk((-5, 5), ok=10), chunk((5, 2), ok=-3), chunk((0, 10), ok=-10)],
        [started([10]), chunk((0, 10), ok=2**63, failed=-(2**63))],
        [started([10]), chunk((0, 10), ok=10), started([0]), started([3])],
        [started([0]), chunk((0, 1))],
        [started([10**6]), chunk(*((i, i + 1) for i in range(200_000, 0, -2)), ok=100_000)],
        [started([10]), chunk((0, 10), ok=10, columns=[])],
        [started([10]), chunk((0, 10), ok=10, retries=2**62)],
        [ev.RunEnded(seq=0, at="never", status=runstone.core.statuses.RunStatus.COMPLETED)],
        [ev.ErrorRaised(seq=0, at="", block="parse", element=-(2**60), type="E" * 30_000, message="m" * 30_000)],
        [ev.Warned(seq=0, at="9" * 60_000, code="c" * 100, message="")] * 100,
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_not_counted(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], records: list[ev.Record]
) -> None:
    with_records(folder, *records)
    status = check(capsysbinary, folder)
    assert status["progress"]["total"] is None or status["progress"]["done"] <= status["progress"]["total"] < 2**63


def test_a_frame_whose_header_claims_more_than_there_is_is_no_frame(folder: Path) -> None:
    (folder / STATUS).unlink()
    data = (folder / PACK).read_bytes()
    for lengths in ((2**32 - 1, 2**64 - 1), (0, 0), (100, 2**63), (8 * 2**20, 0)):
        (folder / PACK).write_bytes(data[:4] + struct.pack("<IQ", *lengths) + data[16:])
        assert look(folder)["outputs"]["stats"]["bytes"] == 0


def test_a_valid_header_with_terabytes_of_values_is_not_checked_by_reading_them(folder: Path) -> None:
    with_records(folder, started([10]))
    claimed = ev.Chunk(seq=6, at="2026-01-01T00:00:00Z", block="parse", elements=[(0, 1)], ok=1, columns=[], shape=[10])
    header = msgspec.json.encode(claimed)
    lengths = struct.pack("<IQ", len(header), 2**41)
    (folder / PACK).write_bytes(b"RSf1" + lengths + struct.pack("<II", crc32(header, crc32(lengths)), 0) + header)
    os.truncate(folder / PACK, 28 + len(header) + 2**41)
    look(folder)


def test_a_frame_hidden_in_the_values_of_a_torn_one_is_not_a_record(folder: Path) -> None:
    """A value may hold anything, also bytes from somewhere else that look like a frame."""
    with_records(folder, started([10]))
    at = "2026-01-01T00:00:00Z"
    inner = ev.Chunk(seq=6, at=at, block="parse", elements=[(0, 9)], ok=9, columns=[], shape=[10])
    outer = ev.Chunk(seq=6, at=at, block="parse", elements=[(0, 1)], ok=1, columns=[], shape=[10])
    hidden = b"".join(encode_frame(inner, [b""]))
    torn = b"".join(encode_frame(outer, [hidden + b"x" * 1000]))[:-500]
    (folder / PACK).write_bytes(torn)
    assert look(folder)["progress"]["done"] == 1  # the block before


def test_lines_twice_and_in_another_order_count_once(folder: Path) -> None:
    (folder / STATUS).unlink()
    right = look(folder)
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    for mixed in (lines * 3, lines[::-1], lines[:1] + lines[1:][::-1], [one for one in lines for _ in range(2)]):
        (folder / JOURNAL).write_bytes(b"".join(mixed))
        status = look(folder)
        assert status["status"] == right["status"]
        assert status["progress"] == right["progress"]
        assert status["outputs"] == right["outputs"]


def test_frames_twice_count_once(folder: Path) -> None:
    (folder / STATUS).unlink()
    right = look(folder)
    data = (folder / PACK).read_bytes()
    (folder / PACK).write_bytes(data * 3)
    assert look(folder)["outputs"] == right["outputs"]


def test_more_of_other_blocks_than_run_json_names(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    def change(content: dict[str, Any]) -> None:
        content["blocks"] = [{**content["blocks"][1], "name": "other", "outputs": ["what", "else"]}]

    with_run_json(folder, change)
    status = check(capsysbinary, folder)
    assert list(status["outputs"]) == ["what", "else"]
    assert not status["all_complete"]


def with_run_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / RUN).read_bytes())
    change(content)
    (folder / RUN).write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["../../outside/x", "..", "", ".", "a/b", "/etc/passwd", "x\n", "\u202e", "é" * 5000])
def test_names_that_lead_out_lead_nowhere(
    folder: Path, outside: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str
) -> None:
    def change(content: dict[str, Any]) -> None:
        for number, block in enumerate(content["blocks"]):
            block["name"] = name if number == 1 else f"{name}{number}"
            block["outputs"] = [f"{name}{output}" for output in block["outputs"]]
            block["mapspec"] = None
        content["params"] = {f"{name}/{key}": value for key, value in content["params"].items()}
        content["pipeline"]["name"] = name

    with_run_json(folder, change)
    check(capsysbinary, folder)
    (folder / STATUS).unlink()
    check(capsysbinary, folder)


@pytest.mark.parametrize("change", [
    lambda content: content.update(blocks=content["blocks"] * 2),
    lambda content: content.update(blocks=[]),
    lambda content: content.update(params={}, tags=["t"] * 1000),
    lambda content: content.update(created_at="yesterday", lease_seconds=-1e300),
    lambda content: content.update(lease_seconds=1e300, id=""),
    lambda content: [block.update(mapspec="x[i] -> ...", axes={"stats": ["i"] * 1000}) for block in content["blocks"]],
    lambda content: [block.update(upstream=["x"], parameters=[], loader="os:system") for block in content["blocks"]],
], ids=["blocks twice", "no blocks", "no params", "odd times", "odd lease", "odd mapspecs", "odd graph"])  # fmt: skip
def test_a_run_json_that_claims_nonsense_is_shown_as_it_is_or_refused(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], change: Callable[[dict[str, Any]], object]
) -> None:
    with_run_json(folder, change)
    check(capsysbinary, folder)
    (folder / STATUS).unlink()
    check(capsysbinary, folder)


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff\\ud800", "\\ud83d"])
def test_lone_surrogates_in_json_are_damage(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes], escape: str
) -> None:
    right = look(folder)
    (folder / RUN).write_text((folder / RUN).read_text().replace('"docs"', f'"{escape}"'))
    assert check(capsysbinary, folder)["status"] == "error"
    (folder / RUN).write_text((folder / RUN).read_text().replace(f'"{escape}"', '"docs"'))
    body = unseal((folder / STATUS).read_bytes())
    assert body is not None
    (folder / STATUS).write_bytes(seal(body.replace(b'"ValueError"', f'"{escape}"'.encode())))
    assert check(capsysbinary, folder) == right
    lines = (folder / JOURNAL).read_bytes().splitlines()
    changed = [seal((unseal(one) or b"").replace(b'"ValueError"', f'"{escape}"'.encode())) for one in lines]
    (folder / JOURNAL).write_bytes(b"\n".join(changed) + b"\n")
    status = check(capsysbinary, folder)
    assert (status["status"], status["progress"]) == (right["status"], right["progress"])


def test_a_higher_format_is_refused_with_what_to_do(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with_run_json(folder, lambda content: content.update(format=2, blocks="of another kind"))
    status = check(capsysbinary, folder)
    assert "format 2" in status["error"]
    assert "install a newer Runstone" in status["error"]


def test_a_higher_format_of_the_checkpoint_only_makes_it_useless(folder: Path) -> None:
    right = look(folder)
    with_checkpoint(folder, lambda content: content.update(format=2))
    assert look(folder) == right


def with_checkpoint(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change `status.json` and give it the checksum that fits."""
    body = unseal((folder / STATUS).read_bytes())
    assert body is not None
    content = json.loads(body)
    change(content)
    (folder / STATUS).write_bytes(seal(json.dumps(content, separators=(",", ":")).encode()))


def block_of(content: dict[str, Any]) -> Any:
    return content["state"]["blocks"]["parse"]


@pytest.mark.parametrize("change", [
    lambda content: content["state"].update(blocks={}),
    lambda content: content["state"]["blocks"].pop("text"),
    lambda content: content["state"]["blocks"].update(more={}),
    lambda content: block_of(content).update(shape=[-5, -2], ok=-7),
    lambda content: block_of(content).update(shape=[2**62] * 100_000),
    lambda content: block_of(content).update(ok=10**40),
    lambda content: block_of(content).update(recorded=[[9, 3]] * 1000),
    lambda content: block_of(content)["outputs"]["stats"].update(stored=-4, bytes=-3),
    lambda content: content["state"].update(seq=-1, epoch=7),
    lambda content: content.update(files=[{"path": "../../outside/0001.jsonl", "offset": 0, "crc": 0}]),
    lambda content: content.update(files=[{"path": "/etc/passwd", "offset": 0, "crc": 0}]),
    lambda content: content.update(files=[{"path": "outputs/parse.0001.pack", "offset": -1, "crc": 0}]),
    lambda content: content.update(files=[{"path": JOURNAL, "offset": 2**70, "crc": 0}]),
    lambda content: content.update(files=[{"path": JOURNAL, "offset": 0, "crc": 0}] * 100_000),
    lambda content: content.update(files=[{"path": "a\0b/c\0d", "offset": 0, "crc": 0}]),
    lambda content: content.update(run_id="another"),
])  # fmt: skip
def test_a_checkpoint_that_cannot_be_is_ignored(
    folder: Path, outside: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    right = look(folder)
    with_checkpoint(folder, change)
    assert look(folder) == right


def test_a_checkpoint_may_claim_any_time_and_is_still_one(folder: Path) -> None:
    right = look(folder)
    with_checkpoint(folder, lambda content: content.update(steady=-1e300, at="tomorrow", boot_id="x" * 10_000))
    assert look(folder) == right


# Things that are no files


def replaced(name: str, make: Callable[[Path], object]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        make(path)

    return damage


def bound_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": bound_socket,
    "folder": Path.mkdir,
    "device": device,
    "link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "link to a file outside": lambda path: path.symlink_to(path.parents[3] / "outside" / path.name),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to a folder outside": lambda path: path.symlink_to("../../../outside"),
    "link to the folder itself": lambda path: path.symlink_to("."),
}


@pytest.mark.parametrize("name", [*FILES, "journal", "outputs", "inputs", "artifacts"])
@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_a_plain_file_counts_as_absent(
    folder: Path, outside: Path, capsysbinary: pytest.CaptureFixture[bytes], name: str, odd: str
) -> None:
    make = ODD[odd]
    if "outside" in odd:
        make = lambda path: path.symlink_to(outside / path.name)  # noqa: E731
    replaced(name, make)(folder)
    status = check(capsysbinary, folder)
    assert status["status"] == {RUN: "missing"}.get(name, "degraded")
    if name in (PACK, TEXT, "outputs"):
        assert not status["all_complete"]
        assert "missing on disk" in status["message"]


def test_all_at_once(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for name in FILES[1:]:
        replaced(name, os.mkfifo)(folder)
    assert check(capsysbinary, folder)["status"] in ("pending", "incomplete")


@pytest.mark.parametrize("odd", ["pipe", "device", "link to itself", "folder"])
def test_a_run_folder_that_is_something_else(
    tmp_path: Path, odd: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "runs" / "run"
    path.parent.mkdir()
    ODD[odd](path)
    status = timed(path)
    assert status["status"] in ("missing", "error")
    assert ask(capsysbinary, "status", str(path))[0] == 1
    assert ask(capsysbinary, "list-runs", str(path))[0] == (0 if odd == "folder" else 1)


def test_names_that_are_no_text_are_stepped_over(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    right = look(folder)
    for place in (b"outputs", b"journal", b"", b"inputs"):
        for name in (b"\xff\xfe.0001.pack", b"\xff.jsonl", b"\n", b"0002\xff.jsonl"):
            with open(os.path.join(os.fsencode(folder), place, name), "wb") as file:
                file.write(b"RSf1")
    status = check(capsysbinary, folder)
    assert (status["status"], status["outputs"]) == (right["status"], right["outputs"])


def test_a_folder_whose_own_name_is_no_text_is_shown(whole: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/runs-\xff\xfe/\xe9"
    shutil.copytree(os.fsencode(whole), odd)
    for arguments in (["status", odd], ["list-runs", os.path.dirname(odd)], ["watch", odd], ["status", odd + b"\xff"]):
        done = command(*arguments)
        assert done.returncode == (1 if arguments[-1].endswith(b"\xff") else 0), done.stderr
        assert json.loads(done.stdout)
        assert b"Traceback" not in done.stderr


def command(*arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [Path(sys.executable).with_name("runstone"), *arguments], capture_output=True, check=False, timeout=60, cwd="/"
    )


def test_crowds_of_files_do_not_keep_anybody_waiting(folder: Path) -> None:
    names = [f"{number:08x}.0001.pack" for number in range(5_000)]
    for place in ("outputs", "journal", "requests"):
        (folder / place).mkdir(exist_ok=True)
        for name in names:
            os.link(folder / "artifacts" / "report.md", folder / place / name) if place == "requests" else os.symlink(
                "nothing", folder / place / name
            )
    assert look(folder)["status"] == "degraded"


def test_crowds_of_epochs_do_not_keep_anybody_waiting(folder: Path) -> None:
    for epoch in range(2, 3000):
        (folder / f"journal/{epoch:04d}.jsonl").write_bytes(b"")
    assert look(folder)["status"] == "degraded"


def test_epochs_with_impossible_numbers_and_limits_are_read_as_far_as_they_make_sense(folder: Path) -> None:
    (folder / STATUS).unlink()
    seq = last_seq(folder)
    for files in ({JOURNAL: -5, PACK: 2**70}, {JOURNAL: 0}, {"../../outside/x": 10}, {}):
        taken = ev.RunTakenOver(
            seq=seq + 1, at="2026-01-01T00:00:00Z", epoch=2**40, files=files,
            driver=ev.Driver(host="h" * 1000, pid=-1, start_ticks=2**70, boot_id="b"),
        )  # fmt: skip
        (folder / "journal/0002.jsonl").write_bytes(line(taken))
        look(folder)


@pytest.mark.parametrize("pid", [0, -1, 1, 2**31, 2**70, -(2**70)])
def test_a_driver_with_any_pid_is_asked_about_and_never_touched(folder: Path, pid: int) -> None:
    from runstone.folder import identity

    inode = os.stat(folder / JOURNAL)
    begun = ev.RunStarted(
        seq=1,
        at="2026-01-01T00:00:00Z",
        driver=msgspec.structs.replace(
            identity.this_process(), pid=pid, start_ticks=5, journal_inode=inode.st_ino, journal_device=inode.st_dev
        ),
    )
    (folder / STATUS).unlink()
    (folder / JOURNAL).write_bytes(line(begun))
    shutil.rmtree(folder / "outputs")
    assert look(folder)["liveness"] in ("gone", "lost")


# Truncation and bit rot


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("small")
    samples.run_tiny(place / "run")
    return place / "run"


@pytest.mark.parametrize("name", [RUN, STATUS, JOURNAL, "outputs/each.0001.pack", VALUES, "manifest.json"])
def test_a_file_cut_at_any_byte_is_read_up_to_there(small: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(small, folder)
    data = (folder / name).read_bytes()
    right = observe.status(str(folder))
    last = -1
    for length in range(0, len(data), 7 if name in (RUN, STATUS, "manifest.json") else 1):
        (folder / name).write_bytes(data[:length])
        status = observe.status(str(folder))
        if name == RUN:
            assert status["status"] == "error"
        elif name in (STATUS, "manifest.json", VALUES):
            assert status == right
        else:
            check_counts(status)
            if name == JOURNAL and b"\n" not in data[:length]:
                assert status["status"] == "completed"
                assert status["message"] == "the journal cannot be read; this is what status.json holds"
                continue
            assert not (status["done"] and status["all_complete"])
            if name == JOURNAL:
                assert not status["done"]
                assert status["seq"] >= last
                last = status["seq"]
            else:
                assert status["status"] == "completed"
                assert "ys" in status["message"]


def test_with_and_without_checkpoint_a_cut_journal_tells_the_same(small: Path, tmp_path: Path) -> None:
    folder, bare = tmp_path / "with", tmp_path / "without"
    shutil.copytree(small, folder)
    shutil.copytree(small, bare)
    (bare / STATUS).unlink()
    data = (folder / JOURNAL).read_bytes()
    for length in range(data.index(b"\n") + 1, len(data), 13):
        for place in (folder, bare):
            (place / JOURNAL).write_bytes(data[:length])
        kept, alone = observe.status(str(folder)), observe.status(str(bare))
        for name in ("status", "recorded_status", "done", "seq", "progress", "outputs", "errors", "blocks", "warnings"):
            assert kept[name] == alone[name], (length, name)


@pytest.mark.parametrize("name", [STATUS, JOURNAL, "outputs/each.0001.pack", VALUES])
def test_a_flipped_bit_never_makes_up_anything(small: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(small, folder)
    right = observe.status(str(folder))
    data = (folder / name).read_bytes()
    for position in range(0, len(data), 3):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        (folder / name).write_bytes(flipped)
        status = observe.status(str(folder))
        if name in (STATUS, VALUES):
            assert status == right
            continue
        assert status["status"] in ("completed", "running", "crashed", "pending")
        assert status["progress"]["done"] <= right["progress"]["done"]
        for output, found in status["outputs"].items():
            assert found == right["outputs"][output] or not found["complete"]


def test_a_flipped_bit_in_run_json_is_an_error_or_a_run(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(small, folder)
    data = (folder / RUN).read_bytes()
    for position in range(0, len(data), 2):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 7
        (folder / RUN).write_bytes(flipped)
        status = observe.status(str(folder))
        assert "error" in status or tuple(status) == KEYS


@pytest.mark.parametrize("name", [JOURNAL, PACK, TEXT])
def test_a_tail_of_zeros_is_no_record(folder: Path, name: str) -> None:
    (folder / STATUS).unlink()
    right = look(folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data + bytes(100_000))
    assert look(folder) == right
    (folder / name).write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    status = look(folder)
    assert not status["all_complete"] or name == JOURNAL


# A listing of such folders


def test_a_listing_of_broken_folders_lists_them_all(tmp_path: Path, whole: Path, outside: Path) -> None:
    place = tmp_path / "many"
    place.mkdir()
    damages: list[Damage] = [
        sparse(RUN, 2**30), replaced(RUN, lambda path: path.write_bytes(b"[" * 100_000)),
        replaced(RUN, lambda path: path.write_bytes(b"")), replaced(STATUS, lambda path: path.write_bytes(b"{}")),
        replaced(STATUS, os.mkfifo), replaced(JOURNAL, os.mkfifo), replaced("journal", ODD["link to itself"]),
        lambda folder: with_run_json(folder, lambda content: content.update(format=9)),
    ]  # fmt: skip
    for number, damage in enumerate(damages):
        shutil.copytree(whole, place / f"run-{number}")
        damage(place / f"run-{number}")
    (place / "file").write_text("no folder")
    (place / "empty").mkdir()
    os.mkfifo(place / "pipe")
    (place / "loop").symlink_to("loop")
    before: Picture = picture(place)
    for count in (None, 0, 3, 100):
        found = list_runs(str(place), count)
        assert found["error"] is None
        assert found["total_count"] == len(found["runs"]) == (3 if count == 3 else len(damages))
        assert found["scanned_directories"] == len(damages) + 1
    words = [run["status"] for run in list_runs(str(place))["runs"]]
    assert words.count("error") == 4
    assert picture(place) == before


def test_scanning_gives_up_on_damage_but_not_on_records(tmp_path: Path) -> None:
    """Behind a damaged place the next record is found, as long as it is not too far."""
    frame = b"".join(encode_frame(msgspec.structs.replace(chunk((0, 1)), seq=3, columns=[]), [b"values"]))
    for junk, found in ((b"", 2), (b"RSf1" * 100, 2), (bytes(scan.PATIENCE // 2), 2), (bytes(scan.PATIENCE + 9), 1)):
        path = tmp_path / "pack"
        path.write_bytes(frame + junk + frame)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            assert len(scan.scan_pack(descriptor, 0, path.stat().st_size).records) == found
        finally:
            os.close(descriptor)
