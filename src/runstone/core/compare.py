"""In what runs differ: facts of each, side by side, and where they begin to part. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

RUN, PARAMETERS, CODE, ENVIRONMENT = "run", "parameters", "code", "environment"
INPUTS, OUTPUTS, DURATIONS, METRICS = "inputs", "outputs", "durations", "metrics"
SECTIONS = (RUN, PARAMETERS, CODE, ENVIRONMENT, INPUTS, OUTPUTS, DURATIONS, METRICS)

COMMIT, CODE_REF = "commit", "code_ref"
"""The subjects that have a commit of git: of the environment, and of the code where only the ledger tells of a run."""
FOLDERS, LEDGER = "folders", "ledger"
"""Where facts come from."""

DIFF_LINES = 60
"""Lines of a text that are shown of what changed, for each pair of runs."""

_HASH = re.compile(r"[0-9a-f]{7,64}")
_TEXT_LINES = 5_000
_MARK_BYTES = 8
_ELEMENTS_NAMED = 5
# What machines do anyway: a duration differs if it does by a fifth, and by more than this.
_SHARE, _SECONDS = 0.2, 0.05
_HUNDRED, _UNREAD = 100, 1e9


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has in one respect. mark: equal marks, equal values; None: it equals nothing, not even itself.

    shown: in words. sure: false where an equal mark only says that the values look alike. text: its lines can be
    compared. number: the value, if it is one. elements: of a mapped output, a mark of 8 bytes for each element.
    """

    shown: str
    mark: str | None
    sure: bool = True
    text: str | None = None
    number: float | None = None
    elements: bytes | None = None


Sections = Mapping[str, Mapping[str, Fact]]


class BlockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One block. outputs: what is told of its outputs, by their subjects; takes: the parameters of the run that it is
    given; upstream: the blocks it takes values from."""

    name: str
    status: str
    outputs: list[str]
    takes: list[str]
    upstream: list[str]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One run. sections: for each the facts by their subjects; blocks: in the order of the graph.

    folder: None if it has none. source: FOLDERS or LEDGER.
    """

    run_id: str
    pipeline: str
    status: str
    created_at: str
    folder: str | None
    source: str = FOLDERS
    blocks: list[BlockFacts]
    sections: dict[str, dict[str, Fact]]


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs that were compared. folder: None if it has none."""

    run_id: str
    pipeline: str
    status: str
    created_at: str
    folder: str | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One respect. values: in words, one for each run, None where it has none. detail: lines that tell what changed.

    sure: false if the values look alike, and nobody can say whether they are.
    """

    subject: str
    values: list[str | None]
    same: bool
    sure: bool = True
    detail: list[str] = []


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first block, in the order of the graph, that made something else. because: what is known to differ for it."""

    block: str
    outputs: list[str]
    because: list[str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. sections: in each, what differs comes first. diverges: None if all that was made is the same.

    source: `folders`, or `ledger` if one of the runs has no folder: then all are compared by what the ledger has of
    each, which are no outputs. `str()` of it tells what differs.
    """

    runs: list[ComparedRun]
    source: str
    sections: dict[str, list[Entry]]
    diverges: Divergence | None

    def __str__(self) -> str:
        # it is about what is defined here
        from runstone.core.compare_text import in_words

        return in_words(self)

    @property
    def differences(self) -> int:
        """In how many respects they differ."""
        return sum(not entry.same for entries in self.sections.values() for entry in entries)

    @property
    def unsure(self) -> list[str]:
        """What only looks alike."""
        return [entry.subject for entries in self.sections.values() for entry in entries if not entry.sure]


def compare(runs: Sequence[RunFacts]) -> Comparison:
    """Put runs side by side; the first is the one that the others are compared with."""
    source = LEDGER if any(run.source == LEDGER for run in runs) else FOLDERS
    told: Sequence[Sections] = [run.sections for run in runs]
    if source == FOLDERS:
        told = _parameters_together(told)
    sections = {name: _section(name, [facts.get(name, {}) for facts in told]) for name in SECTIONS}
    return Comparison(
        runs=[
            ComparedRun(
                run_id=run.run_id,
                pipeline=run.pipeline,
                status=run.status,
                created_at=run.created_at,
                folder=run.folder,
            )
            for run in runs
        ],
        source=source,
        sections=sections,
        diverges=_divergence(runs, sections),
    )


def side_by_side(subject: str, facts: list[Fact | None]) -> Entry:
    """One respect in which values are compared: whether they are the same, and what changed from the first on."""
    return _entry(OUTPUTS, subject, facts)


def letter(number: int) -> str:
    """What a run is called in a comparison: A, B, ..., Z, A2, ... number: from 0."""
    turns, place = divmod(number, 26)
    return chr(ord("A") + place) + (str(turns + 1) if turns else "")


def _parameters_together(told: Sequence[Sections]) -> list[Sections]:
    """A parameter that is small in one run and large in another one, in a file of its own among the inputs, stands at
    one place for all of them."""
    small = {subject for facts in told for subject in facts.get(PARAMETERS, {})}
    moving = small & {subject for facts in told for subject in facts.get(INPUTS, {})}
    together: list[Sections] = []
    for facts in told:
        inputs = facts.get(INPUTS, {})
        together.append(
            {
                **facts,
                PARAMETERS: {
                    **facts.get(PARAMETERS, {}),
                    **{subject: fact for subject, fact in inputs.items() if subject in moving},
                },
                INPUTS: {subject: fact for subject, fact in inputs.items() if subject not in moving},
            }
        )
    return together


def _section(name: str, told: Sequence[Mapping[str, Fact]]) -> list[Entry]:
    subjects = dict.fromkeys(subject for facts in told for subject in facts)
    entries = [_entry(name, subject, [facts.get(subject) for facts in told]) for subject in subjects]
    return sorted(entries, key=lambda entry: entry.same)


def _entry(section: str, subject: str, facts: list[Fact | None]) -> Entry:
    same = _alike(facts) if section == DURATIONS else _equal(facts)
    return Entry(
        subject=subject,
        values=[None if fact is None else fact.shown for fact in facts],
        same=same,
        sure=not same or all(fact is None or fact.sure for fact in facts),
        detail=[] if same else _commits(facts) if subject in (COMMIT, CODE_REF) else _detail(section, facts),
    )


def _equal(facts: Sequence[Fact | None]) -> bool:
    marks = {None if fact is None else fact.mark for fact in facts}
    return len(marks) == 1 and None not in marks


def _alike(facts: Sequence[Fact | None]) -> bool:
    seconds = [fact.number for fact in facts if fact is not None and fact.number is not None]
    if len(seconds) < len(facts):
        return not seconds
    return max(seconds) - min(seconds) <= max(_SECONDS, _SHARE * max(seconds))


def _detail(section: str, facts: Sequence[Fact | None]) -> list[str]:
    first, *others = facts
    lines: list[str] = []
    for number, other in enumerate(others, start=1):
        if first is None or other is None or first.mark == other.mark is not None:
            continue
        found = _difference(section, first, other)
        lines += [f"{letter(number)}: {found[0]}", *found[1:]] if len(others) > 1 and found else found
    return lines


def _commits(facts: Sequence[Fact | None]) -> list[str]:
    """The command that shows what changed between them; what was not committed is in none of them."""
    told = [fact.shown.removesuffix("+dirty") for fact in facts if fact is not None]
    named = dict.fromkeys(commit for commit in told if _HASH.fullmatch(commit))
    first, *others = named or [""]
    return [f"git diff {first} {other}" for other in others]


def _difference(section: str, first: Fact, other: Fact) -> list[str]:
    if first.text is not None and other.text is not None:
        return _diff(first.text, other.text)
    if first.elements is not None and other.elements is not None:
        return _elements(first.elements, other.elements)
    if first.number is not None and other.number is not None:
        return _change(section, first.number, other.number)
    return []


def _diff(before: str, after: str) -> list[str]:
    old, new = before.splitlines()[:_TEXT_LINES], after.splitlines()[:_TEXT_LINES]
    lines = [line.rstrip("\n") for line in difflib.unified_diff(old, new, n=1, lineterm="")][2:]
    more = len(lines) - DIFF_LINES
    return [*lines[:DIFF_LINES], f"... {more:,} more lines"] if more > 0 else lines


def _elements(before: bytes, after: bytes) -> list[str]:
    length = min(len(before), len(after))
    differing = (
        [
            at // _MARK_BYTES
            for at in range(0, length, _MARK_BYTES)
            if before[at : at + _MARK_BYTES] != after[at : at + _MARK_BYTES]
        ]
        if before[:length] != after[:length]
        else []
    )
    told: list[str] = []
    if differing:
        named = ", ".join(f"{number:,}" for number in differing[:_ELEMENTS_NAMED])
        more = ", ..." if len(differing) > _ELEMENTS_NAMED else ""
        told.append(f"{len(differing):,} of {length // _MARK_BYTES:,} elements differ: {named}{more}")
    if len(before) != len(after):
        told.append(f"{len(before) // _MARK_BYTES:,} elements against {len(after) // _MARK_BYTES:,}")
    return told


def _change(section: str, before: float, after: float) -> list[str]:
    if not (isfinite(before) and isfinite(after)) or before == after:
        return []
    if section == DURATIONS:
        return [f"{after / before:.2g} times as long"] if before > 0 and after > 0 else []
    share = f" ({_percent(100 * (after - before) / abs(before))} %)" if before else ""
    return [f"{after - before:+.6g}{share}"]


def _percent(number: float) -> str:
    """With three digits, and as people write large ones; what is larger than anybody reads has a power of ten."""
    return f"{number:+,.0f}" if _HUNDRED <= abs(number) < _UNREAD else f"{number:+.3g}"


def _divergence(runs: Sequence[RunFacts], sections: Mapping[str, list[Entry]]) -> Divergence | None:
    differs = {name: {entry.subject for entry in entries if not entry.same} for name, entries in sections.items()}
    for name in _in_order(runs):
        blocks = [next((block for block in run.blocks if block.name == name), None) for run in runs]
        there = [block for block in blocks if block is not None]
        outputs = [
            subject for subject in dict.fromkeys(each for block in there for each in block.outputs)
            if subject in differs[OUTPUTS]
        ]  # fmt: skip
        if outputs or len(there) < len(runs) or len({block.status for block in there}) > 1:
            return Divergence(block=name, outputs=outputs, because=_because(name, blocks, there, differs))
    return None


def _in_order(runs: Sequence[RunFacts]) -> list[str]:
    """All blocks: those of the first run as its graph has them, and what only others have before what follows it."""
    order: list[str] = [block.name for block in runs[0].blocks]
    for run in runs[1:]:
        at = 0
        for block in run.blocks:
            if block.name in order:
                at = max(at, order.index(block.name) + 1)
            else:
                order.insert(at, block.name)
                at += 1
    return order


def _because(
    name: str, blocks: Sequence[BlockFacts | None], there: Sequence[BlockFacts], differs: Mapping[str, set[str]]
) -> list[str]:
    if len(there) < len(blocks):
        having = [letter(number) for number, block in enumerate(blocks) if block is not None]
        return [f"only {' and '.join(having)} {'has' if len(having) == 1 else 'have'} this block"]
    takes = dict.fromkeys(param for block in there for param in block.takes)
    found = [f"parameter {param}" for param in takes if param in differs[PARAMETERS] | differs[INPUTS]]
    found += [f"code {part.partition(': ')[2]}" for part in sorted(differs[CODE]) if part.startswith(f"{name}: ")]
    if len({block.status for block in there}) > 1:
        found.append(f"it ended {' and '.join(dict.fromkeys(block.status for block in there))}")
    if not found:
        found = sorted(f"{subject} of the environment" for subject in differs[ENVIRONMENT] & _MATTERS)
        found += sorted(f"{subject}" for subject in differs[ENVIRONMENT] if subject.startswith("package "))
    return found


_MATTERS = frozenset({"python", "host"})
