"""Long texts among parameters: the ledger has the beginning of each, and nothing else of it can be searched."""

from __future__ import annotations

from runstone.core.query import Query
from runstone.core.query_fields import CONTAINS, PARAM
from runstone.ledger import find_walks
from runstone.ledger.find_conditions import Binder, cut_text
from runstone.ledger.find_walks import Stretch
from runstone.ledger.port import Store

_LOOKED_AT = 10_000
"""Runs, the newest."""


def cut_short(store: Store, query: Query, workspace: str | None) -> list[str]:
    """The parameters that a query searches for letters, and of which only the beginning is there to be searched.

    Tells so if it is true of one of the newest runs. workspace: None for all of them. Raises LedgerError.
    """
    names = dict.fromkeys(term.name for term in query.about(PARAM) if term.operator == CONTAINS)
    return [name for name in names if _is_cut(store, name, workspace)]


def _is_cut(store: Store, name: str, workspace: str | None) -> bool:
    bind = Binder()
    walk = find_walks.by_time(workspace)
    newest = find_walks.met(walk, "r.variables", Stretch(), [], store.dialect, bind)
    sql = (
        f"SELECT 1 FROM ({newest}{find_walks.newest_first(walk)} LIMIT {_LOOKED_AT}) AS r"
        f" WHERE {cut_text(name, store.dialect, bind)} IS NOT NULL LIMIT 1"
    )
    return bool(store.rows(sql, bind.params))
