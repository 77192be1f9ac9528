"""`runstone compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from runstone.cli.arguments import complete_run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from runstone.core.compare import Comparison, Entry
    from runstone.ledger.locating import FolderGone

_MOST_VALUE = 120
_CHANGES = {"+": "green", "-": "red"}


@click.command()
@click.argument("runs", metavar="A B [C ...]", nargs=-1, required=True, shell_complete=complete_run)
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
@click.option("--trust", is_flag=True, help="Open pickled values, which runs code from the folders.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
def command(runs: tuple[str, ...], everything: bool, trust: bool, as_json: bool) -> None:
    """Tell in what runs differ: parameters, code, environment, inputs, outputs, how long blocks took, counts.

    A is what the others are compared with. What differs is shown, and the first block that made something else.
    Durations count as different from a fifth on. Pickled values are compared by what can be seen of them. If one of the
    runs has no folder, as those that were tracked, all are compared by what the ledger has of them.
    """
    import msgspec

    from runstone.cli.paper import paper
    from runstone.cli.printing import print_json
    from runstone.ledger.locating import FolderGone

    if len(runs) < 2:
        raise click.UsageError("name two runs at least, to compare the others with the first")
    try:
        compared = _by_folders(runs, trust=trust)
    except FolderGone as gone:
        compared = _by_ledger(runs, gone)
    if as_json:
        print_json({"differences": compared.differences, "unsure": compared.unsure, **msgspec.to_builtins(compared)})
        return
    with paper() as console:
        _print(compared, console, everything=everything, trust=trust)


def _by_folders(runs: Sequence[str], *, trust: bool) -> Comparison:
    from runstone.cli.reading import reading
    from runstone.core.compare import compare
    from runstone.folder.compare import facts

    found = []
    for run in runs:
        with reading(run) as folder:
            if trust:
                _make_importable(folder)
            found.append(facts(folder, trust=trust))
    return compare(found)


def _by_ledger(runs: Sequence[str], gone: FolderGone) -> Comparison:
    """Compare runs by what the ledger has of them. gone: which of them has no folder."""
    from runstone.cli.runs_show import of_ledger
    from runstone.ledger.compare import compare_details

    found = []
    for run in runs:
        known = of_ledger(run)
        if known is None:
            raise click.ClickException(
                f"run {gone.run_id[:8]} has no folder, and the ledger does not know {run}, so the two have nothing in "
                "common to be compared by; if there is such a run: runstone ledger sync"
            )
        found.append(known)
    return compare_details(found)


def _make_importable(folder: str) -> None:
    """Let pickles find the classes that they name where the run found them: here, and beside the file of a block."""
    import os
    import sys

    from runstone.folder.look import Look
    from runstone.folder.read import read_info

    with Look(folder) as look:
        files = [(block.loader or "").rpartition(":")[0] for block in read_info(look).blocks]
    places = [os.getcwd(), *(os.path.dirname(file) for file in files if file.endswith(".py"))]
    sys.path.extend(place for place in dict.fromkeys(places) if place not in sys.path)


def _print(compared: Comparison, console: Console, *, everything: bool, trust: bool) -> None:
    from runstone.cli.paper import said
    from runstone.cli.sections import print_section

    _print_runs(compared, console)
    _print_divergence(compared, console)
    for name, entries in compared.sections.items():
        shown = [entry for entry in entries if everything or not entry.same]
        if shown:
            print_section(console, name.capitalize())
            for entry in shown:
                _print_entry(entry, console)
    if not compared.differences:
        console.print()
        console.print(said("they do not differ"))
    if compared.unsure:
        number = len(compared.unsure)
        what = f"{number:,} values look" if number > 1 else f"{compared.unsure[0]} looks"
        hint = "; nobody can say whether they are" if trust else "; pickles stay closed without --trust"
        console.print()
        console.print(said(f"{what} the same{hint}", "dim"))


def _print_runs(compared: Comparison, console: Console) -> None:
    from rich.padding import Padding

    from runstone.cli.paper import said, word
    from runstone.cli.sections import fits, grid, when
    from runstone.core.compare import letter
    from runstone.folder.resolve import shown

    table = grid("whole", "whole", "left", "whole", "left", "left")
    rows = []
    for number, run in enumerate(compared.runs):
        folder = "" if run.folder is None else shown(run.folder)
        rows.append(
            (
                [said(letter(number), "bold"), said(run.run_id[:8]), said(run.pipeline), word(run.status)],
                [said(when(run.created_at), "dim"), said(folder, "dim")],
            )
        )
        table.add_row(*rows[-1][0], *rows[-1][1])
    if fits(table, console):
        console.print(table)
        return
    below = max(len(head[0].plain) for head, _ in rows) + 2
    longest = max(len(run.status) for run in compared.runs)
    for (name, run_id, pipeline, status), rest in rows:
        status.pad_right(longest - len(status.plain))
        head = grid("whole", "whole", "whole", "left")
        head.add_row(name, run_id, status, pipeline)
        console.print(head)
        for line in rest:
            if line.plain:
                console.print(Padding(line, (0, 0, 0, below), expand=False))


def _print_divergence(compared: Comparison, console: Console) -> None:
    from runstone.cli.paper import said
    from runstone.core.compare import LEDGER
    from runstone.core.compare_text import outputs_of

    console.print()
    found = compared.diverges
    if compared.source == LEDGER:
        without = [run.run_id[:8] for run in compared.runs if run.folder is None]
        have = "has" if len(without) == 1 else "have"
        why = f"{', '.join(without)} {have} no folder"
        console.print(said(f"by what the ledger has, without outputs: {why}", "dim"))
    if found is None:
        if compared.source != LEDGER:
            console.print(said("all blocks made the same"))
        return
    line = said("first to diverge: ", "dim")
    line.append_text(said(found.block, "bold")).append_text(said(outputs_of(found)))
    if found.because:
        line.append_text(said(f", for: {'; '.join(found.because)}"))
    console.print(line)


def _print_entry(entry: Entry, console: Console) -> None:
    from rich.padding import Padding

    from runstone.cli.paper import said
    from runstone.cli.sections import grid
    from runstone.core.compare import letter

    if entry.same:
        line = said(entry.subject)
        line.append_text(said(f"  {'same' if entry.sure else 'looks the same'}: ", "dim")).append_text(_value(entry, 0))
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
        return
    console.print(Padding(said(entry.subject, "yellow"), (0, 0, 0, 2), expand=False))
    table = grid("whole", "left")
    for number in range(len(entry.values)):
        table.add_row(said(letter(number), "dim"), _value(entry, number))
    console.print(Padding(table, (0, 0, 0, 4), expand=False))
    for text in entry.detail:
        console.print(Padding(said(text, _CHANGES.get(text[:1], "dim")), (0, 0, 0, 4), expand=False))


def _value(entry: Entry, number: int) -> Text:
    from runstone.cli.paper import said
    from runstone.drawing.lettering import shortened_to_cells

    value = entry.values[number]
    return said("-", "dim") if value is None else said(shortened_to_cells(value, _MOST_VALUE))
