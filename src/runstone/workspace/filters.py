"""Which runs are meant: filters of a call, as a query."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import TypedDict

import msgspec

from runstone.core.query import Query, Term, parse
from runstone.core.query_fields import EQUAL, FIELDS, Field, Moment, Value, Word, read_values
from runstone.errors import SettingError

When = datetime | date | str
"""A moment. A text is written as in queries: `7d`, `2026-01-31`, `2026-01-31T09:30`. Without a zone it is in UTC."""


class Filters(TypedDict, total=False):
    """All that are given must hold.

    status: a status or another system's name for it, or several, of which one must fit. graph_name, pipeline: the name
    of the pipeline, or of the stage that was tracked. created_after: then or later; created_before: earlier. tags: all
    of them. query: in the language of `runstone runs list`.
    """

    status: str | Iterable[str] | None
    graph_name: str | None
    pipeline: str | None
    created_after: When | None
    created_before: When | None
    tags: str | Iterable[str] | None
    query: str | None


def query_of(filters: Filters) -> Query:
    """What the filters of a call ask for. Raises SettingError (QueryError for the query in it)."""
    unknown = [name for name in filters if name not in Filters.__annotations__]
    if unknown:
        raise SettingError(f"there is no filter {unknown[0]!r}; there are {', '.join(Filters.__annotations__)}")
    terms = list(parse(filters.get("query") or "").terms)
    statuses = filters.get("status")
    if statuses is not None:
        values = [value for said in _several(statuses) for value in _read("status", said)]
        if not values:
            raise SettingError("status=[]: name a status at least, or leave it out")
        terms.append(Term(field="status", operator=EQUAL, values=tuple(dict.fromkeys(values))))
    for name in dict.fromkeys(
        name for name in (filters.get("graph_name"), filters.get("pipeline")) if name is not None
    ):
        terms.append(Term(field="pipeline", operator=EQUAL, values=tuple(_read("pipeline", name))))
    tags = filters.get("tags")
    for tag in () if tags is None else _several(tags):
        terms.append(Term(field="tag", operator=EQUAL, values=tuple(_read("tag", tag))))
    after, before = filters.get("created_after"), filters.get("created_before")
    if after is not None:
        terms.append(Term(field="created", operator=">=", values=(_moment("created_after", after),)))
    if before is not None:
        terms.append(Term(field="created", operator="<", values=(_moment("created_before", before),)))
    return Query(terms=tuple(terms))


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; without a zone it is that already."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _several(said: str | Iterable[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def _read(name: str, said: str) -> list[Value]:
    field: Field = FIELDS[name]
    if not isinstance(said, str):
        raise SettingError(f"{name}={said!r}: write a text")
    try:
        return read_values(field, EQUAL, Word(said, quoted=True), UTC)
    except ValueError as error:
        raise SettingError(str(error)) from None


def _moment(name: str, said: When) -> Moment:
    if isinstance(said, str):
        found = _read("created", said)[0]
        assert isinstance(found, Moment)
        # a day begins with its first moment, whichever side of it is meant
        return msgspec.structs.replace(found, end=found.start)
    if not isinstance(said, date):
        raise SettingError(f"{name}={said!r}: write a datetime, a date, or a text such as '7d' or '2026-01-31'")
    moment = said if isinstance(said, datetime) else datetime.combine(said, time())
    text = as_utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    return Moment(start=text, end=text)
