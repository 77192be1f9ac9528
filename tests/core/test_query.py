"""The language in which runs are asked for: what it reads, and what it says to what it cannot read."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.query import LONGEST, WORD, Query, Term, parse
from runstone.core.query_fields import FIELDS, Moment
from runstone.core.statuses import ALIASES
from runstone.errors import QueryError, RunstoneError, SettingError


def term(text: str) -> Term:
    (found,) = parse(text).terms
    return found


def test_nothing_asks_for_everything() -> None:
    assert parse("") == parse(" \n\t ") == Query()


def test_the_example_of_the_readme_is_read() -> None:
    found = parse('status:failed pipeline:survey param.lr>0.1 tag:prod error~"CUDA" since:7d last_run_failed:true')
    assert [(term.field, term.name, term.operator, term.values) for term in found.terms] == [
        ("status", "", "=", ("failed",)),
        ("pipeline", "", "=", ("survey",)),
        ("param", "lr", ">", (0.1,)),
        ("tag", "", "=", ("prod",)),
        ("error", "", "~", ("CUDA",)),
        ("since", "", "=", (Moment(ago=7 * 86_400.0),)),
        ("last_run_failed", "", "=", (True,)),
    ]


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_the_example_of_every_field_is_read(field: Any) -> None:
    assert term(field.example).field == field.name


@pytest.mark.parametrize(("alias", "status"), ALIASES.items())
def test_other_systems_words_for_statuses_are_known_in_any_case(alias: str, status: str) -> None:
    assert term(f"status:{alias.upper()}").values == (status,)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("status:failed,crashed", ("failed", "crashed")),
        ("status:failed,error", ("failed",)),
        ('pipeline:"a, b",c', ("a, b", "c")),
        (r'pipeline:"say \"so\" \\ twice"', ('say "so" \\ twice',)),
        ("pipeline=a:b=c", ("a:b=c",)),
        ("param.x:5", (5, "5")),
        ("param.x:-1.5e3", (-1500.0, "-1.5e3")),
        ('param.x:"5"', ("5",)),
        ("param.x:true,no", (True, "true", "no")),
        ("param.x:null", (None, "null")),
        ("param.x:1e999", ("1e999",)),
        ("param.x:nan", ("nan",)),
        ("param.x:99999999999999999999", (1e20, "99999999999999999999")),
        ("param.x~5", ("5",)),
        ('param.x:""', ("",)),
        ("duration>90", (90.0,)),
        ("duration<=1.5h", (5400.0,)),
        ("since:2w", (Moment(ago=14 * 86_400.0),)),
        ("last_run_failed:No", (False,)),
        ("rows_out:0,1", (0, 1)),
        ("tokens>=1_000", (1000,)),
        ("metric.val/f-1>.5", (0.5,)),
        ("metric.loss:1", (1,)),
        ("survey", ("survey",)),
        ('"status:failed"', ("status:failed",)),
    ],
)
def test_values_are_what_was_meant(text: str, values: tuple[Any, ...]) -> None:
    found = term(text).values
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "operator", "negated"),
    [
        ("tag:x", "=", False),
        ("tag=x", "=", False),
        ("-tag:x", "=", True),
        ("NOT tag:x", "=", True),
        ("NOT -tag:x", "=", False),
        ("tag!=x", "=", True),
        ("-tag!=x", "=", False),
        ("tag~x", "~", False),
        ("tag!~x", "~", True),
        ("param.x>=1", ">=", False),
        ("-word", "~", True),
        ("not", "~", False),
        ("-", "~", False),
    ],
)
def test_operators_and_what_turns_them_around(text: str, operator: str, negated: bool) -> None:
    found = term(text)
    assert (found.operator, found.negated) == (operator, negated)


@pytest.mark.parametrize(
    "text", ['"rows_in"', '"metric.loss"', '"(x)"', '">"', "metrics", "parametric.x", "x(y)", "Rows_In"]
)
def test_what_is_in_quotes_or_no_field_is_a_word(text: str) -> None:
    assert term(text).field == WORD


def test_times_without_a_zone_are_those_of_the_zone_that_is_given() -> None:
    east = timezone(timedelta(hours=2))
    day = Moment(start="2025-12-31T22:00:00.000000Z", end="2026-01-01T22:00:00.000000Z")
    assert parse("since:2026-01-01", east).terms[0].values == (day,)
    moment = Moment(start="2026-01-01T07:30:00.000000Z", end="2026-01-01T07:30:00.000000Z")
    for text in ("started>2026-01-01T09:30", "started>2026-01-01T07:30Z", 'started>"2026-01-01 09:30"'):
        assert parse(text, east).terms[0].values == (moment,)
    assert parse("since:2026-01-01").terms[0].values == parse("since:2026-01-01", UTC).terms[0].values


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("tag:x stats:failed", 6, "no field 'stats' to ask about; did you mean 'status'"),
        ("state:failed", 0, "did you mean 'status'"),
        ("before:3d", 0, "did you mean 'until'"),
        ("zzzzzz:1", 0, "there are status, pipeline, tag"),
        ("PARAMS.x:1", 0, "no field 'PARAMS.x'"),
        ("param:1", 0, "name which one: param.lr>0.1"),
        ("metric<1", 0, "name which one: metric.loss<0.1"),
        ("metrc.loss<1", 0, "did you mean 'metric.loss'"),
        ("params.lr:1", 0, "did you mean 'param.lr'"),
        ("tokns>1", 0, "did you mean 'tokens'"),
        ("row_out:0", 0, "did you mean 'rows_out'"),
        ("rows_in>1.5", 8, "'1.5' is no whole number: write it like this: rows_in>100"),
        ("rows_out~0", 8, "write it like this: rows_out:0"),
        ("tokens>1,2", 7, "compared with one value"),
        ("tokens:1e3", 7, "no whole number"),
        ("metric.loss<low", 12, "compared with a number, not with 'low'"),
        ("status:fine", 7, "unknown status 'fine'; known are scheduled"),
        ("status:failed,fine", 14, "unknown status 'fine'"),
        ("status:Reused", 7, "a run whose results were all taken from the cache has completed: reason:reused"),
        ("reason:reusd", 7, "reason is one of block_failed, all_elements_failed, "),
        ("rows_in > 3", 0, "'rows_in' needs a value right behind it: rows_in>100; the word itself is found in quotes"),
        ("tag:x -rows_in", 7, "needs a value right behind it: rows_in>100"),
        ("metric.loss", 0, "'metric.loss' needs a value right behind it: metric.loss<0.1"),
        ("param.a.b", 0, "'param.a.b' needs a value right behind it: param.lr>0.1"),
        ("metric", 0, "name which one: metric.loss<0.1"),
        ("(rows_in>3)", 0, "there are no brackets, all terms must hold"),
        ("[x]", 0, "there are no brackets"),
        ("tag:x > 3", 6, "in front of '>' there is no field, and no space may be there: rows_in>100"),
        ("=x", 0, "in front of '=' there is no field"),
        ("!=x", 0, "in front of '!=' there is no field"),
        ("status:", 7, "status needs a status, for example status:failed,crashed"),
        ("status:failed,", 14, "status needs a status"),
        ("status>failed", 6, "does not go with '>'"),
        ("error:CUDA", 5, 'write it like this: error~"CUDA out of memory"'),
        ("duration:3", 8, "write it like this: duration>10min"),
        ("duration>long", 9, "'long' is no duration"),
        ("duration>-3", 9, "'-3' is no duration"),
        ("since:yesterday", 6, "'yesterday' is no time: write how long ago"),
        ("since:2026-02-30", 6, "is no time"),
        ("since:9999-12-31", 6, "is no time"),
        ("since:999999d", 6, "longer ago than anything"),
        ("since:1d,2d", 6, "compared with one value"),
        ("started:3d", 8, "is a day here"),
        ("param.x>abc", 8, "compared with a number, not with 'abc'"),
        ("param.x>1,2", 8, "compared with one value"),
        ("last_run_failed:maybe", 16, "true or false"),
        ("kind:job", 5, "one of pipeline, stage"),
        ("id:abc", 3, "at least 4 characters"),
        ('tag:""', 4, "tag needs a text"),
        ('tag:"x', 4, "quotes are not closed"),
        ('tag:"x\\', 4, "quotes are not closed"),
        ('tag:"x"y', 7, "a space is missing"),
        ('a"b"', 1, "a space is missing"),
        ("a,b", 1, "a space is missing"),
        ("status:failed OR status:crashed", 14, "alternatives of a field have a comma: status:failed,crashed"),
        ('tag:"a b" OR tag:c,d e', 10, 'have a comma: tag:"a b",c,d'),
        ("param.x:1 OR param.x:2", 10, "have a comma: param.x:1,2"),
        ("param.x:1 OR param.y:2", 10, "ask once for each, only the values of one field can be alternatives"),
        ("status:failed OR tag:b", 14, "ask once for each"),
        ("-tag:a OR -tag:b", 7, "ask once for each"),
        ("a OR b", 2, "ask once for each"),
        ("tokens>3 OR tokens<2", 9, "ask once for each"),
        ("tag:a OR", 6, "have a comma: status:failed,crashed"),
        ("OR tag:a", 0, "have a comma: status:failed,crashed"),
        ("tag:a AND tag:b", 6, "leave it out"),
        ("tag:a NOT", 6, "write what follows it"),
        ("NOT  ", 0, "needs something behind it"),
        ('""', 0, "nothing to look for"),
        ("," * 3, 0, "nothing to look for"),
        (" ".join(["a"] * 51), 100, "at most 50 terms"),
        ("tag:" + ",".join(f"a{n}" for n in range(101)), 4, "at most 100 values"),
        ("tag:a\0b", 5, "in no text that was recorded"),
        ("tag:\ud800", 4, "in no text that was recorded"),
        ("x" * (LONGEST + 1), 0, "4,001 characters, 4,000 are read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place_and_a_cure(text: str, position: int, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert says in caught.value.problem
    assert caught.value.position == position
    assert "\n" not in str(caught.value).replace("\\n", "")
    assert isinstance(caught.value, SettingError)


def test_a_query_error_survives_being_sent_to_another_process() -> None:
    import pickle

    error = QueryError("problem", "text", 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.position) == (str(error), 3)


@given(st.text(alphabet=st.sampled_from('abpst:=~<>!-"\\, .0179dTRUEnull\n') | st.characters(), max_size=60))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except RunstoneError:
        return
    assert msgspec.json.decode(msgspec.json.encode(found.terms)) is not None


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_what_stands_in_quotes_is_meant_letter_by_letter(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert term(f'tag:"{escaped}"').values == (text,)
    assert term(f'pipeline~"{escaped}"').values == (text,)
