"""Taking results of an earlier run over into the folder of a new one.

A file of an ended epoch is never written again, so its bytes need not be copied: the pack gets a second name in the new
folder, and an event says which of its elements count. Names first, then a sync of the folder, then the events: whoever
dies in between leaves a link that nobody speaks of, and that is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from runstone.core import events as ev
from runstone.core.ranges import Range, count, within, without
from runstone.core.reuse import Action, BlockPlan
from runstone.core.statuses import BlockStatus
from runstone.errors import FolderError
from runstone.folder.earlier import EarlierRun
from runstone.folder.holdings import HeldPack, Holding
from runstone.folder.journal import EventTooLong
from runstone.folder.links import Links
from runstone.folder.load import Loader
from runstone.folder.look import Look
from runstone.folder.writer import RunWriter

RANGES_AN_EVENT = 500
"""So that an event fits its line whatever the numbers are."""


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken over. blocks: whole or in part; elements: how many; copied: bytes of files that could not be
    linked."""

    blocks: list[str]
    elements: int
    copied: int


def adopt(writer: RunWriter, earlier: EarlierRun, plans: Mapping[str, BlockPlan]) -> Adoption:
    """Record for every block what is taken over from an earlier run, as planned; to be called before any block starts.

    May be called again in a later epoch, for whatever is not recorded yet. The earlier run must have ended, or its
    driver be proven dead. Raises StorageError, Superseded, and FolderError if its files changed since it was read.
    """
    writer.check()
    adopted: list[str] = []
    with Look(earlier.folder) as look:
        links = Links(writer.folder, look)
        prepared = [
            (plan, holding, _files(links, plan, holding, writer.state.blocks[plan.name].recorded))
            for plan in plans.values()
            if plan.action is not Action.RUN
            and writer.state.blocks[plan.name].status is BlockStatus.PENDING
            and (holding := earlier.holdings.blocks.get(plan.name)) is not None
        ]
        saved = list(_artifacts(links, writer, earlier, plans))
        links.sync()
    for artifact in saved:
        writer.event(ev.ArtifactSaved, **artifact)
    elements = 0
    for plan, holding, files in prepared:
        elements += sum(count(file.elements) for file, _ in files) or (1 if holding.shape is None else 0)
        try:
            _record(writer, plan, holding, files, earlier.reading.info.id)
        except EventTooLong:
            # no run of ours has ever written such a one
            raise FolderError(f"{earlier.folder} is damaged: it says too much about block {plan.name!r}") from None
        adopted.append(plan.name)
    if links.copied:
        writer.event(
            ev.Warned,
            code="adopted_by_copy",
            message=f"{earlier.folder} and this folder cannot share files; {links.copied:,} bytes were copied",
        )
    writer.flush()
    return Adoption(blocks=adopted, elements=elements, copied=links.copied)


_Share = dict[str, ev.AdoptedOutput]


def _files(
    links: Links, plan: BlockPlan, holding: Holding, recorded: Sequence[Range]
) -> list[tuple[ev.AdoptedFile, _Share]]:
    """The packs that hold what is kept and not recorded yet, each under its new name, and what is taken of each."""
    kept = without(plan.kept, recorded)
    found: list[tuple[ev.AdoptedFile, _Share]] = []
    for pack in holding.packs:
        elements, shares = _taken(pack, kept)
        if elements:
            path, copied = links.give(pack.path, pack.bytes, plan.name)
            found.append((ev.AdoptedFile(path=path, bytes=pack.bytes, elements=elements, copied=copied), shares))
    return found


def _taken(pack: HeldPack, kept: list[Range]) -> tuple[list[Range], _Share]:
    elements: list[Range] = []
    shares: _Share = {}
    for frame in pack.frames:
        mine = [each for start, stop in frame.elements for each in within(kept, start, stop)]
        elements += mine
        taken, held = count(mine), count(frame.elements)
        for name, output in frame.outputs.items() if taken else ():
            before = shares.get(name)
            shares[name] = ev.AdoptedOutput(
                type=output.type or (before.type if before else ""),
                count=min(taken, output.count) + (before.count if before else 0),
                bytes=output.bytes * taken // held + (before.bytes if before else 0),
            )
    return _joined(elements), shares


def _joined(ranges: list[Range]) -> list[Range]:
    """Ranges of several frames, sorted, and those that touch as one."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found


def _record(
    writer: RunWriter, plan: BlockPlan, holding: Holding, files: list[tuple[ev.AdoptedFile, _Share]], from_run: str
) -> None:
    """Write the events of one block; the last of them ends it, if nothing is left to be computed."""
    taken = [step for file, shares in files for step in steps(file, shares)]
    whole = plan.action is Action.REUSE
    for file, shares in taken[:-1] if whole else taken:
        writer.event(
            ev.BlockAdopted, block=plan.name, from_run=from_run, shape=holding.shape, files=[file], outputs=shares
        )
    if not whole:
        return
    file_list, shares = ([taken[-1][0]], taken[-1][1]) if taken else ([], {})
    writer.event(
        ev.BlockAdopted,
        block=plan.name,
        from_run=from_run,
        shape=holding.shape,
        files=file_list,
        outputs=shares,
        values=holding.values,
        inner_shapes=holding.inner_shapes,
        whole=True,
    )
    for name, stored in holding.values.items():
        writer.keep_value(name, stored.value)


def steps(file: ev.AdoptedFile, shares: Mapping[str, ev.AdoptedOutput]) -> Iterator[tuple[ev.AdoptedFile, _Share]]:
    """A file in as many events as its ranges need; what is taken of its outputs is told with the first."""
    for at in range(0, len(file.elements), RANGES_AN_EVENT):
        part = msgspec.structs.replace(file, elements=file.elements[at : at + RANGES_AN_EVENT])
        told = count(part.elements)
        share = {
            name: msgspec.structs.replace(output, count=min(told, output.count), bytes=0 if at else output.bytes)
            for name, output in shares.items()
        }
        yield part, share


def _artifacts(
    links: Links, writer: RunWriter, earlier: EarlierRun, plans: Mapping[str, BlockPlan]
) -> Iterator[dict[str, object]]:
    """The fields of the events for the files that adopted blocks have saved; those recorded already are left out."""
    known: set[str] = set()
    if writer.epoch > 1:
        known = {artifact.artifact_id for artifact in Loader(writer.folder, trust=False).artifacts()}
    for artifact in earlier.holdings.artifacts:
        plan = plans.get(artifact.block or "")
        if plan is None or plan.action is Action.RUN or artifact.artifact_id in known:
            continue
        number = artifact.element or 0
        if not within(plan.kept, number, number + 1):
            continue
        path = links.give_artifact(artifact.path, artifact.size_bytes)
        if path is not None:
            fields = msgspec.structs.asdict(msgspec.structs.replace(artifact, path=path))
            yield {name: value for name, value in fields.items() if name not in ("seq", "at")}
