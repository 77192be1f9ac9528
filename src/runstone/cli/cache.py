"""`runstone cache`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from runstone.cli.arguments import complete_run, with_workspace
from runstone.cli.cleanup import Span

if TYPE_CHECKING:
    from runstone.cache.contents import Look


def complete_stage(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """What there are results of, for the shell."""
    from runstone.cache import contents
    from runstone.errors import RunstoneError

    try:
        names = [each.stage for each in contents.stages(_store())]
    except RunstoneError:
        return []
    return [click.shell_completion.CompletionItem(name) for name in names if name.startswith(incomplete)]


def _complete_what(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    return [*complete_stage(ctx, param, incomplete), *complete_run(ctx, param, incomplete)]


@click.group()
def command() -> None:
    """List, remove and explain results in the cache.

    Blocks and tracked code with cache=True keep their results there, and a later run takes them instead of computing
    them again. [cache] of runstone.toml sets max_age and max_size.
    """


@click.command("ls", short_help="List what is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def list_stages(as_json: bool) -> None:
    """List what there are results of: how many, their size, when they were made and last used."""
    from runstone.cache import contents

    store = _store()
    found = contents.stages(store)
    if as_json:
        import msgspec

        from runstone.cli.printing import print_json

        print_json({"folder": store.folder, "stages": msgspec.to_builtins(found)})
        return
    if not found:
        click.echo("the cache is empty; cache=True on a block keeps its results there")
        return
    from runstone.cli.paper import paper, said
    from runstone.cli.sections import grid
    from runstone.core.figures import size

    with paper() as console:
        table = grid("left", "right", "right", "left", "left")
        table.add_row(*(said(title, "dim") for title in ("block", "entries", "size", "made", "last used")))
        for each in found:
            table.add_row(
                said(each.stage),
                said(f"{each.entries:,}"),
                said(size(each.bytes)),
                said(_ago(each.made_at)),
                said(_ago(each.used_at)),
            )
        console.print(table)


@click.command("rm")
@click.argument("block", required=False, shell_complete=complete_stage)
@click.option("--older-than", type=Span(), metavar="SPAN", help="What was computed so long ago: 12h, 30d, 8w.")
@click.option("--all", "everything", is_flag=True, help="All there is; also mends a cache that is damaged.")
@click.option("--json", "as_json", is_flag=True, help="Print what went as one JSON object.")
def remove(block: str | None, older_than: timedelta | None, everything: bool, as_json: bool) -> None:
    """Remove results: those of BLOCK, old ones, or all.

    BLOCK is a block, a pipeline, PIPELINE/BLOCK, or the stage of tracked code, as `runstone cache ls` shows it. Runs
    keep what they have taken.
    """
    if everything and (block is not None or older_than is not None):
        raise click.UsageError("--all is all there is; leave out BLOCK and --older-than, or --all")
    if not everything and block is None and older_than is None:
        raise click.UsageError("say what is to go: BLOCK, --older-than 30d or --all")
    from runstone.cache import contents, pruning

    store = _store()
    if block is not None and not any(pruning.is_of(each.stage, block) for each in contents.stages(store)):
        raise click.UsageError(f"the cache has nothing of {block!r}; runstone cache ls shows what there is")
    if not store.is_there:
        removed = pruning.Removed()
    elif everything:
        removed = pruning.remove_all(_store(read_only=False))
    else:
        seconds = None if older_than is None else older_than.total_seconds()
        removed = pruning.remove(_store(read_only=False), stage=block, older_than=seconds)
    if as_json:
        import msgspec

        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(removed))
        return
    from runstone.core.figures import size

    plural = "y" if removed.entries == 1 else "ies"
    click.echo(f"removed {removed.entries:,} entr{plural}, {size(removed.bytes)}")


@click.command("why", short_help="Tell why a result was taken, or computed.")
@click.argument("what", metavar="RUN/BLOCK[/ELEMENT]|BLOCK", shell_complete=_complete_what)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as a JSON object.")
def why(what: str, as_json: bool) -> None:
    """Tell why a result was taken from the cache, or was not.

    What has changed is told by name: the part of the code, the parameter, the input. For BLOCK alone, or the stage of
    tracked code, it is about what was last looked for.
    """
    from runstone.cache import contents

    found = contents.last_look(_store(), what)
    if found is None:
        # a block of a run
        from runstone.cli.why import command as why_of_run
        from runstone.errors import RunNotFound

        assert why_of_run.callback is not None
        try:
            why_of_run.callback(what=what, as_json=as_json)
        except RunNotFound as error:
            raise RunNotFound(f"nothing was looked for in the cache under {what!r}; {error}") from None
        return
    if as_json:
        import msgspec

        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(found))
        return
    _explain(found)


def _explain(found: Look) -> None:
    from runstone.cli.paper import width, write
    from runstone.drawing.lettering import showable, wrapped_to_cells
    from runstone.folder.why.sentences import counted, named, whys

    run, reasons = named(found.run), [whys(miss.why) for miss in found.misses]
    if found.wanted == 1:
        why = f", and not taken from the cache: {'; '.join(reasons)}" if reasons else ""
        lines = [("", f"{found.stage}: {'taken from the cache' if found.found else 'computed'} in {run}{why}")]
    else:
        results = counted(found.wanted, "result", "results")
        lines = [("", f"{found.stage}: {found.found:,} of {results} taken from the cache in {run}")]
        lines += [("  ", f"computed: {why}") for why in reasons]
    columns = min(width(), 1000)
    write(
        "".join(
            f"{indent}{part}".rstrip() + "\n"
            for indent, line in lines
            for part in wrapped_to_cells(showable(line), columns - len(indent))
        )
    )


def _ago(at: str) -> str:
    import time

    from runstone.core.figures import ago
    from runstone.folder import clock

    moment = clock.seconds(at)
    return at if moment is None else ago(max(0.0, time.time() - moment))


def _store(*, read_only: bool = True) -> Any:
    from runstone import config
    from runstone.cache import place
    from runstone.cache.store import Store

    name = config.workspace()
    if name != config.DEFAULT_WORKSPACE:
        from runstone.ledger.workspaces import require

        # the cache of one that is misspelt would be empty
        require(name)
    return Store(place.folder_of(name), read_only=read_only)


for each in (list_stages, remove, why):
    command.add_command(with_workspace(each))
