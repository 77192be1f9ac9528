"""The death of a machine, played from a trace: what a file system may legally show afterwards.

After a crash every file has at least what its last sync covered, and every folder at least the names its own last sync
covered. Of the rest anything may be there: nothing, all, zeros, sectors of it in any choice, names without contents,
and the later without the earlier.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.harness.trace import Step

SECTOR = 512


class Versions(NamedTuple):
    """A file before the crash. durable: what must survive; whole: what may."""

    durable: bytes
    whole: bytes


class Crash:
    """The machine dies after some steps of a trace. files: by number; names: path -> file, as seen by processes.

    durable_names: those of them that must survive. folders, durable_folders: the same for folders.
    """

    def __init__(self, steps: Sequence[Step], count: int) -> None:
        self.files: dict[int, Versions] = {}
        self.names: dict[str, int] = {}
        self.durable_names: dict[str, int] = {}
        self.folders: set[str] = set()
        self.durable_folders: set[str] = set()
        contents: dict[int, bytes] = {}
        durable: dict[int, bytes] = {}
        history: list[tuple[dict[str, int], frozenset[str]]] = []
        lengths: list[dict[int, int]] = []
        for step in steps[:count]:
            history.append((dict(self.names), frozenset(self.folders)))
            lengths.append({file: len(content) for file, content in contents.items()})
            if step.kind == "folder":
                self.folders.add(step.path)
            elif step.kind == "name":
                self.names[step.path] = step.file
                contents.setdefault(step.file, b"")
            elif step.kind == "unname":
                self.names.pop(step.path, None)
            elif step.kind == "write":
                contents[step.file] = contents.get(step.file, b"") + step.data
            elif step.kind == "cut":
                contents[step.file] = contents[step.file][: step.length]
            elif step.kind == "sync":
                length = lengths[step.begun].get(step.file, 0)
                durable[step.file] = contents[step.file][:length]
            elif step.kind == "sync_names":
                names, folders = history[step.begun]
                for path in [path for path in self.durable_names if os.path.dirname(path) == step.path]:
                    if path not in names:
                        del self.durable_names[path]
                self.durable_names.update(
                    {path: file for path, file in names.items() if os.path.dirname(path) == step.path}
                )
                self.durable_folders |= {path for path in folders if os.path.dirname(path) == step.path}
        self.files = {file: Versions(durable.get(file, b""), content) for file, content in contents.items()}
        self._made = {step.path for step in steps if step.kind == "folder"}

    def survives(self, path: str) -> bool:
        """Whether a name, and the names of all folders above it, must survive."""
        if path not in self.durable_names:
            return False
        return all(folder in self.durable_folders for folder in self._made if path.startswith(f"{folder}/"))


class After(NamedTuple):
    """What the disk shows. files: path -> content. how: in words, for whoever reads that a test failed."""

    how: str
    folders: set[str]
    files: dict[str, bytes]


def _dropped(file: Versions, dice: random.Random) -> bytes:
    return file.durable


def _kept(file: Versions, dice: random.Random) -> bytes:
    return file.whole


def _zeros(file: Versions, dice: random.Random) -> bytes:
    return file.durable + bytes(max(0, len(file.whole) - len(file.durable)))


def _torn(file: Versions, dice: random.Random) -> bytes:
    content = bytearray(file.whole)
    for start in range(len(file.durable) // SECTOR * SECTOR, len(content), SECTOR):
        if dice.random() < 0.5:
            first = max(start, len(file.durable))
            content[first : start + SECTOR] = bytes(len(content[first : start + SECTOR]))
    return bytes(content)


def _cut_short(file: Versions, dice: random.Random) -> bytes:
    if len(file.whole) <= len(file.durable):
        return file.whole
    return file.whole[: dice.randrange(len(file.durable), len(file.whole) + 1)]


def _last_only(file: Versions, dice: random.Random) -> bytes:
    # a hole before the newest bytes: what a checkpoint that looks at these alone would fall for
    last = max(len(file.durable), (len(file.whole) - 1) // SECTOR * SECTOR - SECTOR)
    return file.durable + bytes(last - len(file.durable)) + file.whole[last:]


def _stale(file: Versions, dice: random.Random) -> bytes:
    # blocks that were given to the file but not written yet, with what they held before: older lines of its kind
    missing = len(file.whole) - len(file.durable)
    if missing <= 0:
        return file.whole
    old = (file.whole * 2)[: SECTOR * 3] or b"?"
    start = dice.randrange(len(old))
    return file.durable + (old[start:] + old * (missing // len(old) + 1))[:missing]


_FATES = {
    "dropped": _dropped,
    "kept": _kept,
    "zero-filled": _zeros,
    "torn": _torn,
    "cut short": _cut_short,
    "only the last sectors kept": _last_only,
    "stale blocks": _stale,
}


def states(crash: Crash, dice: random.Random, samples: int) -> Iterator[After]:
    """Legal states after a crash: the extreme ones, and `samples` where every name and file has its own fate."""
    yield _after(crash, dice, "nothing unsynced is there", dict.fromkeys(crash.files, "dropped"), keep_names=False)
    for fate in _FATES:
        yield _after(crash, dice, f"unsynced bytes {fate}", dict.fromkeys(crash.files, fate))
    unsynced = [file for file, found in crash.files.items() if found.durable != found.whole]
    for file in unsynced:
        path = next((os.path.basename(path) for path, number in crash.names.items() if number == file), "an old file")
        yield _after(
            crash, dice, f"of unsynced bytes only {path}", {**dict.fromkeys(crash.files, "dropped"), file: "kept"}
        )
        yield _after(
            crash, dice, f"all unsynced bytes but {path}", {**dict.fromkeys(crash.files, "kept"), file: "dropped"}
        )
    checkpoint = {file for path, file in crash.names.items() if path.endswith("/status.json")}
    for fate in _FATES:
        fates = {**dict.fromkeys(crash.files, fate), **dict.fromkeys(checkpoint, "kept")}
        yield _after(crash, dice, f"a whole checkpoint, other unsynced bytes {fate}", fates)
    for _ in range(samples):
        fates = {file: dice.choice(list(_FATES)) for file in crash.files}
        yield _after(crash, dice, "every file and name with its own fate", fates, keep_names=None)


def _after(
    crash: Crash, dice: random.Random, how: str, fates: dict[int, str], *, keep_names: bool | None = True
) -> After:
    """keep_names: of the names that were not synced, all, none, or (None) some."""

    def stays() -> bool:
        return dice.random() < 0.6 if keep_names is None else keep_names

    names = {**crash.durable_names}
    for path, file in crash.names.items():
        if names.get(path) != file and stays():
            names[path] = file
    for path in crash.durable_names:
        if path not in crash.names and stays():
            del names[path]
    folders = {folder for folder in crash.folders if folder in crash.durable_folders or stays()}
    lost = crash.folders - folders
    folders = {folder for folder in folders if not any(folder.startswith(f"{each}/") for each in lost)}
    files = {
        path: _FATES[fates[file]](crash.files[file], dice)
        for path, file in names.items()
        if not any(path.startswith(f"{each}/") for each in lost)
    }
    return After(how, folders, files)


class Stage:
    """Puts states after a crash into the place where the run was, with every journal in its own inode.

    A driver is proven dead only for the journal it wrote, which a file keeps through a crash, but not through a copy.
    """

    def __init__(self, folder: Path, aside: Path) -> None:
        self.folder = folder
        self._aside = aside
        aside.mkdir(parents=True)
        self._held: dict[str, Path] = {}
        for path in folder.glob("journal/*.jsonl"):
            held = aside / path.name
            os.rename(path, held)
            self._held[str(path)] = held
        shutil.rmtree(folder)
        self._shown: dict[str, bytes] = {}
        self._folders: set[str] = set()

    def play(self, after: After) -> None:
        """Make the disk look like this."""
        below = f"{self.folder}/"
        files = {path: content for path, content in after.files.items() if path.startswith(below)}
        folders = {folder for folder in after.folders if f"{folder}/".startswith(below)}
        folders |= {os.path.dirname(path) for path in files}
        for path in self._shown.keys() - files.keys():
            if path in self._held:
                os.rename(path, self._held[path])
            else:
                os.unlink(path)
            del self._shown[path]
        for folder in sorted(self._folders - folders, reverse=True):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(folders - self._folders):
            os.makedirs(folder, exist_ok=True)
        self._folders = folders
        for path, content in files.items():
            if self._shown.get(path) == content:
                continue
            if path not in self._shown and path in self._held:
                os.rename(self._held[path], path)
            with open(path, "wb") as file:
                file.write(content)
            self._shown[path] = content
