"""The cache of one workspace on disk: a database of keys and small pieces, and a file for each large one.

Many processes and threads use it at once. A piece and its keys come into the database in one transaction; what a
process leaves that is killed in between is nothing, or a file that nobody speaks of. Nobody waits for the disk: a
machine that dies may take the newest results with it, and every piece is verified before it is taken.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from runstone.cache import pieces, place
from runstone.cache.database import Database
from runstone.cache.pieces import KEY_BYTES, Header, Piece
from runstone.core.cached import Recipe
from runstone.errors import CacheError

LARGE_BYTES = 512 * 1024
"""A piece of more bytes has a file of its own."""

RECIPES_COMPARED = 50
LOOKS_KEPT = 20
_FACTS_READ = 8 * 1024 * 1024

_FIND = "SELECT key, piece, position FROM entry WHERE key = ?"
_MADE_BY = "SELECT run FROM piece WHERE id = ? AND made >= ?"
_PUT_ENTRY = "INSERT OR REPLACE INTO entry (key, piece, position) VALUES (?, ?, ?)"
_PUT_PIECE = (
    "INSERT INTO piece (recipe, run, made, used, entries, bytes, file, facts)"
    " SELECT id, ?, ?, ?, ?, ?, ?, ? FROM recipe WHERE digest = ? RETURNING id"
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Recipe).decode


class Place(msgspec.Struct, frozen=True):
    """Where a result is, and which run has computed it."""

    piece: int
    position: int
    run: str


class Store(Database):
    """One cache, used by all threads of this process. Every method raises CacheError.

    read_only: changes nothing, and finds nothing in one that is not there.
    """

    # reading

    def find(self, keys: Iterable[bytes], *, since: float = 0.0) -> dict[bytes, Place]:
        """Where the results for these keys are, as far as there are any. since: computed then or later."""
        with self.reading() as connection:
            rows: list[Any] = connection.executemany(_FIND, ((key,) for key in keys)).fetchall()
            runs = {piece: connection.execute(_MADE_BY, (piece, since)).get for piece in {row[1] for row in rows}}
            return {
                bytes(key): Place(piece, position, run)
                for key, piece, position in rows
                if isinstance(run := runs[piece], str)
            }

    def piece(self, number: int) -> Piece | None:
        """A piece, None if it is gone or damaged."""
        with self.reading() as connection:
            row = connection.execute(
                "SELECT piece.file, content.data FROM piece LEFT JOIN content ON content.piece = piece.id WHERE id = ?",
                (number,),
            ).fetchone()
        if row is None:
            return None
        data = row[1]
        if row[0] is not None:
            try:
                with open(os.path.join(self.folder, place.LARGE, os.path.basename(str(row[0]))), "rb") as file:
                    data = file.read()
            except OSError:
                return None
        return pieces.read(data) if isinstance(data, bytes) else None

    def recipes(self, stage: str) -> list[Recipe]:
        """What the results of a stage were made of, the newest first."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT told FROM recipe WHERE stage = ? ORDER BY id DESC LIMIT ?", (stage, RECIPES_COMPARED)
            ).fetchall()
        return [recipe for (told,) in rows if (recipe := _recipe(told)) is not None]

    def facts(self, recipe: bytes) -> Iterator[bytes]:
        """The digests of the inputs of all results that were made so, as `keep` was given them, some at a time."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT piece.facts FROM piece JOIN recipe ON recipe.id = piece.recipe WHERE recipe.digest = ?"
                " ORDER BY piece.id DESC",
                (recipe,),
            )
            room, found = _FACTS_READ, []
            for (facts,) in rows:
                found.append(bytes(facts))
                room -= len(facts)
                if room < 0:
                    break
        yield from found

    # writing

    def keep(
        self, recipe: Recipe, run: str, header: Header, keys: bytes, facts: bytes, payload: Sequence[bytes | memoryview]
    ) -> None:
        """Keep some results. keys: 16 bytes for each, zeros for one that is not to be found; facts: the digests of what
        each was made of, beside the recipe."""
        data = pieces.written(header, keys, payload)
        name = self._write_large(data) if len(data) > LARGE_BYTES else None
        now = time.time()
        with self.writing() as connection:
            told = recipe.digest
            connection.execute(
                "INSERT OR IGNORE INTO recipe (digest, stage, told) VALUES (?, ?, ?)",
                (told, recipe.stage, _encode(recipe)),
            ).fetchall()
            about = (run, now, now, header.count, len(data) + len(facts), name, facts, told)
            number = connection.execute(_PUT_PIECE, about).get
            if name is None:
                connection.execute("INSERT INTO content (piece, data) VALUES (?, ?)", (number, data)).fetchall()
            each = [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]
            rows = ((key, number, at) for at, key in enumerate(each) if any(key))
            connection.executemany(_PUT_ENTRY, rows).fetchall()

    def _write_large(self, data: bytes) -> str:
        folder = os.path.join(self.folder, place.LARGE)
        name = f"{secrets.token_hex(16)}.piece"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            private = os.path.join(folder, f".{name}.tmp")
            try:
                with open(private, "xb") as file:
                    file.write(data)
                os.rename(private, os.path.join(folder, name))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(private)
                raise
        except OSError as error:
            raise CacheError(f"the cache {self.folder} cannot be written: {(error.strerror or '').lower()}") from None
        return name

    def forget(self, numbers: Iterable[int]) -> None:
        """Pieces that are damaged serve nobody."""
        with self.writing() as connection:
            drop(connection, list(numbers))

    def note(self, used: Iterable[int], looks: Sequence[tuple[str, str, str, Mapping[str, Any]]]) -> None:
        """Remember which pieces were taken, and what was looked for: stage, run, time, and what came of it."""
        now = time.time()
        with self.writing() as connection:
            connection.executemany("UPDATE piece SET used = ? WHERE id = ?", ((now, one) for one in used)).fetchall()
            for stage, run, at, told in looks:
                connection.execute(
                    "INSERT INTO look (stage, run, at, told) VALUES (?, ?, ?, ?)", (stage, run, at, _encode(told))
                ).fetchall()
            for stage in {look[0] for look in looks}:
                connection.execute(
                    "DELETE FROM look WHERE stage = ?1 AND id NOT IN"
                    " (SELECT id FROM look WHERE stage = ?1 ORDER BY id DESC LIMIT ?2)",
                    (stage, LOOKS_KEPT),
                ).fetchall()


def drop(connection: apsw.Connection, numbers: Sequence[int]) -> None:
    """Take pieces out of the database, and what points to them."""
    for statement in (
        "DELETE FROM entry WHERE piece = ?",
        "DELETE FROM content WHERE piece = ?",
        "DELETE FROM piece WHERE id = ?",
    ):
        connection.executemany(statement, ((number,) for number in numbers)).fetchall()


def _recipe(told: object) -> Recipe | None:
    try:
        return _decode(told) if isinstance(told, bytes) else None
    except (msgspec.MsgspecError, RecursionError):
        return None
