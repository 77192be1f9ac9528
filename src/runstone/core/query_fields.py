"""What a query over runs may ask about: the fields, the operators that fit each, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum

import msgspec

from runstone.core.reasons import Reason
from runstone.core.statuses import parse_run_status

EQUAL, CONTAINS = "=", "~"
ORDER = ("<", "<=", ">", ">=")
PARAM, METRIC = "param", "metric"
NAMED = (PARAM, METRIC)
"""Fields that are many: what is asked about is named behind a point, as in `param.lr`."""
MINIMUM_PREFIX = 4
"""Characters of an id, at least."""

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|min|m|h|d|w)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_INT = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_LITERALS = {"true": True, "false": False, "null": None, "none": None}
_LONGEST_SPAN = 100 * 366 * 86_400


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A moment or a day, as a query names it.

    ago: seconds before the moment at which the query is asked. start, end: RFC 3339 in UTC with microseconds; end is
    the start of the next day for a day, the same as start for a moment.
    """

    ago: float | None = None
    start: str = ""
    end: str = ""

    @property
    def is_day(self) -> bool:
        return self.start != self.end


Value = str | int | float | bool | Moment | None


class Word(msgspec.Struct, frozen=True):
    """One value as it was typed. quoted: it stood in quotes, so it is meant letter by letter."""

    text: str
    quoted: bool = False


class Kind(Enum):
    """What the values of a field are."""

    STATUS = "a status"
    TEXT = "a text"
    PREFIX = "the first characters of an id"
    SECONDS = "a duration"
    MOMENT = "a time"
    FLAG = "true or false"
    PARAM = "a value"
    COUNT = "a number"
    METRIC = "a number of its own"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. example: as somebody would type it. choices: the only values, if there are few."""

    name: str
    kind: Kind
    operators: tuple[str, ...]
    about: str
    example: str
    choices: tuple[str, ...] = ()


_TIMES = (EQUAL, *ORDER)

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field(
            name="status",
            kind=Kind.STATUS,
            operators=(EQUAL,),
            about="the status to act on, or another system's name for it",
            example="status:failed,crashed",
        ),
        Field(
            name="pipeline",
            kind=Kind.TEXT,
            operators=(EQUAL, CONTAINS),
            about="the name of the pipeline",
            example="pipeline:survey",
        ),
        Field(name="tag", kind=Kind.TEXT, operators=(EQUAL, CONTAINS), about="a tag of the run", example="tag:prod"),
        Field(
            name="error",
            kind=Kind.TEXT,
            operators=(CONTAINS,),
            about="what its error says, in upper or lower case",
            example='error~"CUDA out of memory"',
        ),
        Field(
            name="id", kind=Kind.PREFIX, operators=(EQUAL,), about="its id, or how that begins", example="id:5f2c1d9a"
        ),
        Field(
            name="since",
            kind=Kind.MOMENT,
            operators=(EQUAL,),
            about="created at that time or later",
            example="since:7d",
        ),
        Field(
            name="until",
            kind=Kind.MOMENT,
            operators=(EQUAL,),
            about="created at that time or before; a day counts as a whole",
            example="until:2026-01-31",
        ),
        Field(
            name="created",
            kind=Kind.MOMENT,
            operators=_TIMES,
            about="when it was created",
            example="created<2026-01-31",
        ),
        Field(
            name="started",
            kind=Kind.MOMENT,
            operators=_TIMES,
            about="when it started",
            example="started>=2026-01-01T09:30",
        ),
        Field(
            name="finished", kind=Kind.MOMENT, operators=_TIMES, about="when it ended", example="finished:2026-01-01"
        ),
        Field(
            name="duration",
            kind=Kind.SECONDS,
            operators=ORDER,
            about="how long it took, in seconds or with a unit",
            example="duration>10min",
        ),
        *(
            Field(name=name, kind=Kind.COUNT, operators=(EQUAL, *ORDER), about=about, example=example)
            for name, about, example in (
                ("rows_in", "how many rows went in", "rows_in>100"),
                ("rows_out", "how many rows came out", "rows_out:0"),
                ("llm_calls", "how many calls of language models it counted", "llm_calls>0"),
                ("tokens", "how many tokens it counted", "tokens>=1000"),
            )
        ),
        Field(
            name=METRIC,
            kind=Kind.METRIC,
            operators=(EQUAL, *ORDER),
            about="a metric of the run",
            example="metric.loss<0.1",
        ),
        Field(
            name="last_run_failed",
            kind=Kind.FLAG,
            operators=(EQUAL,),
            about="all runs of pipelines whose newest run ended failed, crashed or timed_out",
            example="last_run_failed:true",
        ),
        Field(
            name="reason",
            kind=Kind.TEXT,
            operators=(EQUAL,),
            about="the machine word for why it ended so",
            example="reason:reused",
            choices=tuple(reason.value for reason in Reason),
        ),
        Field(
            name="host", kind=Kind.TEXT, operators=(EQUAL, CONTAINS), about="where it was executed", example="host:gpu7"
        ),
        Field(
            name="trigger",
            kind=Kind.TEXT,
            operators=(EQUAL,),
            about="what created it: script, cli, ...",
            example="trigger:script",
        ),
        Field(
            name="kind",
            kind=Kind.TEXT,
            operators=(EQUAL,),
            about="a run of a pipeline, or a stage that was tracked",
            example="kind:stage",
            choices=("pipeline", "stage"),
        ),
        Field(
            name="retry_of", kind=Kind.TEXT, operators=(EQUAL,), about="the run it tries again", example="retry_of:ID"
        ),
        Field(name="parent", kind=Kind.TEXT, operators=(EQUAL,), about="the run that started it", example="parent:ID"),
        Field(
            name="input",
            kind=Kind.TEXT,
            operators=(EQUAL,),
            about="the fingerprint of its parameters",
            example="input:FINGERPRINT",
        ),
        Field(
            name=PARAM,
            kind=Kind.PARAM,
            operators=(EQUAL, CONTAINS, *ORDER),
            about="a parameter of the run",
            example="param.lr>0.1",
        ),
    )
}


def read_values(field: Field, operator: str, word: Word, zone: tzinfo) -> list[Value]:
    """What a typed value stands for; more than one if it may be meant in several ways.

    zone: of times without one. Raises ValueError with a sentence for a value that does not fit.
    """
    if field.kind is Kind.PARAM:
        return _param(operator, word)
    return [_READERS[field.kind](field, word.text, zone)]


def _status(_: Field, text: str, __: tzinfo) -> Value:
    if text.strip().lower() == Reason.REUSED:
        # lists show it so
        raise ValueError("a run whose results were all taken from the cache has completed: reason:reused finds those")
    return parse_run_status(text).value


def _text(field: Field, text: str, _: tzinfo) -> Value:
    if not text:
        raise ValueError(f"{field.name} needs {field.kind.value}, for example {field.example}")
    if field.choices and text not in field.choices:
        raise ValueError(f"{field.name} is one of {', '.join(field.choices)}, not {text!r}")
    return text


def _prefix(field: Field, text: str, zone: tzinfo) -> Value:
    if len(text) < MINIMUM_PREFIX:
        raise ValueError(f"of an id give at least {MINIMUM_PREFIX} characters, not {text!r}")
    return text


def _flag(field: Field, text: str, _: tzinfo) -> Value:
    known = {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
    if known is None:
        raise ValueError(f"{field.name} is true or false, not {text!r}")
    return known


def _seconds(field: Field, text: str, _: tzinfo) -> Value:
    span = _span(text)
    if span is None and text[:1].isdigit() and _FLOAT.fullmatch(text):
        span = float(text)
    if span is None:
        raise ValueError(f"{text!r} is no duration: write seconds, or 90s, 5min, 2h, 3d, 1w")
    return span


def _moment(field: Field, text: str, zone: tzinfo) -> Value:
    span = _span(text)
    if span is None:
        return _absolute(text, zone)
    if span > _LONGEST_SPAN:
        raise ValueError(f"{text!r} is longer ago than anything that was recorded")
    return Moment(ago=span)


def _absolute(text: str, zone: tzinfo) -> Moment:
    try:
        moment = datetime.fromisoformat(text)
        day = _DAY.fullmatch(text) is not None
        start = _utc(moment, zone)
        return Moment(start=start, end=_utc(moment + timedelta(days=1), zone) if day else start)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: write how long ago (30min, 7d), a day (2026-01-31) or a moment (2026-01-31T09:30)"
        ) from None


def _utc(moment: datetime, zone: tzinfo) -> str:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _span(text: str) -> float | None:
    match = _SPAN.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS[match[2]]


def _param(operator: str, word: Word) -> list[Value]:
    number = None if word.quoted else _number(word.text)
    if operator == CONTAINS:
        return [word.text]
    if operator != EQUAL:
        if number is None:
            raise ValueError(f"a parameter is compared with a number, not with {word.text!r}")
        return [number]
    if number is not None:
        return [number, word.text]
    if not word.quoted and word.text.lower() in _LITERALS:
        return [_LITERALS[word.text.lower()], word.text]
    return [word.text]


def _count(field: Field, text: str, _: tzinfo) -> Value:
    plain = text.replace("_", "")
    if not _INT.fullmatch(plain):
        raise ValueError(f"{text!r} is no whole number: write it like this: {field.example}")
    return int(plain)


def _metric(field: Field, text: str, _: tzinfo) -> Value:
    number = _number(text)
    if number is None:
        raise ValueError(f"a metric is compared with a number, not with {text!r}")
    return number


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text):
        return int(text)
    if not _FLOAT.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) != float("inf") else None


_READERS: dict[Kind, Callable[[Field, str, tzinfo], Value]] = {
    Kind.STATUS: _status,
    Kind.TEXT: _text,
    Kind.PREFIX: _prefix,
    Kind.FLAG: _flag,
    Kind.SECONDS: _seconds,
    Kind.MOMENT: _moment,
    Kind.COUNT: _count,
    Kind.METRIC: _metric,
}
