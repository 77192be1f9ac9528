"""How a query is answered: along which index to walk, and what to ask of every run that is met there.

Whatever is asked, runs are met in the order of their creation, so that nothing is ever sorted and a page far behind
costs what the first one costs. Conditions that no index answers are asked of the runs on the walk, and then the walk is
cut after a number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from runstone.core.query import Query, Term
from runstone.core.query_fields import EQUAL, METRIC
from runstone.core.statuses import RunStatus
from runstone.ledger import acting, find_walks, last_runs
from runstone.ledger.find_conditions import (
    COUNTS,
    Binder,
    condition,
    created_range,
    key_list,
    prefix,
    says_when_created,
    text_list,
)
from runstone.ledger.find_cursor import BEFORE_ALL, Position
from runstone.ledger.find_walks import Stretch, Walk
from runstone.ledger.port import Store

MOST_WALKS = 64
_FEW_KEYS = 200
_PROBED = 500
"""How far to look along two indexes to see which has fewer of the runs."""

_UNFINISHED = frozenset(acting.UNFINISHED)
_RELATIONS = {"retry_of": "retry_of", "parent": "parent_id", "input": "input_fingerprint"}

Said = Callable[[Binder], str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to go. walks: all runs that may be meant are on one of them. keys: of runs that may be meant too, on no walk.

    always: conditions that most runs on the walks fulfil; asked: the others; extra: those for the runs among `keys`.
    stretch: where to walk.
    """

    walks: list[Walk]
    keys: list[int]
    always: list[Said]
    asked: list[Said]
    extra: list[Said]
    stretch: Stretch
    unfinished: Unfinished | None = None


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """How to go to the runs whose rows have no end, where a status is asked for. wanted: statuses to act on.

    Whoever goes there looks at each of them; the plan that has this is about the others.
    """

    plan: Plan
    wanted: frozenset[str]


class _Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A way to go, and the condition that need not be asked there, None if all of them must be."""

    walks: list[Walk]
    instead_of: int | None
    keys: list[int] = []
    always: list[Said] = []


def make(store: Store, query: Query, workspace: str | None, now: datetime, *, apart: bool = False) -> Plan:
    """A plan for a query. workspace: None for all of them.

    apart: leave runs whose rows have no end to `unfinished`, so that only those are looked at which the page needs;
    otherwise all of them are looked at here, if a status is asked for.
    """
    return _Planner(store, query, workspace, now, apart=apart).plan()


def among(plan: Plan, select: str, dialect: str, bind: Binder) -> str:
    """A statement for the runs that are named by their keys."""
    conditions = [f"r.run_key IN {key_list(plan.keys, dialect, bind)}"]
    conditions += [said(bind) for said in plan.extra]
    conditions += find_walks.within(plan.stretch, "r", bind)
    return f"SELECT {select} FROM pipeline_run r WHERE {' AND '.join(conditions)}"


def _wanted(terms: Sequence[Term]) -> frozenset[str]:
    wanted = {status.value for status in RunStatus}
    for term in terms:
        wanted = wanted - set(term.values) if term.negated else wanted & set(term.values)
    return frozenset(wanted)


class _Planner:
    def __init__(self, store: Store, query: Query, workspace: str | None, now: datetime, *, apart: bool) -> None:
        self.store = store
        self.apart = apart
        self.workspace = workspace
        self.now = now
        self.dialect = store.dialect
        created = created_range(filter(says_when_created, query.terms), now)
        self.stretch = Stretch(
            first=Position(created.at_least, 0) if created.at_least else None,
            below=Position(created.below, 0) if created.below else None,
        )
        self.terms = [term for term in query.terms if not says_when_created(term)]
        # what must hold, and beside each the ways along which it need not be asked
        self.asked: list[Said] = []
        self.candidates: list[_Candidate] = []
        self.keys: list[int] | None = None

    def plan(self) -> Plan:
        statuses = [term for term in self.terms if term.field == "status"]
        for term in self.terms:
            if term.field == "last_run_failed":
                self._last_run(term)
            elif term.field != "status":
                self._term(term)
        if not statuses:
            return self._chosen()
        wanted = _wanted(statuses)
        if not self.apart:
            self._statuses(wanted)
            return self._chosen()
        unfinished = self._unfinished(wanted)
        self._settled(wanted - _UNFINISHED)
        return msgspec.structs.replace(self._chosen(), unfinished=unfinished)

    def _unfinished(self, wanted: frozenset[str]) -> Unfinished:
        def may_be(bind: Binder) -> str:
            # nobody can say of the others that they stand differently from what their rows say
            recorded = f"r.status IN {bind.list(sorted(wanted & _UNFINISHED))} OR " if wanted & _UNFINISHED else ""
            return f"({recorded}r.driver IS NOT NULL OR r.run_folder IS NOT NULL)"

        asked = [*self.asked, may_be]
        if self.keys is not None:
            plan = self._plan([], self.keys, [], [*asked, lambda bind: f"r.{acting.UNFINISHED_SQL}"])
        else:
            plan = self._plan([find_walks.by_unfinished(each) for each in self._workspaces()], [], [], asked)
        return Unfinished(plan=plan, wanted=wanted)

    def _settled(self, wanted: frozenset[str]) -> None:
        self.asked.append(lambda bind: f"r.status IN {bind.list(sorted(wanted))}" if wanted else "FALSE")
        self._candidate(
            [find_walks.by_column(each, "status", status) for each in self._workspaces() for status in sorted(wanted)]
        )

    def _term(self, term: Term) -> None:
        self.asked.append(lambda bind: condition(term, self.dialect, bind, self.now))
        if term.negated:
            return
        if term.field in COUNTS:
            self._candidate([find_walks.by_counts(each) for each in self._workspaces()], asked_there=True)
        elif term.field == METRIC:
            self._candidate([find_walks.by_metrics(each) for each in self._workspaces()], asked_there=True)
        if term.operator != EQUAL:
            return
        values = [str(value) for value in term.values]
        if term.field == "id":
            self._ids(values)
        elif term.field in _RELATIONS:
            column = _RELATIONS[term.field]
            self._candidate([find_walks.by_relation(column, value) for value in values], self._in_workspace())
        elif term.field == "pipeline":
            self._candidate(
                [find_walks.by_column(each, "pipeline_name", value) for each in self._workspaces() for value in values]
            )
        elif term.field == "tag":
            self._candidate([find_walks.by_tag(each, value) for each in self._workspaces() for value in values])

    def _ids(self, prefixes: Sequence[str]) -> None:
        bind = Binder()
        alike = " OR ".join(f"({prefix('run_id', each, bind)})" for each in prefixes)
        found = self.store.rows(f"SELECT run_key FROM pipeline_run WHERE {alike} LIMIT {_FEW_KEYS + 1}", bind.params)
        if len(found) <= _FEW_KEYS:
            self.keys = [row[0] for row in found]

    def _last_run(self, term: Term) -> None:
        found = last_runs.failing(self.store, self._workspaces())
        wanted = bool(term.values[0]) is not term.negated
        identities = [each.pipeline_id for each in found]
        self.asked.append(
            lambda bind: f"r.pipeline_id {'' if wanted else 'NOT '}IN {text_list(identities, self.dialect, bind)}"
        )
        if wanted:
            self._candidate(
                [find_walks.by_column(each.workspace, "pipeline_name", each.pipeline_name) for each in found]
            )

    def _statuses(self, wanted: frozenset[str]) -> None:
        """What is meant is the status to act on, which rows of dead drivers do not tell."""
        moved = acting.moved(self.store, self.workspace)
        out, into = list(moved), [key for key, status in moved.items() if status in wanted]

        def said(bind: Binder) -> str:
            recorded = f"r.status IN {bind.list(sorted(wanted))}" if wanted else "FALSE"
            if out:
                recorded = f"({recorded} AND r.run_key NOT IN {key_list(out, self.dialect, bind)})"
            if into:
                recorded = f"({recorded} OR r.run_key IN {key_list(into, self.dialect, bind)})"
            return recorded

        self.asked.append(said)
        leave_out: list[Said] = []
        if out and wanted & _UNFINISHED:
            leave_out.append(lambda bind: f"r.run_key NOT IN {key_list(out, self.dialect, bind)}")
        self._candidate(
            [find_walks.by_column(each, "status", status) for each in self._workspaces() for status in sorted(wanted)],
            leave_out,
            into,
        )

    def _candidate(
        self,
        walks: list[Walk],
        always: list[Said] | None = None,
        keys: list[int] | None = None,
        *,
        asked_there: bool = False,
    ) -> None:
        """A way on which the condition that was noted last need not be asked, or, if `asked_there`, may hold at all."""
        if len(walks) <= MOST_WALKS:
            instead_of = None if asked_there else len(self.asked) - 1
            self.candidates.append(_Candidate(walks=walks, instead_of=instead_of, keys=keys or [], always=always or []))

    def _chosen(self) -> Plan:
        if self.keys is not None:
            return self._plan([], self.keys, [], self.asked)
        best = self._rarest()
        if best is None:
            return self._plan([find_walks.by_time(self.workspace)], [], [], self.asked)
        asked = [said for number, said in enumerate(self.asked) if number != best.instead_of]
        return self._plan(best.walks, best.keys, best.always, asked)

    def _plan(self, walks: list[Walk], keys: list[int], always: list[Said], asked: list[Said]) -> Plan:
        extra = [*self._in_workspace(), *asked]
        return Plan(walks=walks, keys=keys, always=always, asked=asked, extra=extra, stretch=self.stretch)

    def _rarest(self) -> _Candidate | None:
        """The way on which the fewest runs are met, as far as a short look can tell."""
        related = [
            each for each in self.candidates if each.walks and each.walks[0].index in find_walks.RELATIONS.values()
        ]
        candidates = related or self.candidates
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        return min(candidates, key=self._reach)

    def _reach(self, candidate: _Candidate) -> Position:
        """How far back in time a number of runs reaches: the further, the fewer there are."""
        ends = find_walks.reached(self.store, candidate.walks, self.stretch, _PROBED)
        return max((end or BEFORE_ALL for end in ends), default=BEFORE_ALL)

    def _in_workspace(self) -> list[Said]:
        workspace = self.workspace
        return [] if workspace is None else [lambda bind: f"r.workspace = {bind(workspace)}"]

    def _workspaces(self) -> list[str]:
        if self.workspace is not None:
            return [self.workspace]
        return [row[0] for row in self.store.rows("SELECT name FROM workspace ORDER BY name")]
