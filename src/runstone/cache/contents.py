"""What is in a cache, and what was last looked for there. Nothing is written and no value is opened."""

from __future__ import annotations

import msgspec

from runstone.cache.store import Store
from runstone.core.events import Miss
from runstone.folder import clock

_STAGES = """
SELECT recipe.stage, sum(held.entries), sum(piece.bytes), max(piece.made), max(piece.used)
FROM piece JOIN recipe ON recipe.id = piece.recipe
JOIN (SELECT piece, count(*) AS entries FROM entry GROUP BY piece) AS held ON held.piece = piece.id
GROUP BY recipe.stage ORDER BY recipe.stage
"""
_LOOKS = "SELECT stage, run, at, told FROM look WHERE stage = ? OR substr(stage, -?) = ? ORDER BY id DESC LIMIT 1"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of one block or one piece of tracked code. Times RFC 3339 in UTC, of the newest result."""

    stage: str
    entries: int
    bytes: int
    made_at: str
    used_at: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has looked for: so many results wanted and found, and why the others were computed."""

    stage: str
    run: str
    at: str
    wanted: int
    found: int
    misses: list[Miss] = []


def stages(store: Store) -> list[Stage]:
    """All of them, by name. Raises CacheError."""
    if not store.is_there:
        return []
    with store.reading() as connection:
        return [
            Stage(
                stage=str(stage),
                entries=int(entries),
                bytes=int(size),
                made_at=clock.rfc3339(int(made * 1e9)),
                used_at=clock.rfc3339(int(used * 1e9)),
            )
            for stage, entries, size, made, used in connection.execute(_STAGES)
        ]


def last_look(store: Store, stage: str) -> Look | None:
    """What was last looked for of a stage, or of a block of this name in any pipeline. Raises CacheError."""
    if not store.is_there:
        return None
    with store.reading() as connection:
        row = connection.execute(_LOOKS, (stage, len(stage) + 1, f"/{stage}")).fetchone()
    if row is None:
        return None
    stage, run, at, told = row
    try:
        found = msgspec.json.decode(told, type=dict[str, msgspec.Raw])
        return msgspec.convert(
            {"stage": stage, "run": run, "at": at, **{name: msgspec.json.decode(each) for name, each in found.items()}},
            Look,
        )
    except (msgspec.MsgspecError, TypeError, RecursionError):
        return None
