"""The judge: holds what Runstone says about a folder against the ground, the oracle, and what was promised.

Every function returns what is wrong, in words; an empty list is an acquittal.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import runstone
from runstone.core.ranges import numbers
from runstone.folder import observe, read
from tests.harness import mortal
from tests.harness.ground import Ground, frames_of, records_in
from tests.harness.machine import Crash
from tests.harness.trace import Step

TERMINAL = {"completed", "degraded", "failed", "timed_out", "cancelled", "crashed"}
Executed = Counter[tuple[str, int, str]]


def executed(oracle: str | Path) -> Executed:
    """What the oracle knows: (block, element, outcome) and how often."""
    found: Executed = Counter()
    if os.path.exists(oracle):
        for line in Path(oracle).read_text().splitlines():
            name, element, outcome, _ = line.split()
            found[name, int(element), outcome] += 1
    return found


def judge_killed(folder: str | Path, oracle: str | Path, *, size: int, values: bool = True) -> list[str]:
    """A run whose process was killed or has ended: nothing is torn but the tail, nothing missing, nothing double."""
    folder = Path(folder)
    status = observe.status(str(folder))
    if not (folder / "run.json").exists():
        wrong = [] if status["status"] == "missing" else [f"no run.json, but status is {status['status']}"]
        return wrong + [f"{call} was executed before run.json was there" for call in executed(oracle)]
    ground = Ground(folder)
    wrong = judge_status(status, ground)
    wrong += judge_checkpoint(folder, status)
    wrong += judge_records(ground, executed(oracle))
    wrong += judge_ends(ground)
    if ground.seqs != list(range(1, len(ground.seqs) + 1)):
        wrong.append(f"the records are not numbered without a gap: {ground.seqs}")
    if any(ground.inner.values()):
        wrong.append(f"there are broken bytes between records: {ground.inner}")
    if sum(bool(torn) for torn in ground.torn.values()) > 1:
        wrong.append(f"more than the one write that was under way is torn: {ground.torn}")
    if values:
        wrong += judge_values(folder, ground, size)
    return wrong


def judge_status(status: Mapping[str, Any], ground: Ground) -> list[str]:
    """The status object of a run whose process is dead says what the ground says."""
    if "error" in status:
        return [f"status is {status['status']}: {status['error']}"]
    wrong = []

    def same(what: str, said: Any, there: Any) -> None:
        if said != there:
            wrong.append(f"{what}: status says {said}, on disk is {there}")

    same("status", status["status"], ground.ended or "crashed")
    same("recorded_status", status["recorded_status"], ground.status())
    same("done", status["done"], ground.ended is not None)
    same("liveness", status["liveness"], "ended" if ground.ended else "gone")
    same("seq", status["seq"], max(ground.seqs, default=0))
    same("epoch", status["epoch"], max((record.epoch for record in ground.records), default=0))
    blocks = ground.blocks().values()
    acting = ["crashed" if word in ("running", "retrying") and not ground.ended else word for word in blocks]
    same("blocks", {**status["blocks"]}, {**Counter(acting)})
    elements = ground.elements
    outcomes = Counter(outcome for block in elements.values() for outcome in block.values())
    same("failed", status["progress"]["failed"], outcomes["failed"])
    for name, (count, size) in ground.stored().items():
        same(f"bytes of {name}", status["outputs"][name]["bytes"], size)
        block = next(each for each in ground.info["blocks"] if name in each["outputs"])  # type: ignore[index]
        total = ground.total(block["name"]) if block.get("mapspec") else 1
        same(f"complete of {name}", status["outputs"][name]["complete"], count == total)
    return wrong


def judge_checkpoint(folder: Path, status: Mapping[str, Any]) -> list[str]:
    """Folding everything gives what the checkpoint saves folding."""
    checkpoint, aside = folder / "status.json", folder.parent / f"{folder.name}.status"
    if not checkpoint.exists():
        return []
    os.rename(checkpoint, aside)
    try:
        without = observe.status(str(folder))
    finally:
        os.rename(aside, checkpoint)
    told = ("status_source",)
    differ = [key for key in status if key not in told and status[key] != without.get(key)]
    return [f"{key}: {status[key]} with status.json, {without.get(key)} without" for key in differ]


def judge_records(ground: Ground, calls: Executed) -> list[str]:
    """What is recorded was executed, and once."""
    wrong = [f"{element} is recorded twice" for element in ground.twice()]
    for block, elements in ground.elements.items():
        for number, outcome in elements.items():
            if outcome != "upstream_failed" and not calls[block, number, outcome]:
                wrong.append(f"{block}[{number}] is recorded as {outcome}, but was not executed")
    wrong += [
        f"{call} was executed {count} times"
        for call, count in calls.items()
        if count > (2 if call[2] == "failed" else 1)
    ]
    return wrong


def judge_ends(ground: Ground) -> list[str]:
    """What the record says has ended, has ended: all its elements are there and verify, artifacts and values too."""
    wrong = []
    elements = ground.elements
    blocks = ground.blocks()
    for record in ground.events("block.ended"):
        name, status = record.fields["block"], record.fields["status"]
        info = next(each for each in ground.info["blocks"] if each["name"] == name)  # type: ignore[index]
        if status in ("completed", "degraded"):
            total = (ground.total(name) if info.get("mapspec") else 1) or 0
            if sorted(elements.get(name, {})) != list(range(total)):
                wrong.append(
                    f"{name} is {status}, but only {sorted(elements.get(name, {}))} of {total} elements verify"
                )
            if not info.get("mapspec"):
                wrong += [
                    f"{name} is completed, but {each} is not there"
                    for each in info["outputs"]
                    if each not in ground.stored()
                ]
    if len(ground.events("run.ended")) > 1:
        wrong.append("the run has two ends")
    wrong += _artifacts(ground)
    if ground.ended is None:
        return wrong
    if ground.ended == "completed" and set(blocks.values()) - {"completed", "condition_failed"}:
        wrong.append(f"the run is completed, but its blocks are {blocks}")
    wrong += [
        f"the run has ended, but {name} is {status}"
        for name, status in blocks.items()
        if status in ("pending", "running", "retrying", "queued")
    ]
    last = ground.events("run.ended")[0].seq
    if max(ground.seqs) > last:
        wrong.append("something was recorded after the end of the run")
    # where the disk has refused to sync, the run says so with what means are left
    refused = ground.ended == "crashed" and ground.events("run.ended")[0].fields.get("reason") == "storage"
    if len(set(ground.seqs)) != last and not refused:
        wrong.append(f"the run has ended, but of {last} records only {len(set(ground.seqs))} verify")
    for name in ("outputs/values.pack", "inputs/inputs.pack"):
        path = ground.folder / name
        # a later epoch has not the values of an earlier one in hand
        whole = ground.ended in ("completed", "degraded") and ground.records[-1].epoch == 1
        needed = whole if name.startswith("outputs") else _has_large_input(ground)
        try:
            if needed:
                frames_of(path)
        except (OSError, ValueError) as error:
            wrong.append(f"the run has ended, but {error}")
    return wrong


def _has_large_input(ground: Ground) -> bool:
    return any("value" not in param for param in ground.info["params"].values())  # type: ignore[index]


def _artifacts(ground: Ground) -> list[str]:
    wrong = []
    for record in ground.events("artifact"):
        try:
            content = (ground.folder / record.fields["path"]).read_bytes()
        except OSError:
            wrong.append(f"the artifact {record.fields['path']} is recorded, but not there")
            continue
        if hashlib.sha256(content).hexdigest() != record.fields["sha256"]:
            wrong.append(f"the artifact {record.fields['path']} is recorded, but its content does not verify")
    return wrong


def judge_values(folder: Path, ground: Ground, size: int) -> list[str]:
    """Everything recorded loads, as what it was."""
    wrong = []
    run = runstone.open(folder)
    for block in ground.info["blocks"]:  # type: ignore[index]
        elements = ground.elements.get(block["name"], {})
        for output in block["outputs"]:
            for number, outcome in elements.items():
                try:
                    value = _load(run, block, output, number)
                except Exception as error:
                    wrong.append(f"{output}[{number}] does not load: {type(error).__name__}: {error}")
                    continue
                if outcome == "ok" and value != mortal.expected(output, number, size):
                    wrong.append(f"{output}[{number}] is {value!r}")
                elif outcome != "ok" and not isinstance(value, runstone.Failed):
                    wrong.append(f"{output}[{number}] has failed, and is {value!r}")
    return wrong


def _load(run: runstone.Run, block: Mapping[str, Any], output: str, number: int) -> Any:
    found = run.outputs[output]
    if not block.get("mapspec"):
        return found
    if output == "grid":
        return found[number // len(mortal.AXIS), number % len(mortal.AXIS)]
    return found[number]


def judge_crash(folder: Path, crash: Crash) -> list[str]:
    """A run whose machine died: nothing synced is lost, no end without what it speaks of, and the reader sees it so."""
    run_json = f"{folder}/run.json"
    status = observe.status(str(folder))
    if "error" in status:
        found = crash.files.get(crash.durable_names.get(run_json, -1))
        synced = found is not None and found.durable == found.whole and crash.survives(run_json)
        return [f"run.json was synced, but status is {status['status']}: {status['error']}"] if synced else []
    ground = Ground(folder)
    wrong = judge_ends(ground)
    if ground.events("run.started"):
        # without it nobody can tell whose death would have to be proven, and then the fold waits at the gap
        wrong += judge_fold(folder, ground)
    must = {path: crash.files[file].durable for path, file in crash.durable_names.items() if crash.survives(path)}
    for path, durable in must.items():
        name = os.path.relpath(path, folder)
        if not name.endswith((".jsonl", ".pack")) or name in ("outputs/values.pack", "inputs/inputs.pack"):
            continue
        kept = {record.seq for record in ground.records if record.file == name}
        lost = {record.seq for record in records_in(name, 0, durable)} - kept
        if lost:
            wrong.append(f"records {sorted(lost)} of {name} were synced and are lost")
    if ground.events("run.started"):
        if status["status"] != (ground.ended or "crashed"):
            wrong.append(f"status is {status['status']}, the ground says {ground.ended or 'crashed'}")
        if status["done"] is not (ground.ended is not None):
            wrong.append(f"done is {status['done']}, but the recorded end is {ground.ended}")
    return wrong


def judge_machine_end(steps: Sequence[Step], folder: Path) -> list[str]:
    """Once the end of the run is synced, so is everything else, but for what is derived."""
    synced = [number for number, step in enumerate(steps, 1) if step.kind == "sync" and step.path.endswith(".jsonl")]
    if not synced:
        return ["the end of the run is never synced"]
    crash = Crash(steps, synced[-1])
    wrong = []
    for path, file in crash.names.items():
        name = os.path.relpath(path, folder)
        if name in ("status.json", "manifest.json"):
            continue
        if not crash.survives(path):
            wrong.append(f"the end of the run is synced, but not the name {name}")
        if crash.files[file].durable != crash.files[file].whole:
            wrong.append(f"the end of the run is synced, but not the content of {name}")
    return wrong


def seconds_until_synced(steps: Sequence[Step], folder: Path) -> list[float]:
    """For every record how long it took, from the kernel to the disk; infinite if it never came there."""
    found = []
    for number, step in enumerate(steps):
        if step.kind == "write" and step.path.startswith(f"{folder}/") and step.path.endswith((".jsonl", ".pack")):
            syncs = (
                later.at for later in steps if later.kind == "sync" and later.file == step.file and later.begun > number
            )
            found.append(next(syncs, float("inf")) - step.at)
    return found


def judge_fold(folder: Path, ground: Ground) -> list[str]:
    """The fold holds the elements that verify, and no others; with the checkpoint and without."""
    wrong = []
    state = read.read_run(str(folder)).state
    for name, elements in ground.elements.items():
        block = state.blocks[name]
        said = Counter({"ok": block.ok, "failed": block.failed, "upstream_failed": block.upstream_failed})
        there = Counter(elements.values())
        if +said != +there:
            wrong.append(f"{name}: the fold has {dict(+said)}, {dict(+there)} verify")
        if block.recorded and sorted(numbers(block.recorded)) != sorted(elements):
            wrong.append(f"{name}: the fold has {block.recorded}, {sorted(elements)} verify")
    for name, block in state.blocks.items():
        if name not in ground.elements and block.ended:
            wrong.append(f"{name}: the fold has {block.ended} elements, none verifies")
    if ground.records and state.seq != max(ground.seqs):
        wrong.append(f"the fold is at {state.seq}, the newest record is {max(ground.seqs)}")
    return wrong


def seconds_until_crashed(folder: str | Path, timeout: float = 5.0) -> float:
    """How long from now until `status` says `crashed`; infinite if it does not."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < timeout:
        if observe.status(str(folder))["status"] == "crashed":
            return time.perf_counter() - begun
        time.sleep(0.001)
    return float("inf")
