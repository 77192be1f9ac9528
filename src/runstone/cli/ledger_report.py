"""What the `runstone ledger` commands print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstone.cli.paper import STYLES, said, word
from runstone.cli.sections import grid, print_section, when
from runstone.core.figures import size
from runstone.core.tones import Tone
from runstone.folder.resolve import shown

if TYPE_CHECKING:
    from rich.console import Console

    from runstone.ledger.check import Findings, Mended
    from runstone.ledger.facts import Facts
    from runstone.ledger.sync import Named, Report

_FIELDS = 8
_GONE = "not on disk"
_MENDED = frozenset({"not in the ledger", "differs", "unknown place", "was deleted"})


def print_facts(found: Facts, makes_it: str, console: Console) -> None:
    """What there is to say about a ledger."""
    if not found.exists:
        console.print(said(f"there is no ledger {found.where} yet"))
        console.print(said(makes_it, "dim"))
        if found.waiting:
            console.print(said(_waiting(found.waiting), STYLES[Tone.WARNED]))
        return
    lines = grid("whole", "left")
    free = "" if found.free_bytes is None else f", of which {size(found.free_bytes)} are free: runstone ledger vacuum"
    schema = f"{found.schema}" if found.schema == found.newest_schema else f"{found.schema} (of {found.newest_schema})"
    for name, value in (
        ("where", found.where),
        ("kept by", {"sqlite": "SQLite", "postgres": "PostgreSQL"}[found.dialect]),
        ("schema", schema),
        ("size", f"{size(found.size_bytes)}{free if found.free_bytes else ''}"),
        ("oldest run", when(found.oldest) if found.oldest else "-"),
        ("newest run", when(found.newest) if found.newest else "-"),
    ):
        lines.add_row(said(name, "dim"), said(value))
    if found.waiting:
        lines.add_row(said("waiting", "dim"), said(_waiting(found.waiting), STYLES[Tone.WARNED]))
    console.print(lines)
    if found.statuses:
        table = grid("whole", "right")
        for status, count in found.statuses.items():
            table.add_row(word(status), said(f"{count:,}"))
        print_section(console, "Runs", table)
    if list(found.workspaces) not in ([], ["default"]):
        table = grid("left", "right")
        for workspace, count in found.workspaces.items():
            table.add_row(said(workspace), said(f"{count:,}"))
        print_section(console, "Workspaces", table)
    table = grid("whole", "right")
    for name, count in found.tables.items():
        table.add_row(said(name), said(f"{count:,}", "" if count else "dim"))
    print_section(console, "Tables", table)


def _waiting(count: int) -> str:
    return f"{count:,} {_plural(count, 'run')} {_plural(count, 'waits', 'wait')} to be brought in: runstone ledger sync"


def print_report(report: Report, console: Console) -> None:
    """What became of the folders that were gone through."""
    tracked = f" and {report.tracked:,} tracked {_plural(report.tracked, 'run')}" if report.tracked else ""
    console.print(said(f"{report.folders:,} {_plural(report.folders, 'folder')}{tracked}: {_counted(report)}"))
    if report.gone:
        console.print(
            said(
                f"{report.gone:,} {_plural(report.gone, 'run')} in the ledger {_plural(report.gone, 'has', 'have')} no "
                "folder any more: runstone ledger check",
                STYLES[Tone.WARNED],
            )
        )
    for title, named in (
        ("Not believed", report.refused),
        ("Not readable", report.unreadable),
        ("Behind the ledger", report.ahead),
    ):
        _print_named(title, named, console)


def _counted(report: Report) -> str:
    told = [
        (report.taken, "brought into the ledger"),
        (report.known, "known already"),
        (report.copies, "further places of known runs"),
        (report.moved, "moved"),
        (report.annotated, "with new tags or notes"),
        (report.foreign, "of other programs"),
        (report.refused.count, "not believed"),
        (report.unreadable.count, "not readable"),
        (report.ahead.count, "behind the ledger"),
    ]
    return ", ".join(f"{count:,} {what}" for count, what in told if count) or "none with a run in it"


def _print_named(title: str, named: Named, console: Console) -> None:
    if not named.count:
        return
    table = grid("left", "left")
    for path, why in named.first:
        table.add_row(said(shown(path)), said(why))
    if named.count > len(named.first):
        table.add_row(said(f"and {named.count - len(named.first):,} more", "dim"))
    print_section(console, title, table)


def print_findings(found: Findings, mended: Mended | None, console: Console) -> None:
    """What a check has found. mended: what was done before it."""
    if mended is not None and (mended.remade or mended.taken or mended.forgotten):
        forgotten = f"; forgotten: {mended.forgotten:,}" if mended.forgotten else ""
        console.print(said(f"made again: {mended.remade:,}; brought in: {mended.taken:,}{forgotten}"))
    if found.equal:
        console.print(said(f"{found.runs:,} {_plural(found.runs, 'run')}: ledger and folders agree in every field"))
    else:
        told = [f"{count:,} {kind}" for kind, count in found.counts.items()]
        if found.problems:
            told.append("the ledger itself is damaged")
        console.print(
            said(f"{found.runs:,} {_plural(found.runs, 'run')} compared: {', '.join(told)}", STYLES[Tone.BAD])
        )
    for count, what in (
        (found.underway, "being written just now, and not held against the ledger"),
        (found.elsewhere, "on other hosts, out of reach from here"),
        (found.foreign, "of other programs, stepped over"),
    ):
        if count:
            console.print(said(f"{count:,} {what}", "dim"))
    if found.problems:
        print_section(console, "Ledger", *(said(problem) for problem in found.problems))
    if found.differences:
        table = grid("whole", "left", "left")
        for one in found.differences:
            more = f" and {len(one.details) - _FIELDS} more" if len(one.details) > _FIELDS else ""
            details = f"{', '.join(one.details[:_FIELDS])}{more}"
            what = f"{one.kind.value}: {details}" if details else one.kind.value
            table.add_row(said(one.run_id[:8] or "-"), said(shown(one.path)), said(what))
        unlisted = sum(found.counts.values()) - len(found.differences)
        if unlisted:
            table.add_row(said("..."), said(f"and {unlisted:,} more", "dim"))
        print_section(console, "Differences", table)
        console.print()
        if mended is None and not _MENDED.isdisjoint(found.counts):
            console.print(said("to mend what can be mended: runstone ledger check --repair", "dim"))
        if _GONE in found.counts:
            console.print(said("to forget runs whose folders are gone for good: runstone ledger rebuild --yes", "dim"))
    _print_named("Not believed", found.refused, console)
    _print_named("Not readable", found.unreadable, console)


def _plural(count: int, one: str, many: str | None = None) -> str:
    return one if count == 1 else many or f"{one}s"
