"""The one writer of a run folder: it numbers records, hands them to the kernel, and syncs them.

Everything the driver records goes through here, under one lock: an event or a chunk gets the next number, is appended
to its file and applied to the fold, in this order, so that a process killed at any moment leaves a prefix.
*Recorded* is what `flush` or `chunk` returned from; *synced* follows within 20 ms by the pulse, and always before a
block's `completed` and before the end.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.core.moves import BLOCK_DONE
from runstone.core.ranges import count
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt
from runstone.core.records import RunInfo
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.errors import FolderError, InputError, StorageError, Superseded
from runstone.folder import checkpoint as checkpoints
from runstone.folder import clock, disk, identity, layout
from runstone.folder.journal import encode_line
from runstone.folder.pack import encode_frame
from runstone.folder.redacting import redacted
from runstone.folder.unsynced import Unsynced

E = TypeVar("E", bound=ev.Event)
Buffer = bytes | memoryview

HEARTBEAT_SECONDS = 1.0
_encode_json = msgspec.json.Encoder().encode


class _File:
    """A file this epoch appends to. tail: its last bytes, for the checkpoint."""

    __slots__ = ("descriptor", "path", "size", "tail")

    def __init__(self, descriptor: int, path: str, size: int = 0, tail: bytes = b"") -> None:
        self.descriptor = descriptor
        self.path = path
        self.size = size
        self.tail = tail


class RunWriter:
    """Writes one epoch of one run. Safe to use from several threads.

    Every method raises StorageError if the disk refuses, and Superseded once another process has taken the run over;
    after either, nothing more is written. In a forked child it refuses to write.
    """

    def __init__(
        self,
        folder: str,
        info: RunInfo,
        state: run_state.RunState,
        epoch: int,
        journal: int,
        known: dict[str, checkpoints.FileMark],
        written: bytes = b"",
    ) -> None:
        """journal: descriptor of this epoch's journal, which holds `written`. known: marks of earlier epochs' files."""
        self.folder = folder
        self.info = info
        self.state = state
        self.epoch = epoch
        self.lock = threading.RLock()
        self.ticks: list[Callable[[float], None]] = []
        self.on_broken: Callable[[FolderError], None] | None = None
        self.broken: FolderError | None = None
        # events that somebody else wants to know of, in order; whoever takes them removes them
        self.heard: list[ev.Event] | None = None
        # its end is recorded and on the disk, and nobody has taken the run over before
        self.complete = False
        self._sync_lock = threading.Lock()
        self._pid = os.getpid()
        self._journal = _File(journal, f"{folder}/{layout.journal(epoch)}", len(written), written)
        self._packs: dict[str, _File] = {}
        self._known = known
        self._pending: list[bytes] = []
        self._values: dict[str, Any] = {}
        self._unsynced = Unsynced()
        self._next_journal = f"{folder}/{layout.journal(epoch + 1)}"
        self._renewed = self._beat_at = clock.steady()
        self._torn = self._unsyncable = self._closed = False
        # A recursion or memory limit may be hit between a record and its place in the fold. What is on disk is a prefix
        # still, but this process no longer knows which. Made now: then there is no room even to make an error.
        self._interruption = FolderError(f"recording into {folder} was interrupted in the middle; nothing more follows")

    # recording

    def event(self, kind: type[E], **fields: Any) -> E:
        """Number an event and take it into the fold; `flush` hands it to the kernel."""
        with self.lock:
            event = kind(seq=self.state.seq + 1, at=clock.now(), **redacted(fields))
            line = encode_line(event)
            try:
                fold.apply(self.state, event)  # type: ignore[arg-type]  # every kind of event is a Record
                self._pending.append(line)
                if self.heard is not None:
                    self.heard.append(event)
            except BaseException:
                self.broken = self._interruption
                raise
            return event

    def flush(self) -> None:
        """Record all events so far. Must be called before user code runs that could follow from them."""
        with self.lock:
            if not self._pending:
                return
            data = b"".join(self._pending)
            self._append(self._journal, [data], len(data))
            self._pending.clear()

    def chunk(self, header: ev.Chunk, payload: Sequence[Buffer]) -> ev.Chunk:
        """Record the outcomes and values of some elements of a block at once. header: its number and time are set here.

        Raises ValueError if the header tells of more or fewer elements than it names.
        """
        with self.lock:
            self.flush()
            chunk = msgspec.structs.replace(header, seq=self.state.seq + 1, at=clock.now())
            if count(chunk.elements) != chunk.ok + chunk.failed + chunk.upstream_failed:
                raise ValueError(f"a chunk of {chunk.block} tells of more or fewer elements than it names")
            buffers = encode_frame(chunk, list(payload))
            self._append(self._pack(chunk.block), buffers, sum(map(len, buffers)))
            try:
                fold.apply(self.state, chunk)
            except BaseException:
                self.broken = self._interruption
                raise
            return chunk

    def keep_value(self, output: str, small: Any) -> None:
        """Remember a named output that lives in an event, for `outputs/values.pack`."""
        self._values[output] = small

    def _pack(self, block: str) -> _File:
        file = self._packs.get(block)
        if file is None:
            outputs = f"{self.folder}/{layout.OUTPUTS}"
            if not self._packs and not os.path.isdir(outputs):
                disk.make_folder(outputs)
                self._unsynced.folders([self.folder])
            path = f"{self.folder}/{layout.pack(block, self.epoch)}"
            file = self._packs[block] = _File(disk.create(path), path)
            self._unsynced.folders([outputs])
        return file

    def _append(self, file: _File, buffers: Sequence[Buffer], length: int) -> None:
        self._check()
        try:
            if len(buffers) == 1:
                disk.append(file.descriptor, buffers[0], file.path)
            else:
                disk.append_all(file.descriptor, buffers, file.path)
        except StorageError as error:
            self._break(error)
            try:
                disk.cut(file.descriptor, file.size, file.path)
            except StorageError:
                # whatever came behind half a record could not be told from it
                self._torn = True
            raise
        except BaseException:
            self.broken = self._interruption
            raise
        file.size += length
        last = bytes(buffers[-1][-checkpoints.MARK_BYTES :])
        file.tail = (file.tail + b"".join(buffers) if len(last) < checkpoints.MARK_BYTES else last)[
            -checkpoints.MARK_BYTES :
        ]
        self._unsynced.file(file.path, file.descriptor)

    def check(self) -> None:
        """Raise unless this process may still write to the folder; for those who write other files into it."""
        self._check()
        self.check_epoch()

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken
        if os.getpid() != self._pid:
            raise FolderError(f"a forked child cannot record into {self.folder}: only the process that runs it can")
        if clock.steady() - self._renewed > self.info.lease_seconds * 2 / 3:
            # Somebody may have taken the run over while this process was held up.
            self.check_epoch()

    def check_epoch(self) -> None:
        """Raise Superseded if another process has taken the run over."""
        if os.path.lexists(self._next_journal):
            superseded = Superseded(f"another process has taken over the run in {self.folder}; this one stops")
            self._break(superseded)
            raise superseded

    def _break(self, error: FolderError) -> None:
        if self.broken is None:
            self.broken = error
            if self.on_broken is not None:
                self.on_broken(error)

    def forked(self) -> None:
        """This is a child that was forked during the run; the locks may be held by threads that it does not have."""
        self.lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self.on_broken = None
        self.broken = FolderError(f"a forked child cannot record into {self.folder}: only the process that runs it can")

    # syncing

    def sync(self) -> None:
        """Bring everything recorded so far to the disk."""
        with self._sync_lock:
            with self.lock:
                self.flush()
                unsynced = self._take_unsynced()
            self._bring(unsynced)

    def _take_unsynced(self) -> Unsynced:
        if self.broken is not None:
            # what an earlier sync was to bring to the disk may not be there
            raise self.broken
        return self._unsynced.take()

    def _bring(self, unsynced: Unsynced) -> None:
        try:
            unsynced.bring()
        except StorageError as error:
            # a disk that has refused once may say yes the next time, and have dropped what it refused
            self._unsyncable = True
            self._break(error)
            raise
        except BaseException:
            # what was to be synced is forgotten by now, so nothing may be said to be
            self.broken = self._interruption
            raise

    def must_sync(self, *, files: Sequence[str] = (), folders: Sequence[str] = ()) -> None:
        """Let the next sync also bring these closed files and folders to the disk."""
        with self.lock:
            for path in files:
                self._unsynced.file(path)
            self._unsynced.folders(folders)

    def close_pack(self, block: str) -> None:
        """No more chunks of this block come: sync and let go of its pack."""
        if block in self._packs:
            self.sync()
            with self._sync_lock, self.lock:
                self._release(self._packs.pop(block))

    def _release(self, file: _File) -> None:
        name = os.path.relpath(file.path, self.folder)
        self._known[name] = checkpoints.FileMark(path=name, offset=file.size, crc=checkpoints.mark(file.tail))
        self._unsynced.forget(file.path)
        disk.close(file.descriptor)

    # the pulse

    def tick(self, now: float) -> None:
        """What is due: close a chunk, sync, give a sign of life. Called by the pulse about every 10 ms."""
        if self._closed or self.broken is not None:
            return
        try:
            for tick in tuple(self.ticks):
                tick(now)
        finally:
            if self.broken is None:
                self._beat(now)

    def _beat(self, now: float) -> None:
        if now - self._beat_at >= HEARTBEAT_SECONDS:
            self.check_epoch()
            self._renewed = self._beat_at = now
            self.write_checkpoint()
        elif self._unsynced or self._pending:
            self.sync()

    def write_checkpoint(self) -> None:
        """Sync, and replace `status.json` by the fold as it was then.

        Everything it counts is on the disk before it is: a checkpoint that outlived bytes it speaks of would be
        believed over their absence.
        """
        with self._sync_lock:
            with self.lock:
                self.flush()
                unsynced = self._take_unsynced()
                marks = [
                    checkpoints.FileMark(
                        path=os.path.relpath(file.path, self.folder), offset=file.size, crc=checkpoints.mark(file.tail)
                    )
                    for file in (self._journal, *self._packs.values())
                ]
                data = checkpoints.encode(
                    checkpoints.Checkpoint(
                        run_id=self.info.id,
                        at=clock.now(),
                        steady=clock.steady(),
                        boot_id=identity.boot_id(),
                        lease_seconds=self.info.lease_seconds,
                        state=self.state,
                        files=[*self._known.values(), *marks],
                    )
                )
            self._bring(unsynced)
            disk.replace(f"{self.folder}/{layout.CHECKPOINT}", data)

    # the end

    def end(self, status: RunStatus, reason: Any = None, message: str = "", receipts: Sequence[Receipt] = ()) -> None:
        """Sync everything, then record and sync the end; the last checkpoint follows. Blocks must have ended."""
        self.check()
        self._write_values()
        self.sync()
        self.event(ev.RunEnded, status=status, reason=reason, message=message, receipts=list(receipts))
        self.sync()
        # held up since the last look, this process may have written its end behind what still counted
        self.check_epoch()
        self._closed = self.complete = True
        # the end is on the disk; whoever finds no checkpoint folds the journal
        with contextlib.suppress(StorageError):
            self.write_checkpoint()

    def abandon(self, why: str, reason: Reason) -> None:
        """After the machinery has failed: end all blocks and the run as crashed; nothing if the disk refuses that."""
        with self.lock:
            if self._torn or self._unsyncable or not isinstance(self.broken, StorageError | None):
                return
            self.broken = None
            self._closed = True
            if not self.state.done:
                for name, block in self.state.blocks.items():
                    if block.status not in BLOCK_DONE:
                        end = BlockStatus.CRASHED if block.started_at else BlockStatus.CANCELLED
                        self.event(ev.BlockEnded, block=name, status=end, reason=reason)
        with contextlib.suppress(FolderError):
            try:
                self._say_end(why, reason)
            except StorageError:
                # the checkpoint is made of the journal, and may give it its room
                disk.remove(f"{self.folder}/{layout.CHECKPOINT}")
                if not (self._torn or self._unsyncable):
                    self.broken = None
                    self._say_end(why, reason)

    def _say_end(self, why: str, reason: Reason) -> None:
        # without the lock: the pulse may be in the middle of a sync, and waits for it
        self.sync()
        if not self.state.done:
            status = RunStatus.CRASHED if self.state.status is RunStatus.RUNNING else RunStatus.FAILED
            self.event(ev.RunEnded, status=status, reason=reason, message=why[:1000])
            self.sync()

    def _write_values(self) -> None:
        if not self._values:
            return
        path = f"{self.folder}/{layout.VALUES_PACK}"
        outputs = os.path.dirname(path)
        if not self._packs and not os.path.isdir(outputs):
            disk.make_folder(outputs)
            self._unsynced.folders([self.folder])
        columns, payload = [], []
        for name, small in self._values.items():
            data = _encode_json(small)
            columns.append(ev.ColumnMeta(name=name, bytes=len(data), count=1, meta={"kind": "small"}))
            payload.append(data)
        chunk = ev.Chunk(seq=self.state.seq, at=clock.now(), block="", elements=[(0, 1)], ok=1, columns=columns)
        disk.replace(path, b"".join(encode_frame(chunk, list(payload))))
        self.must_sync(files=[path], folders=[outputs])

    def close(self) -> None:
        """Let go of all files; nothing is written."""
        with self._sync_lock, self.lock:
            self._closed = True
            if self.broken is None:
                self.broken = FolderError(f"the run in {self.folder} has ended; nothing more can be recorded in it")
            for file in (self._journal, *self._packs.values()):
                disk.close(file.descriptor)
            self._packs.clear()
            self._unsynced.take()


def begin(
    folder: str, info: RunInfo, executor: str, save_inputs: Callable[[], tuple[str, str]] | None = None
) -> RunWriter:
    """Make the folder of a new run and record its start. Raises FileExistsError if there is a run already.

    save_inputs: writes what `run.json` refers to; returns the file and the folder that are still to be synced.
    `run.json` gets its name last: a folder with it has its inputs, and a journal that names the process.
    """
    above = [os.path.dirname(folder)]
    while not os.path.isdir(above[-1]) and above[-1] != os.path.dirname(above[-1]):
        above.append(os.path.dirname(above[-1]))
    disk.make_folder(folder, parents=True)
    if os.path.lexists(f"{folder}/{layout.RUN}"):
        raise FileExistsError(folder)
    disk.make_folder(f"{folder}/{layout.JOURNAL}")
    path = f"{folder}/{layout.journal(1)}"
    try:
        descriptor = disk.create(path)
    except BaseException:
        disk.remove_folder(os.path.dirname(path))
        raise
    run, saved = f"{folder}/{layout.RUN}", ""
    try:
        state = run_state.initial(block.name for block in info.blocks)
        writer = RunWriter(folder, info, state, 1, descriptor, {})
        writer.heard = []
        writer.event(ev.RunStarted, driver=own_driver(descriptor, executor))
        writer.flush()
        if save_inputs is not None:
            saved, inputs = save_inputs()
            writer.must_sync(files=[saved], folders=[inputs])
        data = _encode_json(info)
        if len(data) > layout.RUN_LIMIT:
            raise InputError(
                f"what is known of this run takes {len(data):,} bytes, at most {layout.RUN_LIMIT:,} fit {layout.RUN}; "
                "give fewer parameters, for example as one dict, or map one block instead of writing many"
            )
        disk.replace(run, data)
    except BaseException:
        os.close(descriptor)
        if not os.path.lexists(run):
            # nothing was begun: the same folder may be tried again
            disk.remove(path)
            if saved:
                disk.remove(saved)
            for made in (layout.JOURNAL, layout.INPUTS):
                disk.remove_folder(f"{folder}/{made}")
        raise
    writer.must_sync(files=[run], folders=[f"{folder}/{layout.JOURNAL}", folder, *above])
    return writer


def own_driver(journal: int, executor: str) -> ev.Driver:
    """The identity of this process as the writer of the journal with this descriptor."""
    found = os.fstat(journal)
    return msgspec.structs.replace(
        identity.this_process(), journal_inode=found.st_ino, journal_device=found.st_dev, executor=executor
    )
