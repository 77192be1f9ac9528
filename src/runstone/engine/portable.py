"""A block run in the form that travels to another process, and how it is unpacked there."""

from __future__ import annotations

import copy
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

import msgspec

from runstone.blocks import Block
from runstone.core.reuse import UNRESOLVED
from runstone.core.settings import Settings
from runstone.engine import code
from runstone.engine.control import Control
from runstone.engine.log_relay import LogSetup, log_setup
from runstone.engine.record import Recorder, Stored
from runstone.engine.work import Values, Work
from runstone.errors import NotPortable, RunstoneError
from runstone.folder.logs import LogWriter
from runstone.secrets import redaction
from runstone.secrets.secret import Secret, restored

if TYPE_CHECKING:
    from collections.abc import Iterable


class StaleCode(RunstoneError):
    """Another process finds other code under the same name."""


class Portable(msgspec.Struct, frozen=True, kw_only=True):
    """What another process needs to execute a block run.

    sources: parameter -> its value, or where it is stored. folder, run_id: of the run, whose folder is None if it is
    not kept. function: the identity of the function alone, as the driver knows it. logs: where what is said is kept;
    setup: of `logging`.
    secrets: what is to be kept out of all that the other process writes.
    """

    block: Block[..., Any]
    settings: Settings
    sources: dict[str, Any]
    extras: dict[str, Any]
    folder: str | None
    run_id: str
    logs: LogWriter | None
    setup: LogSetup
    function: str | None
    secrets: tuple[str, ...] = ()


class Carried:
    """A secret on its way to another process, which no Secret goes by itself; it arrives as one."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self._secret.reference, self._secret.reveal())


class Received:
    """The values of a portable block run: read where they are stored, and only when they are asked for."""

    kept = False

    def __init__(self, sources: dict[str, Any]) -> None:
        self._sources = sources

    def __getitem__(self, name: str) -> Any:
        found = self._sources[name]
        if type(found) is Stored:
            found = self._sources[name] = found.load()
        return found

    def wanted(self, name: str) -> bool:
        """Nobody asks a worker: who needs the value reads it from the record."""
        return False

    def put(self, name: str, value: Any) -> None:
        """Nothing is held for others."""


def pack(work: Work, values: Values, folder: str | None) -> bytes:
    """Pickle a block run; functions of `__main__` travel by value. Raises NotPortable, naming the culprit."""
    sources = {parameter.name: values.portable(parameter.name) for parameter in work.block.parameters}
    sources = {name: Carried(value) if type(value) is Secret else value for name, value in sources.items()}
    task = Portable(
        block=work.block,
        # the condition was asked already, and which executor this is, was decided
        settings=msgspec.structs.replace(work.settings, when=None, executor=None),
        sources=sources,
        extras=work.extras,
        folder=folder,
        run_id=work.recorder.run_id,
        logs=work.recorder.logs,
        setup=log_setup(),
        # objects that can be called travel by value
        function=work.code.get("function") if isinstance(work.block.function, FunctionType) else None,
        secrets=redaction.known(),
    )
    try:
        return _dumps(task)
    except Exception as error:
        raise NotPortable(_culprit(work, sources, error)) from error


def unpack(data: memoryview, path: Iterable[str]) -> Portable:
    """Unpickle a block run. path: where the driver finds modules. Raises NotPortable and StaleCode."""
    import pickle

    sys.path.extend(place for place in path if place not in sys.path)
    try:
        task: Portable = pickle.loads(data)
    except Exception as error:
        raise NotPortable(
            f"what the block needs cannot be unpacked in another process: {type(error).__name__}: {error}; make it "
            "inside of the function, or use executor='inline' or 'threads'"
        ) from error
    for value in task.secrets:
        redaction.learn(value)
    block = task.block
    here = code.parts(block.function, block.settings.version, None).get("function")
    if task.function is not None and UNRESOLVED not in (here, task.function) and here != task.function:
        raise StaleCode(
            f"the code of block {block.name!r} is another one here: its file was changed after the program had "
            "imported it; start the program anew"
        )
    return task


def work_of(task: Portable, values: Received, recorder: Recorder, control: Control) -> Work:
    """The block run, for this process."""
    return Work(
        block=_awaiting(task.block) if task.block.is_async else task.block,
        settings=task.settings,
        recorder=recorder,
        control=control,
        values=values,
        extras=task.extras,
    )


def _awaiting(block: Block[..., Any]) -> Block[..., Any]:
    """The same block as a plain one, that awaits its call itself: in a process of its own nothing else goes on."""
    import asyncio

    function = block.function

    def call(*arguments: Any, **keywords: Any) -> Any:
        return asyncio.run(function(*arguments, **keywords))

    plain = copy.copy(block)
    plain.function = call
    return plain


def _dumps(value: Any) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps(value, protocol=5)
    return data


def _culprit(work: Work, sources: dict[str, Any], error: Exception) -> str:
    name = work.block.name
    for what, part in (
        (f"the function of block {name!r}", work.block.function),
        *((f"parameter {parameter!r} of block {name!r}", value) for parameter, value in sources.items()),
        *((f"parameter {parameter!r} of the run", value) for parameter, value in work.extras.items()),
    ):
        try:
            _dumps(part)
        except Exception as found:
            return f"{what} cannot be sent to another process: {found}; use executor='inline' or 'threads'"
    return f"block {name!r} cannot be sent to another process: {error}; use executor='inline' or 'threads'"
