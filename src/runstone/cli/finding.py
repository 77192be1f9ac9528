"""What the commands that list runs share: the query, the workspace, and the ledger that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runstone.core.query import Query
    from runstone.ledger.place import Place
    from runstone.ledger.port import Store


def _read(ctx: click.Context, param: click.Parameter, given: str | None) -> Query:
    from runstone.cli.local_time import LocalZone
    from runstone.core.query import parse

    return parse(given or "", LocalZone())


query_option = click.option(
    "--query", "-q", metavar="Q", callback=_read,
    help="Only runs that this asks for, such as 'status:failed pipeline:survey since:7d'.",
)  # fmt: skip
all_workspaces_option = click.option("--all-workspaces", is_flag=True, help="The runs of all workspaces.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print each run as a JSON object on a line.")


def scope(all_workspaces: bool) -> str | None:
    """The workspace that is asked about, None for all of them. Raises WorkspaceNotFound, SettingError."""
    from runstone import config

    if all_workspaces:
        return None
    name = config.workspace()
    if name != config.DEFAULT_WORKSPACE:
        from runstone.ledger.workspaces import require

        # a misspelt name would find nothing, and say so
        require(name)
    return name


def open_ledger_to_read() -> Store | None:
    """The ledger of the project; None if it is switched off, or not there yet. Raises LedgerError."""
    from runstone.ledger.opening import open_for_reading
    from runstone.ledger.place import find

    place = find()
    store = None if place is None else open_for_reading(place)
    if place is not None and store is not None:
        _say_what_is_on_its_way(place, store)
    return store


def _say_what_is_on_its_way(place: Place, store: Store) -> None:
    from runstone.ledger import behind

    try:
        runs = behind.on_the_way(place.shown, store)
    except OSError:
        return
    if runs:
        more = "one more run is" if runs == 1 else f"{runs:,} more runs are"
        click.echo(f"runstone: {more} on the way into the ledger; to have all now: runstone ledger sync", err=True)


def no_ledger() -> click.ClickException:
    """Why there is none, and what to do."""
    from runstone.ledger.place import find

    place = find()
    if place is None:
        return click.ClickException(
            "the ledger is switched off, by RUNSTONE_LEDGER or in runstone.toml; runstone list-runs lists run folders"
        )
    return click.ClickException(
        f"there is no ledger yet at {place.shown}: the first recorded run makes it; "
        "of run folders that are there it is made by: runstone ledger sync"
    )


@contextmanager
def ledger_to_read() -> Iterator[Store]:
    """The ledger for as long as it is read. Raises click.ClickException if there is none, LedgerError."""
    store = open_ledger_to_read()
    if store is None:
        raise no_ledger()
    try:
        yield store
    finally:
        store.close()


def say_what_is_cut(store: Store, query: Query, workspace: str | None) -> None:
    """Say on standard error where a query searches the beginning of long texts alone. Raises LedgerError."""
    from runstone.core.previews import LONGEST_TEXT
    from runstone.drawing.lettering import showable
    from runstone.ledger.find_cut import cut_short

    for name in cut_short(store, query, workspace):
        click.echo(
            f"runstone: the ledger has only the first {LONGEST_TEXT} characters of long texts in parameter "
            f"{showable(name)!r}: what comes later in them is not found",
            err=True,
        )


def as_line(run: Any) -> bytes:
    """A run as a line of JSON."""
    import msgspec

    return msgspec.json.encode(run) + b"\n"
