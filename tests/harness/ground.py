"""A second reader of run folders, as small as possible and without a line of Runstone's, to hold against the first.

journal line := JSON of the event, ending in ,"crc":"<8 hex>"} : CRC-32 of the JSON without that field
frame        := "RSf1" header_length(u32) payload_length(u64) header_crc(u32) payload_crc(u32) header payload
"""

from __future__ import annotations

import functools
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

_FIXED = struct.Struct("<4sIQII")
_LINE = re.compile(rb'(\{.*),"crc":"([0-9a-f]{8})"\}', re.DOTALL)
OUTCOMES = ("ok", "failed", "upstream_failed")


class Record:
    """One event or frame that verifies. stop: offset behind it."""

    def __init__(self, file: str, epoch: int, start: int, stop: int, fields: dict[str, Any], payload: bytes) -> None:
        self.file, self.epoch, self.start, self.stop = file, epoch, start, stop
        self.fields, self.payload = fields, payload
        self.seq: int = fields["seq"]
        self.kind: str = fields.get("event", "chunk")

    @functools.cached_property
    def elements(self) -> dict[int, str]:
        """Every element of a frame with its outcome."""
        numbers = [number for start, stop in self.fields["elements"] for number in range(start, stop)]
        codes = self.payload[: len(numbers)] if "outcomes" in self.fields else bytes(len(numbers))
        return {number: OUTCOMES[code] for number, code in zip(numbers, codes, strict=True)}

    def __repr__(self) -> str:
        return f"<{self.seq} {self.kind} {self.fields.get('block', '')} in {self.file}>"


class Ground:
    """Everything in a run folder that verifies.

    torn: how many bytes of a file lie behind its last record that verifies. inner: bytes between records that do not.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.info = _json(self.folder / "run.json")
        self.records: list[Record] = []
        self.torn: dict[str, int] = {}
        self.inner: dict[str, int] = {}
        journals = sorted(self.folder.glob("journal/[0-9]*.jsonl"))
        for path in journals:
            self._take(f"journal/{path.name}", int(path.stem), path.read_bytes())
        for path in sorted(self.folder.glob("outputs/*.[0-9]*.pack")):
            self._take(f"outputs/{path.name}", int(path.stem.rpartition(".")[2]), path.read_bytes())
        self._apply_limits()
        self.records.sort(key=lambda record: (record.epoch, record.seq))

    def _take(self, name: str, epoch: int, data: bytes) -> None:
        good = inner = 0
        for record in records_in(name, epoch, data):
            self.records.append(record)
            inner += record.start - good
            good = record.stop
        self.torn[name], self.inner[name] = len(data) - good, inner

    def _apply_limits(self) -> None:
        newest = max((record.epoch for record in self.records if record.kind == "run.taken_over"), default=1)
        if newest == 1:
            return
        limits: dict[str, int] = {}
        for record in self.records:
            if record.epoch == newest and record.kind in ("run.taken_over", "run.taken_over.files"):
                limits.update(record.fields["files"])
        self.records = [each for each in self.records if each.epoch == newest or each.stop <= limits.get(each.file, 0)]

    # what it adds up to

    def events(self, kind: str) -> list[Record]:
        """All events of a kind, in order."""
        return [record for record in self.records if record.kind == kind]

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.records]

    @property
    def ended(self) -> str | None:
        """The status the run has ended with."""
        found = self.events("run.ended")
        return found[0].fields["status"] if found else None

    def status(self) -> str:
        """What is recorded of the run."""
        if self.ended:
            return self.ended
        if self.events("run.cancelling"):
            return "cancelling"
        return "running" if self.records else "pending"

    def blocks(self) -> dict[str, str]:
        """Every block with its status."""
        found = {block["name"]: "pending" for block in (self.info or {"blocks": []})["blocks"]}
        for record in self.records:
            if record.kind == "block.started":
                found[record.fields["block"]] = "running"
            elif record.kind == "block.retrying":
                found[record.fields["block"]] = "retrying"
            elif record.kind == "block.ended":
                found[record.fields["block"]] = record.fields["status"]
            elif record.kind == "block.adopted" and record.fields.get("whole"):
                found[record.fields["block"]] = "reused"
        return found

    @functools.cached_property
    def elements(self) -> dict[str, dict[int, str]]:
        """Every recorded element of every block with its outcome; a block that has no frames but an end, has one."""
        found: dict[str, dict[int, str]] = {}
        mapped = {block["name"] for block in (self.info or {"blocks": []})["blocks"] if block.get("mapspec")}
        for record in self.records:
            if record.kind == "chunk":
                found.setdefault(record.fields["block"], {}).update(record.elements)
            elif record.kind == "block.adopted":
                found.setdefault(record.fields["block"], {}).update(dict.fromkeys(adopted(record), "ok"))
        for record in self.events("block.ended"):
            name, status = record.fields["block"], record.fields["status"]
            if name in mapped and (name in found or self._shape(name) is not None):
                continue
            if status == "completed":
                found.setdefault(name, {0: "ok"})
            elif status in ("failed", "crashed", "timed_out"):
                found[name] = {0: "failed"}
            elif status == "upstream_failed":
                found[name] = {0: "upstream_failed"}
        return found

    def _shape(self, block: str) -> list[int] | None:
        for record in self.records:
            if record.fields.get("block") == block and record.fields.get("shape") is not None:
                found: list[int] = record.fields["shape"]
                return found
        return None

    def total(self, block: str) -> int | None:
        """How many elements a mapped block has."""
        shape = self._shape(block)
        if shape is None:
            return None
        total = 1
        for length in shape:
            total *= length
        return total

    def twice(self) -> list[str]:
        """Elements that stand in two frames, or in one and in what was adopted."""
        seen: set[tuple[str, int]] = set()
        found = []
        for record in self.records:
            if record.kind not in ("chunk", "block.adopted"):
                continue
            for number in record.elements if record.kind == "chunk" else adopted(record):
                key = (record.fields["block"], number)
                if key in seen:
                    found.append(f"{key[0]}[{number}]")
                seen.add(key)
        return found

    def stored(self) -> dict[str, tuple[int, int]]:
        """Every output with how many values of it are stored, and their bytes."""
        found: dict[str, tuple[int, int]] = {}
        for record in self.records:
            for column in record.fields.get("columns", ()):
                count, size = found.get(column["name"], (0, 0))
                found[column["name"]] = (count + column["count"], size + column["bytes"])
            for name, value in record.fields.get("values", {}).items():
                found[name] = (1, value.get("bytes", 0))
        return found


def adopted(record: Record) -> list[int]:
    """The elements that a `block.adopted` event takes over; of a block that is not mapped it is the 0."""
    if record.fields.get("shape") is None:
        return [0] if record.fields.get("whole") else []
    files = record.fields.get("files", ())
    return [number for file in files for start, stop in file["elements"] for number in range(start, stop)]


def records_in(name: str, epoch: int, data: bytes) -> Iterator[Record]:
    """Every record of a journal or a pack that verifies."""
    if name.endswith(".jsonl"):
        start = 0
        while (stop := data.find(b"\n", start)) >= 0:
            found = _LINE.fullmatch(data[start:stop])
            if found and int(found[2], 16) == crc32(found[1] + b"}"):
                yield Record(name, epoch, start, stop + 1, json.loads(found[1] + b"}"), b"")
            start = stop + 1
        return
    at = 0
    while at >= 0:
        frame = read_frame(data, at)
        if frame is None:
            at = data.find(b"RSf1", at + 1)
            continue
        if frame[1] is not None:
            yield Record(name, epoch, at, frame[2], frame[0], frame[1])
        at = frame[2]


def read_frame(data: bytes, at: int) -> tuple[dict[str, Any], bytes | None, int] | None:
    """Header, values (None if they do not verify) and end of the frame at an offset; None if there is none."""
    if at + _FIXED.size > len(data):
        return None
    magic, header_length, payload_length, header_crc, payload_crc = _FIXED.unpack_from(data, at)
    start = at + _FIXED.size
    stop = start + header_length + payload_length
    header = data[start : start + header_length]
    if magic != b"RSf1" or stop > len(data):
        return None
    if crc32(header, crc32(struct.pack("<IQ", header_length, payload_length))) != header_crc:
        return None
    payload = data[start + header_length : stop]
    return json.loads(header), payload if crc32(payload) == payload_crc else None, stop


def frames_of(path: Path) -> list[dict[str, Any]]:
    """The headers of the frames of a file that is not a pack of a block; raises ValueError unless all verify."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        frame = read_frame(data, at)
        if frame is None or frame[1] is None:
            raise ValueError(f"{path.name} does not verify at byte {at}")
        found.append(frame[0])
        at = frame[2]
    return found


def line(fields: dict[str, Any]) -> bytes:
    """A journal line for these fields, with its checksum."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    return b'%b,"crc":"%08x"}\n' % (body[:-1], crc32(body))


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found
