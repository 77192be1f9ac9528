"""A run of pipefunc as it was found: everything that its folder tells, and what that amounts to."""

from __future__ import annotations

import time

import msgspec

from runstone.folder.foreign.pipefunc import heartbeat, layout, run_info, storages
from runstone.folder.foreign.pipefunc.blocks import Block, blocks_of
from runstone.folder.foreign.pipefunc.run_info import Output, RunInfo
from runstone.folder.foreign.pipefunc.snapshots import Snapshot
from runstone.folder.foreign.pipefunc.stored import Allowance, Stored
from runstone.folder.foreign.pipefunc.verdict import Evidence, Verdict, judge
from runstone.folder.look import Look


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a folder. notes: sentences for the message, besides those of the verdict."""

    evidence: Evidence
    verdict: Verdict
    blocks: list[Block]
    notes: list[str]

    @property
    def info(self) -> RunInfo:
        """What the run says about itself."""
        return self.evidence.info

    @property
    def errors(self) -> list[tuple[Block, Output, int | None, Snapshot]]:
        """The errors that were told in full, each once though a function has several outputs."""
        found = []
        for block in self.blocks:
            seen: set[int | None] = set()
            for output in block.outputs:
                for element, snapshot in self.evidence.stored[output.name].errors:
                    if element not in seen:
                        seen.add(element)
                        found.append((block, output, element, snapshot))
        return found


def look_at(path: str) -> Findings:
    """Look at the run in a folder. Raises FileNotFoundError or NotADirectoryError if there is none, FolderError if it
    cannot be read."""
    with Look(path) as look:
        return _find(look)


def _find(look: Look) -> Findings:
    info = run_info.read(look)
    beat, note = heartbeat.read(look)
    allowance = Allowance()
    stored = {
        name: storages.count(look, output, allowance, tolerant=info.tolerant) for name, output in info.outputs.items()
    }
    described, began = look.stat(layout.RUN), look.stat(layout.DEFAULTS)
    if described is None:
        raise FileNotFoundError(f"no run in {look.path}: {layout.RUN} is not there")
    evidence = Evidence(
        info=info,
        stored=stored,
        heartbeat=beat,
        # run_info.json is written again when a shape becomes known, the defaults are not
        started=min(described.st_mtime, described.st_mtime if began is None else began.st_mtime),
        described=described.st_mtime,
    )
    verdict = judge(evidence, time.time())
    notes = [note] if note else []
    if not verdict.done and verdict.liveness.value != "live":
        damaged = [name for name, found in stored.items() if found.damaged]
        if damaged:
            notes.append(f"files are empty or cut off, and count as missing: {', '.join(damaged[:5])}")
    notes.extend(told for found in stored.values() for told in found.notes[:1])
    return Findings(evidence=evidence, verdict=verdict, blocks=blocks_of(evidence, verdict), notes=notes[:10])


def progress(output: Output, stored: Stored, evidence: Evidence, verdict: Verdict) -> float | None:
    """How much of an output has ended, from 0 to 1; None if that cannot be told."""
    total = output.total
    if stored.there is not None and total is not None:
        return min(1.0, stored.there / total) if total else 1.0
    beat = evidence.heartbeat
    told = None if beat is None else beat.outputs.get(output.name)
    if told is None or verdict.done or told.n_total is None:
        return None
    return min(1.0, max(0.0, told.progress))
