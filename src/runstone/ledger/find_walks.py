"""Walks along an index: runs in the order of their creation, newest first, from any place on, at no other cost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runstone.ledger import acting
from runstone.ledger.find_conditions import Binder
from runstone.ledger.find_cursor import Position
from runstone.ledger.port import Store

RELATIONS = {"retry_of": "run_by_retry", "parent_id": "run_by_parent", "input_fingerprint": "run_by_input"}
"""The indexes of what stands in relation to something else, by column; they hold few runs each."""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """One index, and the values of its first columns. By tag it is that of `tag`, otherwise one of `pipeline_run`.

    only: what the index has no other runs for, word for word as the schema says it; otherwise it is not used.
    """

    index: str
    equal: tuple[tuple[str, str], ...] = ()
    by_tag: bool = False
    only: str = ""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the order of all runs. first: the oldest that belongs to it; below: the first that is too new."""

    first: Position | None = None
    below: Position | None = None


def by_time(workspace: str | None) -> Walk:
    """All runs of a workspace, or of all."""
    if workspace is None:
        return Walk(index="run_everywhere")
    return Walk(index="run_by_time", equal=(("workspace", workspace),))


def by_column(workspace: str, column: str, value: str) -> Walk:
    """Runs of a workspace with this `status` or `pipeline_name`."""
    index = {"status": "run_by_status", "pipeline_name": "run_by_pipeline"}[column]
    return Walk(index=index, equal=(("workspace", workspace), (column, value)))


def by_tag(workspace: str, tag: str) -> Walk:
    """Runs of a workspace with a tag."""
    return Walk(index="tag", equal=(("workspace", workspace), ("tag", tag)), by_tag=True)


def by_relation(column: str, value: str) -> Walk:
    """Runs of any workspace that stand in this relation to another: `retry_of`, `parent_id`, `input_fingerprint`."""
    return Walk(index=RELATIONS[column], equal=((column, value),))


def by_counts(workspace: str) -> Walk:
    """Runs of a workspace that counted anything; whatever is asked of the counts, the index answers."""
    only = "(r.rows_in IS NOT NULL OR r.rows_out IS NOT NULL OR r.llm_calls IS NOT NULL OR r.tokens IS NOT NULL)"
    return Walk(index="run_by_counts", equal=(("workspace", workspace),), only=only)


def by_metrics(workspace: str) -> Walk:
    """Runs of a workspace that have metrics."""
    return Walk(index="run_by_metrics", equal=(("workspace", workspace),), only="r.metrics <> '{}'")


def by_unfinished(workspace: str) -> Walk:
    """Runs of a workspace whose rows have no end."""
    return Walk(index="run_unfinished", equal=(("workspace", workspace),), only=f"r.{acting.UNFINISHED_SQL}")


def met(walk: Walk, select: str, stretch: Stretch, conditions: Sequence[str], dialect: str, bind: Binder) -> str:
    """A statement for the runs `r` that are met on a walk, in any order. select: columns of `r`."""
    if walk.by_tag:
        # SQLite takes the tables of a CROSS JOIN in the order in which they are written
        join = "CROSS JOIN" if dialect == "sqlite" else "JOIN"
        source = f"tag w {join} pipeline_run r ON r.run_key = w.run_key"
    else:
        source = f"pipeline_run r{f' INDEXED BY {walk.index}' if dialect == 'sqlite' else ''}"
    return _where(f"SELECT {select} FROM {source}", [*_place(walk, stretch, bind), *conditions])


def places(walk: Walk, stretch: Stretch, dialect: str, bind: Binder) -> str:
    """A statement for the places on a walk, in any order, which looks at nothing but the index."""
    return _bare(walk, "{0}.created_at, {0}.run_key", stretch, dialect, bind)


def keys(walk: Walk, stretch: Stretch, dialect: str, bind: Binder) -> str:
    """A statement for the keys of all runs on a walk, in any order, which looks at nothing but the index."""
    return _bare(walk, "{0}.run_key", stretch, dialect, bind)


def _bare(walk: Walk, select: str, stretch: Stretch, dialect: str, bind: Binder) -> str:
    hint = f" INDEXED BY {walk.index}" if dialect == "sqlite" and not walk.by_tag else ""
    source = "tag w" if walk.by_tag else f"pipeline_run r{hint}"
    return _where(f"SELECT {select.format(_alias(walk))} FROM {source}", _place(walk, stretch, bind))


def newest_first(walk: Walk) -> str:
    """The end of a statement: the order in which the index has the runs."""
    name = _alias(walk)
    return f" ORDER BY {name}.created_at DESC, {name}.run_key DESC"


def reached(store: Store, walks: Sequence[Walk], stretch: Stretch, steps: int) -> list[Position | None]:
    """Where so many steps along each of the walks lead; None where it ends before."""
    if not walks:
        return []
    bind = Binder()
    parts = [
        f"SELECT {number} AS walk, p.created_at, p.run_key FROM"
        f" ({places(walk, stretch, store.dialect, bind)}{newest_first(walk)} LIMIT 1 OFFSET {steps}) AS p"
        for number, walk in enumerate(walks)
    ]
    found = {row[0]: Position(row[1], row[2]) for row in store.rows(" UNION ALL ".join(parts), bind.params)}
    return [found.get(number) for number in range(len(walks))]


def _alias(walk: Walk) -> str:
    return "w" if walk.by_tag else "r"


def within(stretch: Stretch, name: str, bind: Binder) -> list[str]:
    """That a run, or the tag of one, lies in a stretch. name: of the table in the statement."""
    place = f"({name}.created_at, {name}.run_key)"
    conditions = []
    if stretch.below is not None:
        conditions.append(f"{place} < ({bind(stretch.below.created_at)}, {bind(stretch.below.run_key)})")
    if stretch.first is not None:
        conditions.append(f"{place} >= ({bind(stretch.first.created_at)}, {bind(stretch.first.run_key)})")
    return conditions


def _place(walk: Walk, stretch: Stretch, bind: Binder) -> list[str]:
    name = _alias(walk)
    equal = [f"{name}.{column} = {bind(value)}" for column, value in walk.equal]
    return [*equal, *([walk.only] if walk.only else []), *within(stretch, name, bind)]


def _where(select: str, conditions: Sequence[str]) -> str:
    return f"{select} WHERE {' AND '.join(conditions)}" if conditions else select
