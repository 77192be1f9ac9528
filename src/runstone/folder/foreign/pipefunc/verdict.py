"""What the files of a run of pipefunc say about how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from runstone.core.statuses import Liveness
from runstone.folder.foreign.pipefunc.heartbeat import STALE_SECONDS, Heartbeat
from runstone.folder.foreign.pipefunc.moments import rfc3339
from runstone.folder.foreign.pipefunc.run_info import Output, RunInfo
from runstone.folder.foreign.pipefunc.stored import Stored

# A run that gives no other sign of life may be silent for so many times its longest silence so far.
_PATIENCE = 3.0
_NAMED = 5


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """status: the word to act on. recorded: what the folder itself says last. ended_at: seconds since 1970.

    done: an end is recorded, or all there can be is there. partial: it ended well, and was told to leave elements out.
    """

    status: str
    recorded: str
    done: bool
    liveness: Liveness
    source: str
    ended_at: float | None = None
    partial: bool = False
    notes: list[str] = []


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found in a folder. started, described: when this attempt began, and run_info.json was written."""

    info: RunInfo
    stored: dict[str, Stored]
    heartbeat: Heartbeat | None
    started: float
    described: float

    @property
    def outputs(self) -> Iterable[tuple[Output, Stored]]:
        """Every output with what is there of it."""
        return ((output, self.stored[name]) for name, output in self.info.outputs.items())

    @property
    def moments(self) -> list[float]:
        """When something was written in this attempt, in order; it has begun."""
        later = (moment for stored in self.stored.values() for moment in stored.moments if moment > self.started)
        return [self.started, *sorted(later)]

    @property
    def newest(self) -> float:
        """When something was written last, whenever that was."""
        beat = [] if self.heartbeat is None else [self.heartbeat.at]
        written = (moment for stored in self.stored.values() for moment in stored.moments)
        return max([self.described, *beat, *written])


def judge(evidence: Evidence, now: float) -> Verdict:
    """How the run stands. now: seconds since 1970."""
    beat = evidence.heartbeat
    if all(is_whole(output, stored) for output, stored in evidence.outputs):
        return _whole(evidence)
    if beat is None:
        return _without_heartbeat(evidence, now)
    if beat.status == "completed":
        return _ended_with_less(evidence, beat)
    if beat.ended:
        notes = [_failure(evidence, beat)] if beat.status == "failed" else []
        return _by(beat, beat.status, done=True, liveness=Liveness.ENDED, notes=notes)
    if beat.silent(now):
        why = (
            f"no sign of life since {beat.told_at}, though pipefunc gives one every 30 seconds: "
            "its process has died, or cannot write here; no end is recorded"
        )
        return _by(beat, "incomplete", done=False, liveness=Liveness.LOST, notes=[why])
    return _by(beat, beat.status, done=False, liveness=Liveness.LIVE)


def is_whole(output: Output, stored: Stored) -> bool:
    """Whether all elements have ended and are there, errors among them."""
    total = output.total
    return stored.there is not None and total is not None and stored.there >= total


def _by(
    beat: Heartbeat,
    status: str,
    *,
    done: bool,
    liveness: Liveness,
    partial: bool = False,
    notes: Sequence[str] = (),
) -> Verdict:
    return Verdict(
        status=status,
        recorded=beat.status,
        done=done,
        liveness=liveness,
        source="heartbeat",
        ended_at=beat.at if beat.ended else None,
        partial=partial,
        notes=list(notes),
    )


def _whole(evidence: Evidence) -> Verdict:
    beat = evidence.heartbeat
    status, notes = _well(evidence)
    if beat is not None and beat.status in ("failed", "cancelled"):
        notes.append(f"the heartbeat says {beat.status}, but every output is there")
    believed = beat is not None and beat.status == "completed"
    return Verdict(
        status=status,
        recorded=beat.status if beat is not None and beat.ended else status,
        done=True,
        liveness=Liveness.ENDED,
        source="heartbeat" if believed else "disk_heuristic",
        ended_at=evidence.newest,
        notes=notes,
    )


def _well(evidence: Evidence) -> tuple[str, list[str]]:
    """The word for a run that came to its end: degraded if values are errors, and the sentence that counts them."""
    failed = {
        output.name: (stored.failed + stored.not_called, stored.there)
        for output, stored in evidence.outputs
        if stored.failed or stored.not_called
    }
    if failed:
        told = [_counted(evidence, name, count, there) for name, (count, there) in list(failed.items())[:_NAMED]]
        return "degraded", ["; ".join(told) + (f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else "")]
    beat = evidence.heartbeat
    counted = 0 if beat is None else sum(max(0, function.n_failed) for function in beat.functions)
    if counted and evidence.info.tolerant:
        return "degraded", [f"the heartbeat counts {counted:,} failed"]
    return "completed", []


def _counted(evidence: Evidence, name: str, count: int, there: int | None) -> str:
    if evidence.info.outputs[name].storage is None:
        return f"{name} is an error"
    return f"{name}: {count:,} of {there or 0:,} values are errors"


def _ended_with_less(evidence: Evidence, beat: Heartbeat) -> Verdict:
    """The task ended well, and not all is there: what it meant to make, or something is missing since."""
    less = [(output, stored) for output, stored in evidence.outputs if not is_whole(output, stored)]
    if all(_was_meant(output, stored, beat) for output, stored in less):
        status, notes = _well(evidence)
        names = _names(output.name for output, _ in less)
        notes.append(f"only some elements were asked for, and these are there: {names}")
        return _by(beat, status, done=True, liveness=Liveness.ENDED, partial=True, notes=notes)
    missing = _names(output.name for output, stored in less if not _was_meant(output, stored, beat))
    notes = [f"the heartbeat says completed, but this is missing on disk: {missing}"]
    return _by(beat, "incomplete", done=True, liveness=Liveness.ENDED, notes=notes)


def _was_meant(output: Output, stored: Stored, beat: Heartbeat) -> bool:
    meant = beat.outputs.get(output.name)
    if meant is None or output.storage is None or not stored.there or output.total is None:
        return False
    # equal, not more: what a resumed run found there already it does not count
    return 0 < meant.n_attempted < output.total and stored.there == meant.n_attempted


def _failure(evidence: Evidence, beat: Heartbeat) -> str:
    failed = [function.function_name for function in beat.functions if function.n_failed > 0]
    where = f"{_names(failed)} failed; " if failed else ""
    return f"{where}pipefunc keeps no error text in its folders"


def _without_heartbeat(evidence: Evidence, now: float) -> Verdict:
    """Only what was written tells whether somebody still writes: a run that is not asynchronous says nothing else."""
    moments = evidence.moments
    silences = [later - earlier for earlier, later in pairwise(moments)]
    patience = max(STALE_SECONDS, _PATIENCE * max(silences, default=0.0))
    newest = evidence.newest
    if abs(now - newest) > patience:
        why = (
            f"no end is recorded, and nothing was written since {rfc3339(newest)}: it has died or was "
            "stopped, failed, left elements out on purpose, or computes something long; "
            "pipefunc records no process and no error for a run that is not asynchronous"
        )
        return _by_disk("incomplete", Liveness.LOST, [why])
    begun = any(stored.there or stored.late for stored in evidence.stored.values())
    return _by_disk("running" if begun else "pending", Liveness.LIVE, [])


def _by_disk(status: str, liveness: Liveness, notes: list[str]) -> Verdict:
    return Verdict(
        status=status, recorded="running", done=False, liveness=liveness, source="disk_heuristic", notes=notes
    )


def _names(names: Iterable[str]) -> str:
    known = sorted(set(names))
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more
