"""`:name` becomes a number, and nothing else in a statement changes."""

from __future__ import annotations

import pytest

from runstone.ledger.placeholders import numbered


def test_names_are_numbered_in_the_order_in_which_they_first_appear() -> None:
    assert numbered("SELECT :b, :a, :b") == ("SELECT $1, $2, $1", ("b", "a"))


@pytest.mark.parametrize(
    "kept",
    [
        "'12:30:00 :name'",
        "'it''s :name'",
        r"E'it\'s :name'",
        '"a :name"',
        "now()::text",
        "'x'::name",
        "1 -- :name\n",
        "1 /* :name\n:name */",
        "$$ :name $$",
        "$body$ :name $$ :name $body$",
        "5 % 2",
        "'100%' LIKE '%(name)s'",
        "a[1 : 2]",
    ],
)
def test_what_only_looks_like_a_name_stays(kept: str) -> None:
    statement, names = numbered(f"SELECT {kept}, :real")

    assert statement == f"SELECT {kept}, $1"
    assert names == ("real",)


def test_a_cast_may_follow_a_name() -> None:
    assert numbered("SELECT :at::timestamptz") == ("SELECT $1::timestamptz", ("at",))
