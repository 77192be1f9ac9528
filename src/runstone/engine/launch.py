"""From a pipeline and parameters to a run in progress: everything is checked first, then the folder is made."""

from __future__ import annotations

import enum
import functools
import os
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runstone import config
from runstone.core.calls import check_shapes
from runstone.core.events import FORMAT
from runstone.core.inputs import check_inputs
from runstone.core.records import RunInfo, StartedBy
from runstone.core.settings import Level, OnError, Settings, read_settings, resolve_run
from runstone.engine import executors
from runstone.engine.capture import Recording
from runstone.engine.control import Control
from runstone.engine.driver import Driver, Task
from runstone.engine.failures import clean
from runstone.engine.record_folder import FolderRecorder
from runstone.engine.record_memory import MemoryRecorder
from runstone.errors import InputError, SettingError
from runstone.folder import clock, identity, inputs, pulse, writer
from runstone.version import VERSION

if TYPE_CHECKING:
    from runstone.pipeline import Pipeline

LEASE_SECONDS = 30.0


class Auto(enum.Enum):
    """The type of AUTO: None as a run folder means that nothing is kept."""

    AUTO = "auto"


AUTO = Auto.AUTO
"""As a run folder: `runs/<pipeline>-<first 8 characters of the run's id>`."""


class Launched:
    """A run that has been recorded as started, to be executed by whichever thread calls `execute`."""

    def __init__(self, driver: Driver, info: RunInfo, show: bool | str | None) -> None:
        self.driver = driver
        self.info = info
        self._show = show

    def execute(self) -> None:
        """Execute to the end. Raises StorageError, Superseded, KeyboardInterrupt; a failed run raises nothing here."""
        recorder = self.driver.recorder
        pulse.join(recorder.heart)
        try:
            if _shown(self._show):
                from runstone.engine.progress import Display

                with Display(self.info, recorder.state, recorder.folder), Recording(recorder, recorder.logs):
                    self.driver.execute()
            else:
                with Recording(recorder, recorder.logs):
                    self.driver.execute()
        finally:
            pulse.leave(recorder.heart)
            recorder.close()


def launch(
    pipeline: Pipeline,
    params: Mapping[str, Any],
    *,
    run_folder: str | os.PathLike[str] | Auto | None,
    show_progress: bool | str | None,
    workspace: str | None,
    settings: Mapping[str, Any],
    trigger: str = "script",
) -> Launched:
    """Check everything, make the folder, record the start. Raises InputError, SettingError, StorageError."""
    if show_progress not in (None, True, False, "headless"):
        raise SettingError(f"show_progress={show_progress!r}: write True, False, 'headless' or leave it out")
    for name in settings:
        if name in pipeline.graph.run_parameters:
            raise InputError(f"parameters are given as a dict: write run({{{name!r}: ...}}), not run({name}=...)")
    own = read_settings(Level.RUN, "this run", settings)
    whole = resolve_run(own, pipeline.settings)
    resolved = pipeline.resolved(own)
    for name, settings_of_block in resolved.items():
        executors.check(pipeline.blocks[name], settings_of_block)
    values = check_inputs(pipeline.graph, params)
    check_shapes(pipeline.graph, values)
    task = Task(
        graph=pipeline.graph,
        blocks=pipeline.blocks,
        settings=resolved,
        run_settings=whole,
        stop_on_failure=whole.on_error is not OnError.CONTINUE,
        params=values,
    )
    run_id = new_id()
    described, blocks = pipeline.described
    infos, large = inputs.describe(values, params) if run_folder is not None else ({}, {})
    info = RunInfo(
        format=FORMAT,
        id=run_id,
        workspace=_workspace(workspace),
        trigger=trigger,
        created_at=clock.now(),
        pipeline=described,
        blocks=blocks,
        params=infos,
        tags=list(whole.tags),
        settings=_plain(whole),
        stop_on_failure=task.stop_on_failure,
        lease_seconds=LEASE_SECONDS,
        started_by=started_by(),
    )
    control = Control()
    if run_folder is None:
        memory = MemoryRecorder(info)
        driver = Driver(task, memory, control)
        driver.values.keep_all()
        memory.start()
        return Launched(driver, info, show_progress)
    folder = _folder(run_folder, pipeline.name, run_id)
    try:
        begun = writer.begin(folder, info, "inline", functools.partial(inputs.save, folder, large) if large else None)
    except FileExistsError:
        raise InputError(
            f"there is a run in {folder} already, or one that was begun and killed at once; "
            "give another run_folder, or none to get a new one each time"
        ) from None
    begun.on_broken = control.break_off
    return Launched(Driver(task, FolderRecorder(begun), control), info, show_progress)


def _folder(given: str | os.PathLike[str] | Auto, pipeline: str, run_id: str) -> str:
    if isinstance(given, Auto):
        return os.path.join(config.runs_root(), f"{pipeline}-{run_id[:8]}")
    path = os.path.abspath(os.fspath(given))
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"run_folder {path} is a file; give a folder, or the name of one to be made")
    return path


def _workspace(name: str | None) -> str:
    if name is None:
        return "default"
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name) or len(name) > 100:
        raise SettingError(f"workspace={name!r}: use letters, digits, - and _, at most 100")
    return name


def _plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON takes them."""
    retries = settings.retries
    return {
        "on_error": None if settings.on_error is None else settings.on_error.value,
        "retries": 0 if retries is None else retries.count,
        "executor": executors.name_of(settings.executor),
        "max_parallel": settings.max_parallel,
    }


def _shown(show: bool | str | None) -> bool:
    if show is not None:
        return show is True
    stream = sys.stderr
    watched = stream is not None and hasattr(stream, "isatty") and stream.isatty()
    if watched or "ipykernel" not in sys.modules:
        return bool(watched)
    from runstone.engine.notebook import shell

    return shell() is not None


def new_id() -> str:
    """A UUID (version 4): its first 8 characters are random and find the run."""
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@functools.cache
def _user() -> str:
    name = os.environ.get("USER") or os.environ.get("USERNAME") or ""
    if not name and hasattr(os, "getuid"):
        try:
            import pwd

            name = pwd.getpwuid(os.getuid()).pw_name
        except (ImportError, KeyError):
            name = str(os.getuid())
    return name


def started_by() -> StartedBy:
    """How this process was started, by whom and where."""
    return StartedBy(
        command=clean(shlex.join(sys.argv)[:2000]),
        user=clean(_user()),
        host=clean(identity.host()),
        cwd=clean(os.getcwd()),
        python=f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        runstone=VERSION,
    )
