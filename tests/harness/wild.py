"""Blocks that do to their process what no block should, and what really happens."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runstone
from runstone import Pipeline, block
from runstone.engine import collect
from runstone.folder import pulse, writer
from tests.harness.mortal import ran, watch_with

_place = Path()


def _fork_and_return(number: int) -> int:
    # the child comes back from the block as if it were the run
    if os.fork() == 0:
        Path(_place / "forked").touch()
    return number


def _fork_and_linger(number: int) -> int:
    # the child comes back from the last block when the run is long over
    if os.fork() == 0:
        while not (_place / "over").exists():
            time.sleep(0.005)
    return number


def _pool(number: int) -> int:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(abs, [number, -number]))


def _fork_and_save(number: int) -> int:
    path = _place / "saved.txt"
    path.write_text("from a child")
    pid = os.fork()
    if pid == 0:
        try:
            runstone.artifact(path, name="child.txt")
            (_place / "child").write_text("saved")
        except runstone.RunstoneError as error:
            (_place / "child").write_text(f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return number


def _fork_with_locks(number: int) -> int:
    # at the moment of the fork another thread, which the child does not have, is in the middle of recording
    (member,) = pulse._pulse.members()
    held = threading.Event()

    def hold() -> None:
        with member._sync_lock, member.lock:  # type: ignore[attr-defined]
            held.set()
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    _fork_and_return(number)
    thread.join()
    return number


def _exit_hard(number: int) -> int:
    os._exit(3)


def _execute(number: int) -> int:
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])


def _exit_softly(number: int) -> int:
    sys.exit(4)


def _recurse(number: int) -> int:
    return _recurse(number + 1)


def _recurse_and_save(number: int) -> int:
    path = _place / "deep.md"
    path.write_text("deep")
    # so near the limit that it is hit somewhere inside of the recording, each time a frame earlier
    for spare in range(3, 60):
        with contextlib.suppress(RecursionError):
            _at_depth(sys.getrecursionlimit() - spare - _depth(), lambda: runstone.artifact(path))
    return number


def _at_depth(frames: int, call: Callable[[], Any]) -> None:
    if frames > 0:
        _at_depth(frames - 1, call)
    else:
        call()


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    return depth


def _crash(number: int) -> int:
    import ctypes

    ctypes.string_at(0)
    return number


def _close_everything(number: int) -> int:
    os.closerange(3, 4096)
    # what the run would write now would go into whatever gets the same number
    for each in range(12):
        os.open(_place / f"mine-{each}", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    watch_with(str(_place / "oracle"))
    return number


def _change_folder(number: int) -> int:
    os.chdir("/")
    return number


def _signals(number: int) -> int:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    time.sleep(0.2)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return number


def _threads(number: int) -> int:
    path = _place / "threads.txt"
    path.write_text("from threads")
    told: list[str] = []

    def save() -> None:
        try:
            runstone.artifact(path)
        except runstone.RunstoneError as error:
            told.append(str(error))

    threads = [threading.Thread(target=save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (_place / "told").write_text("\n".join(told))
    return number


def _unstorable(number: int) -> Any:
    return _Rude()


class _Rude:
    """Leaves the interpreter when it is stored, which the heartbeat may have to do."""

    def __reduce__(self) -> Any:
        sys.exit(5)


def _take_pulse(number: int) -> int:
    # no new threads, no memory to speak of, and a switch interval at which nobody else gets on
    sys.setswitchinterval(1000.0)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        pass
    sys.setswitchinterval(0.005)
    return number


def _delete(number: int) -> int:
    import shutil

    # a file that the heart puts there meanwhile is in the way of the first try
    while (_place / "runs").exists():
        shutil.rmtree(_place / "runs", ignore_errors=True)
    return number


def _move(number: int) -> int:
    os.rename(_place / "runs", _place / "moved")
    return number


WILD: dict[str, Callable[[int], Any]] = {
    name.lstrip("_"): function
    for name, function in dict(globals()).items()
    if callable(function) and getattr(function, "__module__", "") == __name__ and name.startswith("_")
}


def live(folder: str, oracle: str, *, what: str, size: int = 12, at: int | None = 6, chunk: int = 2) -> dict[str, Any]:
    """Run a chain and a map, one element of which does something wild; what comes after must be as if it had not.

    at: which element; None for the last block.
    """
    global _place
    _place = Path(oracle).parent
    watch_with(oracle)
    collect.CLOSE_ELEMENTS = collect.BATCH = chunk
    writer.HEARTBEAT_SECONDS = 0.02
    parent = os.getpid()

    def wild(seeds: int) -> Any:
        value = WILD[what](seeds) if seeds == at else seeds
        if os.getpid() == parent:
            ran("wild", seeds)
        time.sleep(0.005)
        return value

    def after(wild: list[Any]) -> int:
        value = WILD[what](len(wild)) if at is None else len(wild)
        ran("after")
        return int(value)

    def seeds(size: int) -> list[int]:
        ran("seeds")
        return list(range(size))

    pipeline = Pipeline("wild", [block(seeds), block(output="wild", mapspec="seeds[i] -> wild[i]")(wild), block(after)])
    try:
        run = pipeline.run({"size": size}, run_folder=folder, show_progress=False, raise_on_error=False)
    except BaseException:
        if os.getpid() != parent:
            (_place / "child").write_text(repr(sys.exc_info()[1]))
            os._exit(0)
        raise
    if os.getpid() != parent:
        (_place / "child").write_text("completed")
        os._exit(0)
    return {"status": run.status, "artifacts": len(run.artifacts)}
