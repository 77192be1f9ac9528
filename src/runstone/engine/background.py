"""A run in a thread of its own, for callers that go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runstone.engine.launch import Known, Launched
from runstone.engine.own_frames import OwnFramesHidden
from runstone.errors import RunFailed
from runstone.folder.resolve import shown

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class RunHandle(Generic[T]):
    """A run in progress: await it, or ask for its `result()`. Made by `Pipeline.run_async`."""

    def __init__(self, launched: Launched | Known, execute: Callable[[Launched | Known], T]) -> None:
        self._launched = launched
        self._call = execute
        self._ended = threading.Event()
        self._run: T | None = None
        self._error: BaseException | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._execute, name=f"runstone-{self.run_id[:8]}", daemon=False)

    def __repr__(self) -> str:
        launched, progress = self._launched, self.progress
        stands = launched.status
        if self._error is not None and not isinstance(self._error, RunFailed):
            # it could not be recorded any more, or an interrupt has ended it
            stands += f", stopped by {type(self._error).__name__}"
        elif progress is not None and progress < 1 and not self.done:
            stands += f", {100 * progress:.0f}% done"
        where = "not kept" if launched.folder is None else f"in {shown(launched.folder)}"
        return f"<handle of run {self.run_id[:8]} of {launched.info.pipeline.name!r}: {stands}, {where}>"

    @property
    def run_id(self) -> str:
        """The id of the run, known from the start."""
        return self._launched.run_id

    @property
    def run_folder(self) -> str | None:
        """Where the run is recorded, None if it is not kept."""
        return self._launched.folder

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    @property
    def progress(self) -> float | None:
        """How much is done, from 0 to 1; None as long as nothing can be said."""
        return self._launched.progress

    def cancel(self) -> None:
        """Ask the run to stop at its next element or block; `result()` tells when it has."""
        self._launched.cancel(by="run.cancel()", message="cancelled by the program that started it")

    def result(self, timeout: float | None = None) -> T:
        """Wait for the end and return the run.

        Raises what `Pipeline.run` raises, and TimeoutError after `timeout` seconds. Ctrl-C meanwhile cancels the run.
        """
        with OwnFramesHidden(self.run_id, self.run_folder):
            try:
                ended = self._ended.wait(timeout)
            except KeyboardInterrupt:
                # Ctrl-C reaches only the main thread, and the program would not end before the run does
                self.cancel()
                raise
            if not ended:
                raise TimeoutError(f"run {self.run_id[:8]} has not ended after {timeout} seconds")
            return self._outcome()

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error
        assert self._run is not None
        return self._run

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def ended(self) -> None:
        """Wait until it has ended, however. Whoever stops waiting does the run no harm."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._ended.is_set():
                return
            self._waiting.append((loop, future))
        await future

    async def _wait(self) -> T:
        import asyncio

        with OwnFramesHidden(self.run_id, self.run_folder):
            try:
                await self.ended()
            except asyncio.CancelledError:
                self.cancel()
                raise
            return self._outcome()

    def start(self) -> RunHandle[T]:
        """Begin."""
        self._thread.start()
        return self

    def _execute(self) -> None:
        try:
            self._run = self._call(self._launched)
        except BaseException as error:
            # raised again in the thread that asks for the result
            self._error = error
        with self._lock:
            self._ended.set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:
                # the loop was closed: nobody waits there any more
                continue


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
