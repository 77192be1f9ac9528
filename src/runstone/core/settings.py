"""What a user can set for a block, a pipeline or a run, and which of them wins."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from runstone.errors import SettingError

if TYPE_CHECKING:
    import concurrent.futures


class OnError(enum.StrEnum):
    """What a failure does.

    Of a block: FAIL makes the run fail, CONTINUE means that the failure is tolerated.
    Of a pipeline or a run: after FAIL nothing new starts, with CONTINUE independent branches finish.
    """

    FAIL = "fail"
    CONTINUE = "continue"


class Missing(enum.StrEnum):
    """What a block that takes a whole array gets for elements that failed: nothing, or a `Failed` in their place."""

    DROP = "drop"
    KEEP = "keep"


class OnTimeout(enum.StrEnum):
    """How a block, or a run, ends that took longer than it may; after WARNING it goes on."""

    TIMED_OUT = "timed_out"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WARNING = "warning"


class Level(enum.Enum):
    """Where a setting was written. The nearest to the block wins."""

    BLOCK = "block"
    RUN = "run"
    PIPELINE = "pipeline"


class Retries(msgspec.Struct, frozen=True):
    """How often a block, or an element of a mapped block, is tried again after a failure, and when.

    count: tries after the first; 2 means at most 3 attempts.
    delay: seconds before the second attempt; each later one waits `backoff` times as long, at most `max_delay`.
    jitter: wait a random part of that time (0 to all of it), so that many elements do not come back at once.
    on: only these exceptions are tried again.

    Raises SettingError for values that make no sense.
    """

    count: int
    delay: float = 0.0
    max_delay: float = 60.0
    backoff: float = 2.0
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        if not _is_int(self.count) or self.count < 0:
            raise SettingError(f"Retries(count={self.count!r}): the count is a whole number, 0 or more")
        for field in ("delay", "max_delay"):
            if not _is_finite(value := getattr(self, field)) or value < 0:
                raise SettingError(f"Retries({field}={value!r}): seconds are a number, 0 or more")
        if not _is_finite(self.backoff) or self.backoff < 1:
            raise SettingError(f"Retries(backoff={self.backoff!r}): the factor is a number, 1 or more")
        if not isinstance(self.jitter, bool):
            raise SettingError(f"Retries(jitter={self.jitter!r}): write True or False")
        given: object = self.on
        on = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if not on or not all(map(_is_exception, on)):
            raise SettingError(f"Retries(on={given!r}): give an exception class or a tuple of them")
        msgspec.structs.force_setattr(self, "on", on)

    def wait_before(self, attempt: int, random: float) -> float:
        """Seconds to wait before an attempt.

        attempt: counted from 1; the first waits 0.
        random: from [0, 1), the part of the time that jitter leaves; not used without jitter.
        Source: "full jitter" of the AWS Architecture Blog, Exponential Backoff And Jitter.
        """
        if attempt <= 1 or not self.delay:
            return 0.0
        try:
            wait = min(self.delay * self.backoff ** (attempt - 2), self.max_delay)
        except OverflowError:
            wait = self.max_delay
        return wait * random if self.jitter else wait

    def allows(self, error: BaseException) -> bool:
        """Whether this error is one of those that are tried again."""
        return isinstance(error, self.on)


class BlockSettings(TypedDict, total=False):
    """The settings of a block, as keyword arguments. None, or left out, inherits."""

    retries: int | Retries | None
    timeout: float | None
    on_timeout: Literal["timed_out", "failed", "cancelled", "warning"] | None
    grace: float | None
    when: Callable[..., Any] | None
    on_error: Literal["fail", "continue"] | None
    missing: Literal["drop", "keep"] | None
    executor: str | concurrent.futures.Executor | None
    max_parallel: int | None
    cache: bool | None
    version: str | None
    tags: Iterable[str] | None


class RunSettings(TypedDict, total=False):
    """The settings of one run, as keyword arguments."""

    retries: int | Retries | None
    timeout: float | None
    on_timeout: Literal["timed_out", "failed", "cancelled", "warning"] | None
    run_timeout: float | None
    grace: float | None
    on_error: Literal["fail", "continue"] | None
    executor: str | concurrent.futures.Executor | None
    max_parallel: int | None
    cache: bool | None
    tags: Iterable[str] | None


class PipelineSettings(RunSettings, total=False):
    """The settings of a pipeline, as keyword arguments: those of a run, and the version of the pipeline."""

    version: str | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One level's settings, checked; or, from `resolve`, all that holds for a block. None is "not said here"."""

    retries: Retries | None = None
    timeout: float | None = None
    on_timeout: OnTimeout | None = None
    run_timeout: float | None = None
    grace: float | None = None
    when: Callable[..., Any] | None = None
    on_error: OnError | None = None
    missing: Missing | None = None
    executor: Any = None
    max_parallel: int | None = None
    cache: bool | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()


INLINE = "inline"
EXECUTORS = (INLINE, "threads", "processes", "auto")

_LEVEL_NAMES: dict[Level, frozenset[str]] = {
    Level.BLOCK: frozenset(BlockSettings.__annotations__),
    Level.RUN: frozenset(RunSettings.__annotations__),
    Level.PIPELINE: frozenset(PipelineSettings.__annotations__),
}

ARGUMENTS: dict[Level, frozenset[str]] = {
    Level.BLOCK: frozenset({"name", "output", "mapspec", "renames"}),
    Level.RUN: frozenset({"run_folder", "show_progress", "raise_on_error", "workspace", "resume", "overwrite"}),
    Level.PIPELINE: frozenset({"description"}),
}
"""What is written at a level beside its settings, and so may be meant by a name that does not exist there."""


def read_settings(level: Level, owner: str, given: Mapping[str, object]) -> Settings:
    """Check what was written at one level and bring it into its final form.

    owner: what to call the place in messages, such as "block 'parse'".
    Raises SettingError for names that do not exist here, values that make no sense, and settings without effect.
    """
    allowed = _LEVEL_NAMES[level]
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in allowed:
            raise SettingError(_unknown_setting(level, owner, name))
        if value is None:
            continue
        try:
            checked[name] = _READERS[name](value)
        except SettingError as error:
            raise SettingError(f"{owner}: {error}") from None
    return Settings(**checked)


def resolve(block: Settings, run: Settings, pipeline: Settings) -> Settings:
    """All that holds for one block: the nearest wins, then what is built in.

    `on_error`, `missing`, `when`, `version` and `tags` are never inherited: on a pipeline or a run they speak of the
    whole run (see `resolve_run`).
    """
    timeout = _nearest("timeout", block, run, pipeline)
    executor = _said("executor", block, run, pipeline)
    if executor is None:
        executor = "processes" if timeout else BUILT_IN.executor
    return Settings(
        retries=_nearest("retries", block, run, pipeline),
        timeout=timeout,
        on_timeout=_nearest("on_timeout", block, run, pipeline),
        grace=_nearest("grace", block, run, pipeline),
        when=block.when,
        on_error=_nearest("on_error", block),
        missing=block.missing,
        executor=executor,
        max_parallel=_nearest("max_parallel", block, run, pipeline),
        cache=_nearest("cache", block, run, pipeline),
        version=block.version,
        tags=block.tags,
    )


def resolve_run(run: Settings, pipeline: Settings) -> Settings:
    """All that holds for a run as a whole. The tags of the pipeline and of the run are joined."""
    return Settings(
        retries=_nearest("retries", run, pipeline),
        timeout=_nearest("timeout", run, pipeline),
        on_timeout=_nearest("on_timeout", run, pipeline),
        run_timeout=_nearest("run_timeout", run, pipeline),
        grace=_nearest("grace", run, pipeline),
        on_error=_nearest("on_error", run, pipeline),
        executor=_nearest("executor", run, pipeline),
        max_parallel=_nearest("max_parallel", run, pipeline),
        cache=_nearest("cache", run, pipeline),
        version=pipeline.version,
        tags=tuple(dict.fromkeys((*pipeline.tags, *run.tags))),
    )


def _nearest(name: str, *levels: Settings) -> Any:
    value = _said(name, *levels)
    return getattr(BUILT_IN, name) if value is None else value


def _said(name: str, *levels: Settings) -> Any:
    for level in levels:
        if (value := getattr(level, name)) is not None:
            return value
    return None


def _unknown_setting(level: Level, owner: str, name: str) -> str:
    if name in _LEVEL_NAMES[Level.BLOCK] | ARGUMENTS[Level.BLOCK]:
        return f"{owner}: {name!r} is a setting of a block, not of a {level.value}; write it at @block({name}=...)"
    from difflib import get_close_matches

    known = sorted(_LEVEL_NAMES[level] | ARGUMENTS[level])
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"{owner}: there is no setting {name!r}; {hint}"


def _is_text(value: str) -> bool:
    """Whether it can be written at all: lone surrogates cannot."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _read_retries(value: object) -> Retries:
    if isinstance(value, Retries):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Retries(value)
    raise SettingError(f"retries={value!r}: give a whole number, 0 or more, or Retries(...)")


def _read_timeout(value: object) -> float:
    return _read_seconds("timeout", value, "0 means none")


def _read_run_timeout(value: object) -> float:
    return _read_seconds("run_timeout", value, "0 means none")


def _read_grace(value: object) -> float:
    return _read_seconds("grace", value, "0 ends what runs at once")


def _read_seconds(name: str, value: object, zero: str) -> float:
    if not isinstance(value, (int, float)) or not _is_finite(value) or value < 0:
        raise SettingError(f"{name}={value!r}: give seconds as a number; {zero}")
    return float(value)


def _read_on_timeout(value: object) -> OnTimeout:
    for choice in OnTimeout:
        if choice == value:
            return choice
    raise SettingError(f"on_timeout={value!r}: write {', '.join(repr(choice.value) for choice in OnTimeout)}")


def _read_when(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise SettingError(f"when={value!r}: give a function; its parameters are named like those of a block")
    return value


def _read_on_error(value: object) -> OnError:
    for choice in OnError:
        if choice == value:
            return choice
    raise SettingError(f"on_error={value!r}: write 'fail' or 'continue'")


def _read_missing(value: object) -> Missing:
    for choice in Missing:
        if choice == value:
            return choice
    raise SettingError(f"missing={value!r}: write 'drop' or 'keep'")


def _read_executor(value: object) -> object:
    if value in EXECUTORS:
        return value
    if not isinstance(value, (str, type)) and callable(getattr(value, "submit", None)):
        return value
    raise SettingError(
        f"executor={value!r}: write {', '.join(map(repr, EXECUTORS))}, or give an Executor of concurrent.futures"
    )


def _read_max_parallel(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SettingError(f"max_parallel={value!r}: give a whole number; 0 means no limit")
    return value


def _read_cache(value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingError(f"cache={value!r}: write True or False")
    return value


def _read_version(value: object) -> str:
    if not isinstance(value, str) or not value or not _is_text(value):
        raise SettingError(f"version={value!r}: give some text, such as '2'")
    return value


def _read_tags(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        raise SettingError(f"tags={value!r}: give a list of texts, such as [{value!r}]")
    tags = tuple(value) if isinstance(value, Iterable) else ()
    if not isinstance(value, Iterable) or not all(isinstance(tag, str) and tag and _is_text(tag) for tag in tags):
        raise SettingError(f"tags={value!r}: give a list of texts")
    return tuple(dict.fromkeys(tags))


_READERS: dict[str, Callable[[object], object]] = {
    "retries": _read_retries,
    "timeout": _read_timeout,
    "on_timeout": _read_on_timeout,
    "run_timeout": _read_run_timeout,
    "grace": _read_grace,
    "when": _read_when,
    "on_error": _read_on_error,
    "missing": _read_missing,
    "executor": _read_executor,
    "max_parallel": _read_max_parallel,
    "cache": _read_cache,
    "version": _read_version,
    "tags": _read_tags,
}

BUILT_IN = Settings(
    retries=Retries(0),
    timeout=0.0,
    on_timeout=OnTimeout.TIMED_OUT,
    run_timeout=0.0,
    grace=5.0,
    on_error=OnError.FAIL,
    executor="inline",
    max_parallel=0,
    cache=False,
)
"""What holds where nothing is said."""
