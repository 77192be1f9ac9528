"""Terms of a query as SQL, in the words of either store. `r` is a row of `pipeline_run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from runstone.core.query import WORD, Term
from runstone.core.query_fields import CONTAINS, EQUAL, METRIC, PARAM, Moment, Value
from runstone.ledger.port import Params

COUNTS = ("rows_in", "rows_out", "llm_calls", "tokens")
"""The columns that `run_by_counts` has beside the order of all runs."""
LAST = "\U0010ffff"
"""Sorts after every character in both stores."""


class Binder:
    """Gives values to statements under names of their own: `binder(3)` is the `:p0` that stands for it."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = dict(params or {})

    def __call__(self, value: str | int | float | None) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f":{name}"

    def list(self, values: Iterable[str | int | float | None]) -> str:
        """`(:p0, :p1)`"""
        return f"({', '.join(map(self, values))})"


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """What a query says about the time of creation. at_least: that time or later; below: before that time."""

    at_least: str = ""
    below: str = ""


def created_range(terms: Iterable[Term], now: datetime) -> Range:
    """The times of creation that all terms leave."""
    at_least = below = ""
    for term in terms:
        low, high = _bounds(term, now)
        at_least = max(at_least, low)
        below = min(below or high, high or below)
    return Range(at_least=at_least, below=below)


def says_when_created(term: Term) -> bool:
    """Whether a term is a part of the range of times that is gone through."""
    return term.field in ("since", "until", "created") and not term.negated


def condition(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    """A term as a condition that is true or not; unknown only where that counts as not, as of what is not negated."""
    said = _CONDITIONS[term.field](term, dialect, bind, now)
    if term.field in COUNTS and not term.negated:
        # PostgreSQL asks it of the index only if nothing stands around it
        return said
    return f"({said}) IS {'NOT ' if term.negated else ''}TRUE"


def key_list(keys: Iterable[int], dialect: str, bind: Binder) -> str:
    """Keys of runs, any number of them, as something that can stand behind IN."""
    said = bind(msgspec.json.encode(list(keys)).decode())
    if dialect == "sqlite":
        return f"(SELECT value FROM json_each({said}))"
    return f"(SELECT CAST(value AS BIGINT) FROM jsonb_array_elements_text(CAST({said} AS JSONB)))"


def text_list(texts: Iterable[str], dialect: str, bind: Binder) -> str:
    """Texts, any number of them, as something that can stand behind IN."""
    said = bind(msgspec.json.encode(list(texts)).decode())
    if dialect == "sqlite":
        return f"(SELECT value FROM json_each({said}))"
    return f"(SELECT value FROM jsonb_array_elements_text(CAST({said} AS JSONB)))"


def contains(column: str, text: Value, dialect: str, bind: Binder) -> str:
    """Whether a text is found in a column, in upper or lower case as far as ASCII knows them."""
    escaped = str(text)
    for special in ("\\", "%", "_"):
        escaped = escaped.replace(special, f"\\{special}")
    pattern = bind(f"%{escaped}%")
    if dialect == "sqlite":
        return f"{column} LIKE {pattern} ESCAPE '\\'"
    # SQLite knows no other letters, so that both find the same
    return f"{column} COLLATE \"C\" ILIKE {pattern} ESCAPE '\\'"


def prefix(column: str, text: str, bind: Binder) -> str:
    """Whether a column begins like this, in a way that an index answers."""
    return f"{column} >= {bind(text)} AND {column} < {bind(text + LAST)}"


def _bounds(term: Term, now: datetime) -> tuple[str, str]:
    """From which time on, and before which; "" where it sets no bound. Times are those of the ledger."""
    value = term.values[0]
    assert isinstance(value, Moment)
    start, end = _start_and_end(value, now)
    after = end if value.is_day else _next(end)
    operator = {"since": ">=", "until": "<="}.get(term.field, term.operator)
    return {
        EQUAL: (start, end),
        ">=": (start, ""),
        ">": (after, ""),
        "<": ("", start),
        "<=": ("", after),
    }[operator]


def _start_and_end(value: Moment, now: datetime) -> tuple[str, str]:
    if value.ago is None:
        return value.start, value.end
    moment = rfc3339(now - timedelta(seconds=value.ago))
    return moment, moment


def _next(moment: str) -> str:
    """The next time that the ledger can tell from this one."""
    return rfc3339(datetime.fromisoformat(moment) + timedelta(microseconds=1))


def rfc3339(moment: datetime) -> str:
    """As the ledger writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def _time(column: str) -> Callable[[Term, str, Binder, datetime], str]:
    def said(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
        low, high = _bounds(term, now)
        parts = [f"r.{column} >= {bind(low)}"] if low else []
        return " AND ".join(parts + ([f"r.{column} < {bind(high)}"] if high else []))

    return said


def _text(column: str) -> Callable[[Term, str, Binder, datetime], str]:
    def said(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
        if term.operator == CONTAINS:
            return " OR ".join(contains(f"r.{column}", value, dialect, bind) for value in term.values)
        return f"r.{column} IN {bind.list(map(str, term.values))}"

    return said


def _tag(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    if term.operator == CONTAINS:
        alike = " OR ".join(contains("t.tag", value, dialect, bind) for value in term.values)
        return _has_tag(alike)
    return _has_tag(
        f"t.workspace = r.workspace AND t.created_at = r.created_at AND t.tag IN {bind.list(map(str, term.values))}"
    )


def _has_tag(condition: str) -> str:
    # Of EXISTS PostgreSQL would make a table of all tags of all runs first.
    return f"(SELECT 1 FROM tag t WHERE t.run_key = r.run_key AND ({condition}) LIMIT 1) = 1"


def _word(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    return " OR ".join(
        f"{contains('r.pipeline_name', value, dialect, bind)} OR ({prefix('r.run_id', str(value), bind)})"
        f" OR {_has_tag(contains('t.tag', value, dialect, bind))}"
        for value in term.values
    )


def _id(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    return " OR ".join(f"({prefix('r.run_id', str(value), bind)})" for value in term.values)


def _duration(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    value = term.values[0]
    assert isinstance(value, float)
    return f"r.duration_seconds {term.operator} {bind(value)}"


def _count(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    if term.operator == EQUAL:
        return f"r.{term.field} IN {bind.list(_number(value) for value in term.values)}"
    return f"r.{term.field} {term.operator} {bind(_number(term.values[0]))}"


def _number(value: Value) -> int | float:
    assert isinstance(value, int | float)
    return value


def _metric(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    number = _sqlite_number if dialect == "sqlite" else _postgres_number
    return " OR ".join(f"({number('r.metrics', term, value, bind)})" for value in term.values)


def _param(term: Term, dialect: str, bind: Binder, now: datetime) -> str:
    said = _sqlite_param if dialect == "sqlite" else _postgres_param
    return " OR ".join(f"({said(term, value, bind)})" for value in term.values)


def _sqlite_param(term: Term, value: Value, bind: Binder) -> str:
    # names are letters, digits, `_`, `.`, `-` and `/`, so that the quotes hold
    if _is_number(value):
        return _sqlite_number("r.variables", term, value, bind)
    path = bind(f'$."{term.name}"')
    kind, found = f"json_type(r.variables, {path})", f"json_extract(r.variables, {path})"
    if isinstance(value, bool) or value is None:
        return f"{kind} = '{msgspec.json.encode(value).decode()}'"
    if term.operator == CONTAINS:
        whole = f"{kind} = 'text' AND {contains(found, value, 'sqlite', bind)}"
        return f"({whole}) OR ({contains(cut_text(term.name, 'sqlite', bind), value, 'sqlite', bind)})"
    return f"{kind} = 'text' AND {found} = {bind(str(value))}"


def cut_text(param: str, dialect: str, bind: Binder) -> str:
    """The beginning of a parameter that is a text too long for the ledger, which has a preview of it; else NULL."""
    if dialect == "sqlite":
        paths = [f'$."{param}".{key}' for key in ("type", "text")]
        kind, text = (f"json_extract(r.variables, {bind(path)})" for path in paths)
    else:
        name = f"CAST({bind(param)} AS TEXT)"
        kind, text = (f"(r.variables -> {name} ->> '{key}')" for key in ("type", "text"))
    return f"(CASE WHEN {kind} = 'str' THEN {text} END)"


def _sqlite_number(column: str, term: Term, value: Value, bind: Binder) -> str:
    path = bind(f'$."{term.name}"')
    kind, found = f"json_type({column}, {path})", f"json_extract({column}, {path})"
    return f"{kind} IN ('integer', 'real') AND {found} {term.operator} {bind(_number(value))}"


def _postgres_number(column: str, term: Term, value: Value, bind: Binder) -> str:
    found = f"({column} -> CAST({bind(term.name)} AS TEXT))"
    said = bind(msgspec.json.encode(value).decode())
    return f"jsonb_typeof{found} = 'number' AND {found} {term.operator} CAST({said} AS JSONB)"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _postgres_param(term: Term, value: Value, bind: Binder) -> str:
    if _is_number(value):
        return _postgres_number("r.variables", term, value, bind)
    name = f"CAST({bind(term.name)} AS TEXT)"
    found = f"(r.variables -> {name})"
    if term.operator == CONTAINS:
        whole = f"jsonb_typeof{found} = 'string' AND {contains(f'(r.variables ->> {name})', value, 'postgres', bind)}"
        return f"({whole}) OR ({contains(cut_text(term.name, 'postgres', bind), value, 'postgres', bind)})"
    return f"{found} {term.operator} CAST({bind(msgspec.json.encode(value).decode())} AS JSONB)"


_CONDITIONS: dict[str, Callable[[Term, str, Binder, datetime], str]] = {
    "pipeline": _text("pipeline_name"),
    "error": _text("error"),
    "reason": _text("reason"),
    "host": _text("host"),
    "trigger": _text("trigger_kind"),
    "kind": _text("kind"),
    "retry_of": _text("retry_of"),
    "parent": _text("parent_id"),
    "input": _text("input_fingerprint"),
    "tag": _tag,
    "id": _id,
    "duration": _duration,
    "since": _time("created_at"),
    "until": _time("created_at"),
    "created": _time("created_at"),
    "started": _time("started_at"),
    "finished": _time("finished_at"),
    **dict.fromkeys(COUNTS, _count),
    METRIC: _metric,
    PARAM: _param,
    WORD: _word,
}
