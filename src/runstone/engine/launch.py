"""From a pipeline and parameters to a run in progress: everything is checked first, then the folder is made."""

from __future__ import annotations

import contextlib
import enum
import functools
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from runstone import config
from runstone.core import events as ev
from runstone.core.calls import check_shapes
from runstone.core.events import FORMAT
from runstone.core.inputs import check_inputs
from runstone.core.records import RunInfo, StartedBy
from runstone.core.settings import Level, OnError, Settings, read_settings, resolve_run
from runstone.core.status import progress_fraction
from runstone.engine import context, end_lines, executors, surroundings
from runstone.engine.capture import Recording
from runstone.engine.control import Control
from runstone.engine.driver import Driver, Task
from runstone.engine.failures import clean
from runstone.engine.ledgered import Ledgered
from runstone.engine.record_folder import FolderRecorder
from runstone.engine.record_memory import MemoryRecorder
from runstone.engine.stored_secrets import in_parameters
from runstone.errors import InputError, SettingError
from runstone.folder import clock, identity, inputs, pulse, writer
from runstone.secrets.given import take_out
from runstone.secrets.redaction import beginning, redact
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
    """A run that has been recorded as started, to be executed by whichever thread calls `execute`.

    ledgered: entered while it is executed.
    """

    def __init__(
        self, driver: Driver, info: RunInfo, show: bool | str | None, ledgered: AbstractContextManager[None]
    ) -> None:
        self.driver = driver
        self.info = info
        self._ledgered = ledgered
        self._show = show

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.info.id

    @property
    def folder(self) -> str | None:
        """Where it is recorded, None if it is not kept."""
        return self.driver.recorder.folder

    @property
    def status(self) -> str:
        """How it stands."""
        return self.driver.recorder.state.status.value

    @property
    def progress(self) -> float | None:
        """How much is done, from 0 to 1; None as long as nothing can be said."""
        return progress_fraction(self.info, self.driver.recorder.state)

    def cancel(self, by: str, message: str) -> None:
        """Ask the run to stop."""
        self.driver.control.cancel(by=by, message=message)

    def execute(self) -> None:
        """Execute to the end. Raises StorageError, Superseded, KeyboardInterrupt; a failed run raises nothing here."""
        recorder = self.driver.recorder
        pulse.join(recorder.heart)
        try:
            with self._ledgered:
                self._execute()
        finally:
            pulse.leave(recorder.heart)
            recorder.close()
            if self.driver.cache is not None:
                self.driver.cache.close()
        self._tell()

    def _tell(self) -> None:
        """Tell at the end what would be found too late otherwise: a command always does, bars or none."""
        lines: list[str] = []
        if self._show in (None, True) or self.info.trigger == "command":
            lines += end_lines.warnings(self.driver.recorder.state)
        gains = self.driver.gains() if self._show in (None, True) else None
        if gains is not None:
            lines.append(gains)
        end_lines.tell(lines)

    def _execute(self) -> None:
        recorder = self.driver.recorder
        if _shown(self._show):
            from runstone.engine.progress import Display

            with Display(self.info, recorder.state, recorder.folder), Recording(recorder, recorder.logs):
                self.driver.execute()
        else:
            with Recording(recorder, recorder.logs):
                self.driver.execute()


class Known:
    """A run that has ended already, and is what was asked for."""

    progress = 1.0

    def __init__(self, folder: str) -> None:
        self.folder = folder
        from runstone.folder.read import read_run

        found = read_run(folder)
        self.info = found.info
        self.run_id = found.info.id
        self.status = found.state.status.value

    def cancel(self, by: str, message: str) -> None:
        """It has ended."""


def launch(
    pipeline: Pipeline,
    params: Mapping[str, Any],
    *,
    run_folder: str | os.PathLike[str] | Auto | None,
    show_progress: bool | str | None,
    workspace: str | None,
    settings: Mapping[str, Any],
    resume: bool = False,
    overwrite: bool = False,
    take_over: bool = False,
    trigger: str = "script",
    job_id: str | None = None,
    replay_of: str | None = None,
) -> Launched | Known:
    """Check everything, make the folder, record the start; or find that there is nothing to be done.

    resume, overwrite: what to do about a run that is in the folder already; take_over: a person's word that its driver
    is dead. replay_of: the run whose parameters these are. Raises InputError, SettingError (WorkspaceNotFound too),
    FolderError, StorageError.
    """
    if (resume or overwrite) and not isinstance(run_folder, (str, os.PathLike)):
        raise SettingError("resume=True and overwrite=True are about a folder that is there: give run_folder=...")
    if show_progress not in (None, True, False, "headless"):
        raise SettingError(f"show_progress={show_progress!r}: write True, False, 'headless' or leave it out")
    for name in settings:
        if name in pipeline.graph.run_parameters:
            raise InputError(f"parameters are given as a dict: write run({{{name!r}: ...}}), not run({name}=...)")
        if name in ("params", "parameters", "inputs"):
            raise InputError(f"parameters are the first argument: write run({{...}}), not run({name}=...)")
    meant = config.workspace(workspace)
    if meant != config.DEFAULT_WORKSPACE and not resume:
        from runstone.ledger.workspaces import require

        require(meant)
    # git answers while everything is checked
    repository = None if run_folder is None else surroundings.ask()
    own = read_settings(Level.RUN, "this run", settings)
    whole = resolve_run(own, pipeline.settings)
    resolved = pipeline.resolved(own)
    for name, settings_of_block in resolved.items():
        executors.check(pipeline.blocks[name], settings_of_block)
    values = check_inputs(pipeline.graph, params)
    configured = config.text()
    secrets = take_out(pipeline.graph, values, configured)
    check_shapes(pipeline.graph, values)
    cached = _cached(resolved, own, run_folder)
    described, blocks = pipeline.described
    task = Task(
        graph=pipeline.graph,
        blocks=pipeline.blocks,
        settings=resolved,
        run_settings=whole,
        codes={block.name: block.code for block in blocks},
        stop_on_failure=whole.on_error is not OnError.CONTINUE,
        params=values,
    )
    run_id = new_id()
    infos, large = inputs.describe(values, params, secrets.infos) if run_folder is not None else ({}, {})
    info = RunInfo(
        format=FORMAT,
        id=run_id,
        workspace=meant,
        job_id=job_id,
        replay_of=replay_of,
        parent_id=_run_around(),
        trigger=trigger,
        created_at=clock.now(),
        pipeline=described,
        blocks=blocks,
        params=infos,
        tags=list(whole.tags),
        settings=_plain(whole),
        config_hash=surroundings.config_hash(whole, resolved, configured),
        stop_on_failure=task.stop_on_failure,
        lease_seconds=LEASE_SECONDS,
        started_by=started_by(surroundings.commit(repository)),
    )
    control = Control()
    if run_folder is None:
        memory = MemoryRecorder(info)
        driver = Driver(task, memory, control)
        driver.values.keep_all()
        memory.start()
        return Launched(driver, info, show_progress, contextlib.nullcontext())
    folder = _folder(run_folder, pipeline.name, run_id, info.workspace)
    begun = _begin(folder, info, large, resume=resume, overwrite=overwrite, take_over=take_over)
    if isinstance(begun, str):
        return Known(begun)
    begun.on_broken = control.break_off
    if begun.epoch == 1:
        for code, message in (*secrets.warnings, *in_parameters(infos, large)):
            begun.event(ev.Warned, code=code, message=message)
    recorder = FolderRecorder(begun)
    cache = None
    if cached:
        from runstone.engine.caching.run_cache import of_run

        cache = of_run(recorder)
    driver = Driver(task, recorder, control, cache)
    driver.offer_what_is_made()
    return Launched(driver, begun.info, show_progress, Ledgered(begun))


def _begin(
    folder: str, info: RunInfo, large: inputs.Large, *, resume: bool, overwrite: bool, take_over: bool
) -> writer.RunWriter | str:
    """The writer of the run to execute; or the folder of one that is what was asked for."""
    if not resume and not os.path.lexists(folder):
        with contextlib.suppress(FileExistsError):
            return writer.begin(folder, info, "inline", inputs.saver(folder, large))
    # loaded by those who go on with something: a new run has no need of it
    from runstone.engine import resuming

    return resuming.begin(folder, info, large, resume=resume, overwrite=overwrite, unproven=take_over)


def _cached(resolved: Mapping[str, Settings], own: Settings, run_folder: object) -> bool:
    """Whether results of any block are to be looked for in the cache. Raises SettingError if they cannot be."""
    if not any(settings.cache for settings in resolved.values()):
        return False
    if run_folder is None:
        if own.cache:
            raise SettingError(
                "cache=True with run_folder=None: a run that is not kept neither takes results from the cache nor puts "
                "any there; leave one of them out"
            )
        return False
    from runstone.cache import limits

    limits.configured()
    return True


def _folder(given: str | os.PathLike[str] | Auto, pipeline: str, run_id: str, workspace: str) -> str:
    if isinstance(given, Auto):
        return os.path.join(config.runs_root(workspace), f"{pipeline}-{run_id[:8]}")
    path = os.path.abspath(os.fspath(given))
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"run_folder {path} is a file; give a folder, or the name of one to be made")
    return path


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


def _run_around() -> str | None:
    """The run that this one begins inside of: a tracked one, or that of the block which starts it."""
    tracked = sys.modules.get("runstone.engine.track.tracked")
    around = None if tracked is None else tracked.innermost()
    if around is not None:
        return str(around.run_id)
    place = context.current()
    return None if place is None else place.recorder.run_id


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


def _current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        # deleted, which is no reason not to run
        return ""


def started_by(commit: str) -> StartedBy:
    """How this process was started, by whom and where. commit: of the repository it was started in."""
    return StartedBy(
        command=clean(beginning(shlex.join(map(redact, sys.argv)), 2000)),
        user=clean(_user()),
        host=clean(identity.host()),
        cwd=clean(_current_folder()),
        python=f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        runstone=VERSION,
        commit=commit,
    )
