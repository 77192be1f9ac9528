"""Tags and notes: in the folder of the run, in the ledger, and in the index of tags.

The ledger keeps all that was said, also about runs without a folder; the folder keeps it for whoever takes that along.
The same line is in both under the same time, person and text. Its number may differ where they could not be reached
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from runstone.core.annotated import Annotation, acting_tags
from runstone.errors import LedgerError, StorageError
from runstone.folder import annotations as in_folder
from runstone.folder import clock
from runstone.folder.annotations import read, read_from
from runstone.ledger.column_values import text
from runstone.ledger.port import Store

_OF_RUN = "SELECT version, kind, text, said_at, said_by FROM annotation WHERE run_id = :run_id ORDER BY version"
_INSERT = (
    "INSERT INTO annotation (run_id, version, kind, text, said_at, said_by)"
    " VALUES (:run_id, :version, :kind, :text, :said_at, :said_by)"
)
_RUN = "SELECT run_key, workspace, created_at FROM pipeline_run WHERE run_id = :run_id"
_LOCKED = {"sqlite": "", "postgres": " FOR UPDATE"}
"""Whoever writes in SQLite is alone there; in PostgreSQL the row of the run is what writers take turns at."""

_TAG = (
    "INSERT INTO tag (workspace, tag, created_at, run_key) VALUES (:workspace, :tag, :created_at, :run_key)"
    " ON CONFLICT DO NOTHING"
)
_UNTAG = "DELETE FROM tag WHERE run_key = :run_key AND tag = :tag"
_TAGS = "SELECT tag FROM tag WHERE run_key = :run_key"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was said. missed: why the ledger does not have it yet, where all of it is in the folder; None if it has."""

    made: list[Annotation]
    missed: LedgerError | None = None


def annotate(said: Sequence[tuple[str, str]], *, by: str, run_id: str, folder: str | None, store: Store | None) -> Said:
    """Say things about a run. said: pairs of a kind (tag, untag, note) and a text.

    folder: of the run, None if it has none. store: None if there is no ledger. One of them must be there. What the
    folder has is said, whether the ledger takes it now or with the next `sync`.
    Raises StorageError, LedgerError; then a folder that took a part of it has that.
    """
    refused: StorageError | None = None
    missed: LedgerError | None = None
    after = 0
    try:
        after = _last(store, run_id)
    except LedgerError as error:
        if folder is None:
            raise
        missed = error
    made: list[Annotation] = []
    for kind, words in said:
        if folder is not None and refused is None:
            try:
                made.append(in_folder.say(folder, kind, words, by=by, after=after))
                continue
            except StorageError as error:
                # of a folder that may only be read the ledger keeps it alone
                if store is None:
                    raise
                refused = error
        made.append(Annotation(version=after + len(made) + 1, kind=kind, text=words, said_at=clock.now(), said_by=by))
    if store is not None and missed is None:
        try:
            take_in(store, run_id, made)
        except LedgerError as error:
            missed = error
    if missed is not None and (folder is None or refused is not None):
        raise missed
    return Said(made=made, missed=missed)


def of_run(store: Store, run_id: str) -> list[Annotation]:
    """What the ledger knows to have been said about a run, in order."""
    return [
        Annotation(version=version, kind=kind, text=words, said_at=said_at, said_by=said_by)
        for version, kind, words, said_at, said_by in store.rows(_OF_RUN, {"run_id": run_id})
    ]


def take_in(store: Store, run_id: str, said: Iterable[Annotation], own: Iterable[str] | None = None) -> int:
    """Bring what was said, in a folder say, into the ledger; what it has already stays as it is. In one transaction.

    own: the tags that the run began with: then its tags are made anew of these and all that the ledger has, otherwise
    only what is new changes them. Returns how much was new.
    """
    with store.writing():
        return take_in_inside(store, run_id, said, own)


def take_in_inside(store: Store, run_id: str, said: Iterable[Annotation], own: Iterable[str] | None = None) -> int:
    """The same, inside of a transaction that somebody else has begun."""
    run = store.rows(f"{_RUN}{_LOCKED[store.dialect]}", {"run_id": run_id})
    known = of_run(store, run_id)
    seen = {_identity(one) for one in known}
    taken = {one.version for one in known}
    last = max(taken, default=0)
    new: list[Annotation] = []
    for one in map(_storable, said):
        if _identity(one) in seen:
            continue
        seen.add(_identity(one))
        version = one.version if one.version not in taken else last + 1
        taken.add(version)
        last = max(last, version)
        new.append(msgspec.structs.replace(one, version=version))
    store.many(_INSERT, [{"run_id": run_id, **msgspec.structs.asdict(one)} for one in new])
    if run:
        _index(store, run[0], known, new, own)
    return len(new)


def missing(known: Iterable[Annotation], said: Iterable[Annotation]) -> list[Annotation]:
    """What was said and is not among what is known."""
    seen = {_identity(one) for one in known}
    return [one for one in map(_storable, said) if _identity(one) not in seen]


def retag(store: Store, run_id: str, own: Iterable[str]) -> None:
    """Make the tags of a run anew, of those it began with and all that the ledger knows to have been said of it."""
    take_in(store, run_id, (), own)


def _index(
    store: Store, run: tuple[int, str, str], known: list[Annotation], new: list[Annotation], own: Iterable[str] | None
) -> None:
    key, workspace, created_at = run
    before = [str(row[0]) for row in store.rows(_TAGS, {"run_key": key})]
    wanted = acting_tags(before, new) if own is None else acting_tags(map(text, own), _in_order([*known, *new]))
    store.many(_UNTAG, [{"run_key": key, "tag": tag} for tag in before if tag not in wanted])
    store.many(
        _TAG,
        [
            {"workspace": workspace, "tag": tag, "created_at": created_at, "run_key": key}
            for tag in wanted
            if tag not in before
        ],
    )


def _in_order(said: list[Annotation]) -> list[Annotation]:
    return sorted(said, key=lambda one: one.version)


def _identity(one: Annotation) -> tuple[str, str, str, str]:
    return one.kind, one.text, one.said_at, one.said_by


def _storable(one: Annotation) -> Annotation:
    """As every store gives it back: times in the one form, no letter that a store refuses."""
    moment = clock.seconds(one.said_at) or 0.0
    return msgspec.structs.replace(
        one,
        text=text(one.text, _TEXT),
        said_at=clock.rfc3339(round(moment * 1e6) * 1000),
        said_by=text(one.said_by),
    )


_TEXT = 20_000
"""Characters; more than a note has."""


def _last(store: Store | None, run_id: str) -> int:
    known = [] if store is None else of_run(store, run_id)
    return known[-1].version if known else 0


__all__ = [
    "Annotation",
    "Said",
    "annotate",
    "missing",
    "of_run",
    "read",
    "read_from",
    "retag",
    "take_in",
    "take_in_inside",
]
