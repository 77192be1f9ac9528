"""What users give to `track`, as it can be recorded; what cannot is left out and said once."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from runstone import config
from runstone.core.moves import DONE
from runstone.core.statuses import ALIASES, RunStatus, parse_run_status
from runstone.core.tracked import LARGEST, Metric, Trouble
from runstone.engine import failures
from runstone.engine.track.complaints import once
from runstone.errors import SettingError
from runstone.folder import clock
from runstone.folder.preview import preview, type_name
from runstone.secrets.given import shown as without_secrets
from runstone.secrets.redaction import beginning

TEXT_LIMIT = 500
MESSAGE_LIMIT = 4_000
_TAGS = 50
_PARAMS_LIMIT = 16_000
_METRIC_NAME = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
_known: set[str] = set()


def text(name: str, value: Any, limit: int = TEXT_LIMIT) -> str | None:
    """A text that is not empty; another value as a text, with a warning."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        once(f"type {name}", f"{name}={_shown(value)} is a {type_name(value)}: give a text")
        value = as_text(value)
    return failures.clean(beginning(value, limit))


def workspace(given: Any, tenant_id: Any) -> str | None:
    """The workspace of a run; None, and a warning, if it is none: another one would show the run to others."""
    name = given if given is not None else tenant_id
    if type(name) is str and name in _known:
        return name
    try:
        found = config.workspace(name)
    except SettingError as error:
        once("workspace", f"runs are not tracked: {error}")
        return None
    _known.add(found)
    return found


def number(name: str, value: Any) -> int | None:
    """A count; None, and a warning, for what is none."""
    if type(value) is int:
        found = value
    else:
        try:
            found = _count(value)
        except (TypeError, ValueError, OverflowError):
            once(f"type {name}", f"{name}={_shown(value)} is not recorded: give a whole number, 0 or more")
            return None
    if found > LARGEST:
        once(f"large {name}", f"{name}={_shown(value)} is not recorded: it is too large; the largest is {LARGEST}")
        return None
    if found < 0:
        once(f"range {name}", f"{name}={_shown(value)} is not recorded: give a whole number, 0 or more")
        return None
    return found


def _count(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(value)
        return int(value)
    return operator.index(value)


def metric(name: Any, value: Any) -> tuple[str, Metric] | None:
    """The name of a metric, and its value; None, and a warning, if one of them is none."""
    if not isinstance(name, str) or not name:
        once("metric name", f"metric({_shown(name)}, ...) is not recorded: give its name as a text")
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError(value)
        is_kept = type(value) is int and -LARGEST <= value <= LARGEST
        found: int | float = value if is_kept else float(value)
    except (TypeError, ValueError, OverflowError):
        once(f"metric {name}", f"metric({name!r}, {_shown(value)}) is not recorded: give a number")
        return None
    said = failures.clean(name)[:_METRIC_NAME]
    if isinstance(found, int):
        return said, found
    return said, found if math.isfinite(found) else str(found)


def metrics(value: Any) -> dict[str, Metric]:
    """Several of them."""
    if not value:
        return {}
    if not isinstance(value, Mapping):
        once("type metrics", f"metrics={_shown(value)} is not recorded: give a dict of numbers")
        return {}
    return dict(told for name, one in value.items() if (told := metric(name, one)) is not None)


def tags(value: Any) -> list[str]:
    """Texts, each once."""
    if not value:
        return []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Iterable):
        once("type tags", f"tags={_shown(value)} is not recorded: give a list of texts")
        return []
    found = (text("tags", one) for one in value)
    return list(dict.fromkeys(one for one in found if one))[:_TAGS]


def params(value: Any) -> dict[str, Any]:
    """Small previews of parameters."""
    if not value:
        return {}
    if not isinstance(value, Mapping):
        once("type params", f"params={_shown(value)} is not recorded: give a dict")
        return {}
    try:
        value = without_secrets(value)
    except SettingError as error:
        once("secrets", f"parameters are not recorded: which of them are secrets cannot be read: {error}")
        return {}
    found: dict[str, Any] = {}
    room = _PARAMS_LIMIT
    for name, one in value.items():
        shown = preview(one)
        room -= len(msgspec.json.encode(shown)) + len(str(name))
        if room < 0:
            break
        found[failures.clean(str(name))[:TEXT_LIMIT]] = shown
    return found


def digest(name: str, value: Any) -> str | None:
    """A SHA-256 in hex."""
    if value is None:
        return None
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        once(f"type {name}", f"{name}={_shown(value)} is not recorded: give a SHA-256, 64 hexadecimal digits")
        return None
    return value


def fingerprint(inputs: Any, params: Any) -> str | None:
    """The digest of the inputs of a run; of its parameters where nothing else is said to be its input."""
    if inputs is None and not params:
        return None
    # loaded by those who say what their input is
    from runstone.engine.track import fingerprint

    return fingerprint.of(params if inputs is None else inputs)


def run_id(value: Any, name: str = "run_id") -> str | None:
    """The id of a run; None, and a warning, if it cannot be one. name: of the argument."""
    if isinstance(value, str) and 1 <= len(value) <= 200 and value.isprintable() and value.isascii():
        return value
    what = "the tracked run, or its id as a text" if name == "parent" else "a text of at most 200 letters"
    once(name, f"{name}={_shown(value)} is no id of a run: give {what}")
    return None


def status(value: Any) -> RunStatus | None:
    """A status, or one of its aliases; None, and a warning that has the nearest one, if there is none of that name."""
    if isinstance(value, RunStatus):
        return value
    try:
        return parse_run_status(value)
    except (ValueError, AttributeError, TypeError):
        from difflib import get_close_matches

        said = value.strip().lower() if isinstance(value, str) else ""
        known = [each.value for each in RunStatus]
        close = get_close_matches(said, [*known, *ALIASES], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        once(f"status {said}", f"status={_shown(value)} is no status, and is not recorded; {hint}")
        return None


def moment(name: str, value: Any) -> str | None:
    """A time in RFC 3339 and UTC, of a datetime (without a zone it is in UTC), a text, or seconds since 1970."""
    if value is None:
        return None
    try:
        if isinstance(value, datetime):
            return _utc(value)
        if isinstance(value, str):
            return _utc(datetime.fromisoformat(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return clock.rfc3339(round(value * 1e9))
    except (ValueError, OverflowError, OSError):
        pass
    once(f"time {name}", f"{name}={_shown(value)} is not recorded: give a datetime, or 2026-01-31T12:00:00Z")
    return None


def _utc(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return f"{aware.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def trouble(error: Any) -> Trouble | None:
    """What was raised, or a text about it."""
    if error is None or error == "":
        return None
    if isinstance(error, BaseException):
        found = failures.describe(error)
        return Trouble(type=found.type, message=found.message, traceback=found.traceback)
    return Trouble(type="", message=text("error", error, MESSAGE_LIMIT) or "")


def unknown(call: str, names: Iterable[str]) -> None:
    """Say that there is no such argument."""
    for name in names:
        once(f"argument {name}", f"{call} knows no {name}=; it is not recorded")


def as_text(value: Any) -> str:
    """Whatever it is."""
    try:
        return str(value)
    except Exception:
        return f"<a {type_name(value)} that cannot be shown>"


def is_done(value: RunStatus) -> bool:
    """Whether nothing follows this status."""
    return value in DONE


def _shown(value: Any) -> str:
    try:
        said = repr(value)
    except Exception:
        said = f"a {type(value).__name__}"
    said = " ".join(failures.clean(said).split())
    return said if len(said) <= 60 else f"{said[:57]}..."
