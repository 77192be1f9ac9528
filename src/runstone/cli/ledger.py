"""`runstone ledger ...`: keeping the database of all runs in step with their folders, and in good order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from runstone.cli.ledger_export import command as export
from runstone.cli.printing import print_json

if TYPE_CHECKING:
    from runstone.ledger.place import Place
    from runstone.ledger.port import Store
    from runstone.ledger.sync import Named

_MAKES_IT = "it is made with the first recorded run, or by: runstone ledger sync"
json_option = click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")


@click.group("ledger")
def command() -> None:
    """Tend the database of all runs: `.runstone/ledger.db` in the project, or what RUNSTONE_LEDGER names.

    It is an index of run folders, and can be made again of them.
    """


@command.command("info", short_help="Tell where it is, and what is in it.")
@json_option
def info(as_json: bool) -> None:
    """Tell where the ledger is, how large it is, and what is in it."""
    from runstone.ledger.facts import facts
    from runstone.ledger.opening import open_for_reading

    place = _place()
    with _closing(open_for_reading(place)) as store:
        found = facts(place, store)
    if as_json:
        _print(found)
        return
    from runstone.cli.ledger_report import print_facts
    from runstone.cli.paper import paper

    with paper() as console:
        print_facts(found, _MAKES_IT, console)


@command.command("sync", short_help="Bring all run folders into it.")
@json_option
def sync(as_json: bool) -> None:
    """Bring all run folders of the project into the ledger, and those elsewhere that it knows.

    A folder is believed what it says of its workspace only where this workspace keeps its runs. What is not believed,
    or cannot be read, is named.
    """
    from runstone.ledger.opening import open_ledger
    from runstone.ledger.sync import sync

    with _closing(open_ledger(_place())) as store:
        assert store is not None
        report = sync(store)
    _show_report(report, as_json)


@command.command("rebuild", short_help="Make it again of run folders.")
@click.argument("folder", required=False, metavar="[FOLDER]", type=click.Path(file_okay=False))
@click.option("--yes", is_flag=True, help="Forget runs whose folders cannot be read any more.")
@json_option
def rebuild(folder: str | None, yes: bool, as_json: bool) -> None:
    """Drop what the ledger has of run folders, and make it again of them; FOLDER: only of the runs below it.

    What the ledger alone knows is not touched. All of it happens at once, or nothing. Exits 1, and changes nothing, if
    runs would be lost whose folders are gone, unless --yes allows it.
    """
    from runstone.ledger.opening import open_ledger
    from runstone.ledger.rebuild import Loss, rebuild, unreadable_runs

    below = None if folder is None else os.path.abspath(folder)
    with _closing(open_ledger(_place())) as store:
        assert store is not None
        lost = unreadable_runs(store, below)
        if below is not None and not lost.count and not os.path.isdir(below):
            raise click.UsageError(f"there is no folder {folder}, and no run of it in the ledger")
        lose = yes
        if lost.count and not yes:
            _name(lost)
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise click.ClickException(str(Loss(lost)))
            lose = click.confirm(f"Forget {'this run' if lost.count == 1 else f'these {lost.count:,} runs'}?", err=True)
            if not lose:
                raise click.ClickException("nothing was changed")
        try:
            report = rebuild(store, below, lose=lose)
        except Loss as loss:
            _name(loss.lost)
            raise click.ClickException(str(loss)) from None
        _release(store)
    _show_report(report, as_json)
    if lost.count and not as_json:
        click.echo(f"forgotten, for their folders cannot be read any more: {lost.count:,}", err=True)


@command.command("check", short_help="Compare it with the run folders.")
@click.option("--repair", is_flag=True, help="Make rows that differ again, and bring in what is missing.")
@json_option
def check(repair: bool, as_json: bool) -> None:
    """Compare every field of every row with what its run folder says.

    Exits 0 if they are equal, 1 if not. With --repair that is what is left after it: a row without a folder stays, for
    only you know whether the folder comes back; `runstone ledger rebuild` forgets it.
    """
    from runstone.ledger import check as checking
    from runstone.ledger.opening import open_for_reading, open_ledger

    place = _place()
    mended = None
    with _closing(open_ledger(place) if repair else open_for_reading(place)) as store:
        if store is None:
            raise click.ClickException(f"there is no ledger {place.shown} yet; {_MAKES_IT}")
        if repair:
            mended = checking.repair(store)
        found = checking.check(store) if mended is None else mended.left
    if as_json:
        _print(found if mended is None else mended)
    else:
        from runstone.cli.ledger_report import print_findings
        from runstone.cli.paper import paper

        with paper() as console:
            print_findings(found, mended, console)
    sys.exit(0 if found.equal else 1)


@command.command("migrate", short_help="Bring its schema up to this version.")
@json_option
def migrate(as_json: bool) -> None:
    """Bring the schema of the ledger up to this version; a copy of a file is kept beside it.

    It happens by itself when an older ledger is opened.
    """
    from runstone.ledger import migrations
    from runstone.ledger.facts import schema
    from runstone.ledger.opening import open_ledger

    place = _place()
    before = after = schema(place)
    if before != len(migrations.known(place.dialect)):
        with _closing(open_ledger(place)):
            after = schema(place)
    if as_json:
        print_json({"where": place.shown, "before": before, "after": after})
    elif before == after:
        click.echo(f"the ledger {place.shown} has schema {after} already, the one of this version")
    elif before:
        click.echo(f"the ledger {place.shown} had schema {before}, and has schema {after} now")
    else:
        click.echo(f"made a new ledger {place.shown} with schema {after}")


@command.command("vacuum", short_help="Give room back to the disk.")
@json_option
def vacuum(as_json: bool) -> None:
    """Give the room of what was deleted back to the disk; the ledger cannot be written meanwhile."""
    from runstone.ledger.facts import vacuum

    place = _place()
    with _existing(place) as store:
        before, after = vacuum(store)
    if as_json:
        print_json({"where": place.shown, "bytes_before": before, "bytes_after": after})
    else:
        click.echo(f"{before:,} bytes before, {after:,} bytes after: {max(0, before - after):,} bytes are free again")


@command.command("backup", short_help="Copy it into a file.")
@click.argument("file", type=click.Path(dir_okay=False))
@json_option
def backup(file: str, as_json: bool) -> None:
    """Copy the ledger into FILE, which must not be there yet; runs may go on meanwhile.

    Runs can be made again of their folders. What people said about them, the queue and other things are in the ledger
    alone: they need the backup.
    """
    from runstone.ledger.backup import ALONE, back_up

    place = _place()
    size = back_up(place, file)
    if as_json:
        print_json({"where": place.shown, "file": os.path.abspath(file), "bytes": size})
        return
    click.echo(f"copied the ledger {place.shown} into {file}: {size:,} bytes")
    click.echo(f"keep it well: {ALONE} are in the ledger alone, and no rebuild brings them back")


@command.command("restore", short_help="Put a backup in its place.")
@click.argument("file", type=click.Path(dir_okay=False))
@json_option
def restore(file: str, as_json: bool) -> None:
    """Put FILE, which `backup` made, in the place of the ledger; the one that is there is kept under another name."""
    from runstone.ledger.backup import restore

    place = _place()
    aside = restore(place, file)
    if as_json:
        print_json({"where": place.shown, "file": os.path.abspath(file), "kept": aside})
        return
    click.echo(f"restored the ledger {place.shown} from {file}")
    if aside is not None:
        click.echo(f"the one before is kept in {aside}")
    click.echo("runs that were recorded since the backup come back with: runstone ledger sync")


def _place() -> Place:
    from runstone.ledger import place

    found = place.find()
    if found is None:
        raise click.ClickException(
            f"the ledger is switched off, by {place.VARIABLE} or runstone.toml; name one in {place.VARIABLE}"
        )
    return found


@contextmanager
def _closing(store: Store | None) -> Iterator[Store | None]:
    try:
        yield store
    finally:
        if store is not None:
            store.close()


@contextmanager
def _existing(place: Place) -> Iterator[Store]:
    from runstone.ledger.facts import schema
    from runstone.ledger.opening import open_ledger

    if not schema(place):
        raise click.ClickException(f"there is no ledger {place.shown} yet; {_MAKES_IT}")
    with _closing(open_ledger(place)) as store:
        assert store is not None
        yield store


def _release(store: Store) -> None:
    from runstone.ledger.sqlite import SqliteStore

    if isinstance(store, SqliteStore):
        store.release_pages()


def _name(lost: Named) -> None:
    from runstone.drawing.lettering import showable

    for run_id, path in lost.first:
        click.echo(f"  {showable(run_id)}  {showable(path)}", err=True)
    if lost.count > len(lost.first):
        click.echo(f"  and {lost.count - len(lost.first):,} more", err=True)


def _show_report(report: Any, as_json: bool) -> None:
    if as_json:
        _print(report)
        return
    from runstone.cli.ledger_report import print_report
    from runstone.cli.paper import paper

    with paper() as console:
        print_report(report, console)


def _print(found: Any) -> None:
    print_json(msgspec.to_builtins(found))


command.add_command(export)
