"""Adoption: results of an earlier run count in a new one, without being copied, and none that is not named counts."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runstone.core import events as ev
from runstone.core.reuse import Action
from runstone.core.statuses import RunStatus
from runstone.errors import FolderError
from runstone.folder import adopt as adopting
from runstone.folder import disk, layout, observe, scan
from runstone.folder.earlier import read_earlier
from runstone.folder.journal import encode_line
from runstone.folder.load import Loader
from runstone.folder.read import read_run
from runstone.folder.takeover import take_over
from tests.folder.ancestor import UNLUCKY, everything, made, outputs
from tests.folder.successor import Successor
from tests.harness.ground import line as sealed


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return {"size": 10, "cols": [0, 1, 2], "scratch": str(scratch)}


def actions(successor: Successor) -> dict[str, str]:
    return {name: plan.action.value for name, plan in successor.plans.items()}


def reasons(successor: Successor, block: str) -> list[str]:
    return [str(why) for why in successor.plans[block].why]


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.glob("outputs/*.pack") if path.name != "values.pack"}


def test_a_whole_run_is_taken_over_without_a_byte_being_copied(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    assert set(actions(successor).values()) == {"reuse"}
    adoption = successor.begin(second)
    assert (adoption.blocks, adoption.copied) == (list(successor.plans), 0)
    successor.end()
    before, after = observe.status(str(first)), observe.status(str(second))
    assert after["status"] == "completed"
    assert after["all_complete"]
    assert after["blocks"] == {"reused": 6}
    assert after["outputs"] == before["outputs"]
    assert after["progress"] == before["progress"]
    assert outputs(second) == outputs(first)
    assert inodes(second) == inodes(first)
    assert after["warnings"] == []


def test_what_was_adopted_stays_when_the_original_is_deleted(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    expected = outputs(first)
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()
    shutil.rmtree(first)
    assert observe.status(str(second))["all_complete"]
    assert outputs(second) == expected


def test_why_each_block_was_taken_over_or_not_can_be_read_later(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params, UNLUCKY), tmp_path / "b"
    successor = Successor(everything, first, {**params, "cols": [0, 1]})
    successor.begin(second)
    successor.writer.close()
    shutil.rmtree(first)
    info = read_run(str(second)).info
    told = {name: [str(why) for why in reasons] for name, reasons in info.reuse.items()}
    assert told["names"] == ["code and inputs are the same"]
    assert told["reading"] == ["2 elements failed before"]
    assert told["cross"] == ["parameter cols changed"]
    assert info.reuse["cross"][0].before != info.reuse["cross"][0].after


def test_a_copy_and_an_archive_of_the_new_run_hold_all_of_it(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    expected = outputs(first)
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()
    with tarfile.open(tmp_path / "run.tar", "w") as archive:
        archive.add(second, "there")
    shutil.rmtree(first)
    shutil.rmtree(second)
    with tarfile.open(tmp_path / "run.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    assert observe.status(str(tmp_path / "there"))["status"] == "completed"
    assert observe.status(str(tmp_path / "there"))["all_complete"]
    assert outputs(tmp_path / "there") == expected


def test_of_a_block_with_failed_elements_the_others_are_adopted(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params, UNLUCKY), tmp_path / "b"
    assert observe.status(str(first))["status"] == "degraded"
    successor = Successor(everything, first, params)
    assert actions(successor) == {
        "names": "reuse", "large": "reuse", "pair": "reuse", "reading": "continue", "cross": "continue",
        "report": "reuse",
    }  # fmt: skip
    assert successor.plans["reading"].elements == [(3, 4), (8, 9)]
    assert successor.plans["cross"].elements == [(9, 12), (24, 27)]
    successor.begin(second)
    status = observe.status(str(second))
    assert status["blocks"] == {"reused": 4, "pending": 2}
    assert status["outputs"]["read"]["complete"] is False
    assert status["progress"]["done"] == 4 + 8 + 24
    halfway = Loader(str(second), trust=False).output("read")
    assert halfway[4] == 40
    with pytest.raises(FolderError, match="element 3 of 'read' was not recorded"):
        halfway[3]
    successor.compute("reading", [30, 80])
    successor.compute("cross", [f"{read}-{col}" for read in (30, 80) for col in (0, 1, 2)])
    successor.end()
    whole = made(tmp_path / "c", params)
    assert outputs(second) == outputs(whole)
    status = observe.status(str(second))
    assert status["all_complete"]
    assert status["progress"] == observe.status(str(whole))["progress"]
    array = Loader(str(second), trust=False).output("read")
    assert (array.failed, array[3], array[4]) == (0, 30, 40)
    cells = [cell for some in Loader(str(second), trust=False).pieces("read").elements() for cell in some]
    assert cells == [number * 10 for number in range(10)]


def test_what_was_adopted_is_adopted_again(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second, third = made(tmp_path / "a", params, UNLUCKY), tmp_path / "b", tmp_path / "c"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.compute("reading", [30, 80])
    successor.end(RunStatus.FAILED)
    shutil.rmtree(first)
    successor = Successor(everything, second, params)
    assert successor.plans["reading"].action is Action.REUSE
    assert successor.plans["cross"].elements == [(9, 12), (24, 27)]
    successor.begin(third)
    successor.compute("cross", [f"{read}-{col}" for read in (30, 80) for col in (0, 1, 2)])
    successor.end()
    shutil.rmtree(second)
    assert outputs(third) == outputs(made(tmp_path / "d", params))
    assert observe.status(str(third))["outputs"] == observe.status(str(tmp_path / "d"))["outputs"]


def damage_first_frame(pack: Path) -> None:
    """Flip a bit in the first values of a pack, where no checkpoint looks."""
    with open(pack, "r+b") as file:
        frame = scan.frames(file.fileno(), 0, pack.stat().st_size, verify_from=2**62)[0]
        file.seek(frame.payload)
        byte = file.read(1)
        file.seek(frame.payload)
        file.write(bytes([byte[0] ^ 1]))


def test_values_in_an_adopted_pack_that_were_not_taken_over_stay_out_for_good(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    first, second, third = made(tmp_path / "a", params), tmp_path / "b", tmp_path / "c"
    damage_first_frame(first / "outputs" / "reading.0001.pack")
    successor = Successor(everything, first, params)
    assert successor.plans["reading"].elements == [(0, 4)]
    assert reasons(successor, "reading") == ["output read: 4 elements are missing on disk"]
    # their own values are well, but come from those that are not
    assert successor.plans["cross"].elements == [(0, 12)]
    assert reasons(successor, "cross") == ["upstream reading: 4 elements are computed again"]
    successor.begin(second)
    successor.compute("reading", [0, 10, 20, 30])
    successor.end(RunStatus.FAILED)
    with pytest.raises(FolderError, match="element 0 of 'grid' was not recorded"):
        Loader(str(second), trust=False).output("grid")[0, 0]
    successor = Successor(everything, second, params)
    assert (successor.plans["reading"].action, successor.plans["cross"].elements) == (Action.REUSE, [(0, 12)])
    successor.begin(third)
    successor.compute("cross", [f"{read}-{col}" for read in (0, 10, 20, 30) for col in (0, 1, 2)])
    successor.end()
    assert outputs(third) == outputs(made(tmp_path / "d", params))


def test_frames_of_the_other_run_are_not_folded_by_their_numbers(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params, UNLUCKY), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.writer.flush()
    status = observe.status(str(second))
    assert status["seq"] == successor.writer.state.seq
    assert not any(warning["code"] == "bytes_lost" for warning in status["warnings"])
    successor.writer.write_checkpoint()
    again = observe.status(str(second))
    assert again["status_source"] == "heartbeat"
    assert {**again, "status_source": "", "etag": ""} == {**status, "status_source": "", "etag": ""}
    successor.writer.close()


def test_where_links_are_refused_the_bytes_are_copied_and_that_is_said(
    tmp_path: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        monkeypatch.setattr(disk, "link", lambda source, path: False)
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    place = None
    if other.is_dir() and other.stat().st_dev != tmp_path.stat().st_dev:
        place = other / f"runstone-{os.getpid()}-{tmp_path.name}"
        second = place / "b"
    try:
        successor = Successor(everything, first, params)
        adoption = successor.begin(second)
        successor.end()
        status = observe.status(str(second))
        assert [warning["code"] for warning in status["warnings"]] == ["adopted_by_copy"]
        assert f"{adoption.copied:,} bytes were copied" in status["warnings"][0]["message"]
        assert adoption.copied > 0
        assert not inodes(first) & inodes(second)
        expected = outputs(first)
        shutil.rmtree(first)
        assert outputs(second) == expected
        assert status["all_complete"]
    finally:
        if place is not None:
            shutil.rmtree(place)


def test_artifacts_of_adopted_blocks_come_along(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()
    (old,), (new,) = (Loader(str(folder), trust=False).artifacts() for folder in (first, second))
    assert (new.name, new.sha256, new.metadata, new.block) == (old.name, old.sha256, {"lines": 10}, "report")
    assert (second / new.path).stat().st_ino == (first / old.path).stat().st_ino
    assert observe.status(str(second))["status"] == "completed"


def test_artifacts_of_blocks_that_run_again_stay_behind(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, {**params, "size": 11})
    assert set(actions(successor).values()) == {"run"}
    successor.begin(second)
    assert Loader(str(second), trust=False).artifacts() == []
    assert not (second / "artifacts").exists()
    successor.writer.close()


def test_a_pack_that_is_gone_or_damaged_is_not_adopted(tmp_path: Path, params: dict[str, Any]) -> None:
    first = made(tmp_path / "a", params)
    (first / "outputs" / "large.0001.pack").unlink()
    pack = first / "outputs" / "reading.0001.pack"
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    successor = Successor(everything, first, params)
    assert actions(successor) == {
        "names": "reuse", "large": "run", "pair": "reuse", "reading": "continue", "cross": "continue",
        "report": "reuse",
    }  # fmt: skip
    assert [str(why) for why in successor.plans["large"].why] == ["output large is missing on disk"]
    assert successor.plans["reading"].elements == [(8, 10)]
    assert "2 elements were not computed before" in map(str, successor.plans["reading"].why)


def test_a_pack_that_was_cut_after_it_was_read_is_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    first = made(tmp_path / "a", params)
    successor = Successor(everything, first, params)
    os.truncate(first / "outputs" / "large.0001.pack", 100)
    with pytest.raises(FolderError, match=r"large\.0001\.pack was changed or removed"):
        successor.begin(tmp_path / "b")
    successor.writer.close()


def test_an_adopted_pack_that_is_lost_is_noticed(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()
    (pack,) = second.glob("outputs/large.adopted-*.pack")
    os.unlink(pack)
    status = observe.status(str(second))
    assert not status["all_complete"]
    assert not status["outputs"]["large"]["complete"]
    assert status["outputs"]["large"]["bytes"] == 0
    assert pack.name in status["message"]


def test_a_link_that_no_event_speaks_of_says_nothing(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, {**params, "size": 11})
    successor.begin(second)
    (second / "outputs").mkdir()
    os.link(first / "outputs" / "reading.0001.pack", second / layout.adopted_pack("reading", "0123abcd"))
    status = observe.status(str(second))
    assert status["progress"]["done"] == 0
    assert status["outputs"]["read"]["bytes"] == 0
    with pytest.raises(FolderError):
        Loader(str(second), trust=False).output("read")[0]
    successor.writer.close()


def test_without_journal_and_checkpoint_what_was_adopted_is_not_counted(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()
    shutil.rmtree(second / "journal")
    assert observe.status(str(second))["all_complete"], "the checkpoint knows"
    os.unlink(second / "status.json")
    status = observe.status(str(second))
    assert status["status_source"] == "disk_heuristic"
    assert status["outputs"]["names"]["complete"]
    assert not status["outputs"]["read"]["complete"]


def test_many_ranges_take_several_events_and_none_is_too_long(tmp_path: Path) -> None:
    params = {"size": 4000, "cols": [], "scratch": str(tmp_path)}
    first, second = made(tmp_path / "a", params, set(range(1, 4000, 2)), chunk=5000), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    said = [event for event in Loader(str(second), trust=False).events() if isinstance(event, ev.BlockAdopted)]
    assert len([event for event in said if event.block == "reading"]) == 4
    assert all(len(encode_line(event)) < ev.EVENT_LIMIT for event in said)
    successor.compute("reading", [number * 10 for number in range(1, 4000, 2)])
    successor.end(RunStatus.FAILED)
    assert Loader(str(second), trust=False).output("read").to_list() == [number * 10 for number in range(4000)]
    status = observe.status(str(second))["outputs"]["read"]
    assert status["complete"]


def test_a_driver_that_died_while_adopting_is_taken_over_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopting, "RANGES_AN_EVENT", 1)
    params = {"size": 10, "cols": [0], "scratch": str(tmp_path)}
    first, second = made(tmp_path / "a", params, UNLUCKY), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.writer.close()
    journal = second / "journal" / "0001.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    adopted = [at for at, line in enumerate(lines) if b'"block.adopted"' in line and b'"reading"' in line]
    assert len(adopted) == 3
    # as if the process had died behind the first of them, after the artifact was told
    journal.write_bytes(b"".join(lines[: adopted[0] + 1]))
    for pack in second.glob("status.json"):
        pack.unlink()
    writer = take_over(str(second), unproven=True)
    assert writer.state.blocks["reading"].ok == 3
    plan = successor.plans
    adopting.adopt(writer, successor.earlier, plan)
    successor.writer = writer
    successor.compute("reading", [30, 80])
    successor.compute("cross", ["30-0", "80-0"])
    successor.end()
    assert outputs(second) == outputs(made(tmp_path / "c", params))
    assert len(Loader(str(second), trust=False).artifacts()) == 1
    assert observe.status(str(second))["all_complete"]


def test_a_block_that_has_started_adopts_nothing_any_more(tmp_path: Path, params: dict[str, Any]) -> None:
    first = made(tmp_path / "a", params)
    successor = Successor(everything, first, params)
    plans, successor.plans = successor.plans, {}
    successor.begin(tmp_path / "b")
    successor.give("names", names=["x"])
    adoption = adopting.adopt(successor.writer, successor.earlier, plans)
    assert "names" not in adoption.blocks
    successor.end(RunStatus.FAILED)
    assert Loader(str(tmp_path / "b"), trust=False).output("names") == ["x"]


# hostile folders


def forged(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite every `block.adopted` line of a folder, with checksums that fit."""
    journal = folder / "journal" / "0001.jsonl"
    lines = []
    for line in journal.read_bytes().splitlines(keepends=True):
        if b'"block.adopted"' in line:
            fields = json.loads(line)
            del fields["crc"]
            change(fields)
            line = sealed(fields)
        lines.append(line)
    journal.write_bytes(b"".join(lines))
    (folder / "status.json").unlink(missing_ok=True)


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a path outside": lambda fields: [each.update(path="../a/outputs/large.0001.pack") for each in fields["files"]],  # type: ignore[func-returns-value]
    "an absolute path": lambda fields: [each.update(path="/etc/passwd") for each in fields["files"]],  # type: ignore[func-returns-value]
    "too many bytes": lambda fields: [each.update(bytes=2**60) for each in fields["files"]],  # type: ignore[func-returns-value]
    "negative bytes": lambda fields: [each.update(bytes=-1) for each in fields["files"]],  # type: ignore[func-returns-value]
    "elements that there are not": lambda fields: [each.update(elements=[[-5, 2**61]]) for each in fields["files"]],  # type: ignore[func-returns-value]
    "a wild shape": lambda fields: fields.update(shape=[2**40, 2**40]),
    "outputs without end": lambda fields: fields.update(outputs={"read": {"count": 2**70, "bytes": -1}}),
    "another block": lambda fields: fields.update(block="ghost"),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_adoption_neither_leads_outside_nor_stops_a_reader(
    tmp_path: Path, params: dict[str, Any], how: str
) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    successor.begin(second)
    successor.end()

    def change(fields: dict[str, Any]) -> None:
        if fields.get("files"):
            FORGERIES[how](fields)

    forged(second, change)
    status = observe.status(str(second))
    assert status["status"] in ("completed", "running")
    if how != "outputs without end":
        assert not status["all_complete"]
    loader = Loader(str(second), trust=False)
    if how in ("a path outside", "an absolute path"):
        with pytest.raises(FolderError):
            loader.output("large")
    earlier = read_earlier(str(second))
    assert all(start >= 0 for holding in earlier.holdings.blocks.values() for start, _ in holding.elements)


def test_a_link_in_place_of_a_pack_of_the_earlier_run_is_not_followed(tmp_path: Path, params: dict[str, Any]) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    successor = Successor(everything, first, params)
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 1_000_000)
    pack = first / "outputs" / "large.0001.pack"
    pack.unlink()
    pack.symlink_to(secret)
    with pytest.raises(FolderError, match="was changed or removed"):
        successor.begin(second)
    successor.writer.close()
    assert not any(path.read_bytes().startswith(b"sss") for path in second.glob("outputs/*"))


def test_a_pack_that_is_exchanged_while_it_is_linked_is_copied_from_what_was_opened(
    tmp_path: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made(tmp_path / "a", params), tmp_path / "b"
    expected = outputs(first)["large"]
    successor = Successor(everything, first, params)
    really = disk.link

    def exchanged(source: str, path: str) -> bool:
        if source.endswith("large.0001.pack"):
            os.rename(source, f"{source}.old")
            Path(source).write_bytes(b"something else" * 10_000)
        return really(source, path)

    monkeypatch.setattr(disk, "link", exchanged)
    adoption = successor.begin(second)
    successor.end()
    assert adoption.copied == (first / "outputs" / "large.0001.pack.old").stat().st_size
    assert Loader(str(second), trust=False).output("large") == expected
