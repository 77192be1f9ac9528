"""The journals of tracked runs of a project: a file for each process, and more if it lives long, in `.runstone/track`.

The first line names the process. All others are of its runs, in the order in which they were written. Only the last
file of a process is written; a run that goes on is told of from its start in each that it comes to.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

import msgspec

from runstone import config
from runstone.core.events import EVENT_LIMIT, Driver
from runstone.core.tracked import FORMAT, Header, TrackLine
from runstone.errors import FolderError, FormatTooNew
from runstone.folder.sealed import seal, unseal

FOLDER = "track"
SUFFIX = ".jsonl"

_PIECE = 1024 * 1024
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TrackLine).decode
_decode_header = msgspec.json.Decoder(Header).decode


class _Format(msgspec.Struct):
    format: int


def folder(root: str) -> str:
    """Where the journals of a project are. root: its folder, absolute."""
    return os.path.join(root, config.OWN, FOLDER)


def run_folder(root: str, run_id: str) -> str:
    """Where the files are that were saved with a tracked run; "" for an id that can be no name of a folder."""
    return os.path.join(folder(root), run_id) if _ID.fullmatch(run_id) else ""


def saved_with(root: str) -> list[str]:
    """The ids of all runs that have such a folder. Never raises."""
    try:
        with os.scandir(folder(root)) as entries:
            return sorted(
                each.name for each in entries if each.is_dir(follow_symlinks=False) and _ID.fullmatch(each.name)
            )
    except OSError:
        return []


def name(process: Driver, number: int = 1) -> str:
    """What a journal of a process is called. number: from 2 on for those that follow the first one."""
    more = "" if number == 1 else f"-{number}"
    return f"{_stem(process)}{more}{SUFFIX}"


def number(path: str, process: Driver) -> int:
    """Which of the files of its process it is, by its name; 1 for one that is called otherwise."""
    found = os.path.basename(path).removesuffix(SUFFIX).removeprefix(f"{_stem(process)}-")
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 10 else 1


def _stem(process: Driver) -> str:
    host = _UNSAFE.sub("_", process.host)[:100] or "host"
    return f"{host}-{process.pid}-{max(process.start_ticks, 0)}"


def same_process(one: Driver, other: Driver) -> bool:
    """Whether two files name the same process."""
    return which_process(one) == which_process(other)


def which_process(process: Driver) -> tuple[str, int, int, str]:
    """What tells it from all others."""
    return process.host, process.pid, process.start_ticks, process.boot_id


def of_process(place: str, process: Driver) -> list[str]:
    """The files in a folder that are called like those of a process, the first ones first. Raises OSError."""
    stem = _stem(process)
    named = [
        each
        for each in os.listdir(place)
        if each == f"{stem}{SUFFIX}" or (each.startswith(f"{stem}-") and each.endswith(SUFFIX))
    ]
    return sorted((os.path.join(place, each) for each in named), key=lambda path: number(path, process))


def paths(root: str) -> list[str]:
    """All journals of a project, in the order of their names. Raises OSError unless the folder is not there."""
    place = folder(root)
    try:
        names = sorted(each for each in os.listdir(place) if each.endswith(SUFFIX))
    except FileNotFoundError:
        return []
    return [os.path.join(place, each) for each in names]


def encode_line(line: Header | TrackLine) -> bytes:
    """One line of a journal. Raises TypeError, ValueError for what JSON cannot say."""
    return seal(_encode(line)) + b"\n"


def decode_line(line: bytes) -> TrackLine | None:
    """What a line says (without its newline); None if it is damaged, or of a newer version."""
    body = unseal(line) if len(line) < EVENT_LIMIT else None
    if body is None:
        return None
    try:
        said: TrackLine = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said


class TrackFile:
    """One journal, open for reading. Raises FolderError, OSError; FormatTooNew if a newer version wrote it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, _OPEN)
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise FolderError(f"{path} is no file")
            self.header = self._read_header()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _read_header(self) -> Header:
        line, newline, _ = os.pread(self._descriptor, EVENT_LIMIT, 0).partition(b"\n")
        self.start = len(line) + 1
        """Where the second line begins."""
        body = unseal(line) if newline else None
        try:
            if body is not None and msgspec.json.decode(body, type=_Format).format > FORMAT:
                raise FormatTooNew(f"{self.path} was written by a newer version of Runstone; update this one")
            if body is not None:
                return _decode_header(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        raise FolderError(f"{self.path} does not begin as a journal of tracked runs does")

    @property
    def inode(self) -> tuple[int, int]:
        """Which file it is."""
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino

    @property
    def size(self) -> int:
        """In bytes, now."""
        return os.fstat(self._descriptor).st_size

    def lines(self, offset: int | None = None, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Every complete line from `offset` to `stop`, each with the offset behind it."""
        at = self.start if offset is None else offset
        rest = b""
        while stop is None or at < stop:
            most = _PIECE if stop is None else min(_PIECE, stop - at)
            data = os.pread(self._descriptor, most, at)
            if not data:
                return
            begin = at - len(rest)
            at += len(data)
            data = rest + data
            start = 0
            while (end := data.find(b"\n", start)) >= 0:
                yield begin + end + 1, data[start:end]
                start = end + 1
            rest = data[start:]
            if len(rest) > EVENT_LIMIT:
                # longer than any line is: nothing of it counts, but that it goes on
                rest = rest[:EVENT_LIMIT]
                begin = at - len(rest)

    def events(self, offset: int | None = None, stop: int | None = None) -> Iterator[tuple[int, TrackLine]]:
        """The same, of lines that can be read, as what they say."""
        for behind, line in self.lines(offset, stop):
            event = decode_line(line)
            if event is not None:
                yield behind, event

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> TrackFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
