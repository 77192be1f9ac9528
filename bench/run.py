"""All benchmarks, Runstone beside pipefunc in one run; writes RESULTS.md. Run it alone: `make bench`.

python bench/run.py [chain map failures disk status frames list import memory ...]
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from measure import ROOT, SCRATCH, Times, footprint, fresh, interleaved, process, script, show
from pipelines import chain, fan, fan_with_failures, mortal, peer_chain, peer_fan
from projection import bench_projection
from rows import Row

ELEMENTS = 100_000
PEER_ELEMENTS = 10_000
LOAD = os.getloadavg()[0]
RESULTS = ROOT / "bench" / "RESULTS.md"


def per(times: Times, count: int) -> float:
    return times.median / count


def bare_syncs(folder: Path) -> None:
    """What the record of a small run asks of the disk, and nothing else: three files and four folders, synced."""
    for place in (folder, folder / "journal", folder / "outputs"):
        place.mkdir()
    files = [os.open(folder / name, os.O_CREAT | os.O_WRONLY) for name in ("run.json", "journal/1", "outputs/values")]
    for file in files:
        os.write(file, b"x" * 3000)
        os.fsync(file)
    for place in (folder / "journal", folder / "outputs", folder, folder.parent):
        opened = os.open(place, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)
    os.write(files[1], b"the end")
    os.fsync(files[1])
    for file in files:
        os.close(file)


def bench_chain() -> list[Row]:
    ours, peer = chain(), peer_chain()
    number = iter(range(10**9))
    folder = fresh("chain")
    in_memory = Path(tempfile.mkdtemp(dir="/dev/shm"))

    async def with_heartbeat() -> None:
        await peer.map_async({"v0": 0}, run_folder=folder / f"h{next(number)}", show_progress=None).task

    found = interleaved(
        {
            "ours": lambda: ours.run({"v0": 0}, run_folder=folder / f"r{next(number)}"),
            "bare": lambda: bare_syncs(folder / f"b{next(number)}"),
            "memory": lambda: ours.run({"v0": 0}, run_folder=in_memory / f"r{next(number)}"),
            "peer": lambda: peer.map({"v0": 0}, run_folder=folder / f"p{next(number)}", parallel=False),
            "heartbeat": lambda: asyncio.run(with_heartbeat()),
        },
        30,
        3,
    )
    shutil.rmtree(in_memory)
    return [
        Row(
            "chain of 10 blocks: recorded, heartbeat, synced",
            f"{show(found['ours'].median)} ({found['ours'].spread})",
            f"{show(found['peer'].median)} without heartbeat and sync; "
            f"{show(found['heartbeat'].median)} with heartbeat",
            "<= 1.0 ms",
            found["ours"].median <= 1.0e-3,
            f"its 8 syncs alone: {show(found['bare'].median)} on this disk; "
            f"on a disk in memory: {show(found['memory'].median)}",
        )
    ]


def bench_map() -> list[Row]:
    ours, failing, peer = fan(), fan_with_failures(), peer_fan()
    x, few = list(range(ELEMENTS)), list(range(PEER_ELEMENTS))
    number = iter(range(10**9))
    folder = fresh("map")
    found = interleaved(
        {
            "ours": lambda: ours.run({"x": x}, run_folder=folder / f"r{next(number)}"),
            "failing": lambda: failing.run({"x": x}, run_folder=folder / f"f{next(number)}"),
            "files": lambda: peer.map({"x": few}, run_folder=folder / f"p{next(number)}", parallel=False),
            "memory": lambda: peer.map(
                {"x": few}, run_folder=folder / f"m{next(number)}", parallel=False, storage="dict"
            ),
        },
        7,
    )
    files, size = footprint(folder / "r0")
    peer_files, peer_size = footprint(folder / "p2")
    scale = ELEMENTS // PEER_ELEMENTS
    return [
        Row(
            f"map over {ELEMENTS:,} and reduce, recorded, an element",
            f"{show(per(found['ours'], ELEMENTS))}",
            f"{show(per(found['files'], PEER_ELEMENTS))} as files, "
            f"{show(per(found['memory'], PEER_ELEMENTS))} in memory (of {PEER_ELEMENTS:,})",
            "<= 0.5 us",
            per(found["ours"], ELEMENTS) <= 0.5e-6,
        ),
        Row(
            "the same with 10 % failing",
            show(per(found["failing"], ELEMENTS)),
            "-",
            "<= 1.5 us",
            per(found["failing"], ELEMENTS) <= 1.5e-6,
        ),
        Row(
            "disk and files of that run",
            f"{size / 1e6:.2f} MB, {files} files",
            f"{peer_size * scale / 1e6:.0f} MB, {peer_files * scale:,} files (scaled from {PEER_ELEMENTS:,})",
            "<= 2 MB, <= 20 files",
            size <= 2e6 and files <= 20,
        ),
    ]


def bench_processes() -> list[Row]:
    ours, peer = fan(), peer_fan()
    x, few = list(range(ELEMENTS)), list(range(PEER_ELEMENTS))
    number = iter(range(10**9))
    folder = fresh("processes")
    found = interleaved(
        {
            "ours": lambda: ours.run({"x": x}, run_folder=folder / f"r{next(number)}", executor="processes"),
            "peer": lambda: peer.map({"x": few}, run_folder=folder / f"p{next(number)}"),
        },
        7,
    )
    cold = [float(printed(POOL, str(folder / f"c{n}"))) for n in range(7)]
    start = statistics.median(cold)
    return [
        Row(
            f"the map over {ELEMENTS:,} with 2 warm processes, an element",
            show(per(found["ours"], ELEMENTS)),
            f"{show(per(found['peer'], PEER_ELEMENTS))} (of {PEER_ELEMENTS:,}, its pool started each time)",
            "<= 0.5 us",
            per(found["ours"], ELEMENTS) <= 0.5e-6,
        ),
        Row("cold start of that pool", show(start), "-", "<= 0.15 s", start <= 0.15),
    ]


POOL = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pipelines import fan
pipeline = fan()
pipeline.run({"x": [1, 2, 3, 4]}, run_folder=sys.argv[2] + "-here")
begun = time.perf_counter()
pipeline.run({"x": [1, 2, 3, 4]}, run_folder=sys.argv[2] + "-cold", executor="processes")
cold = time.perf_counter() - begun
begun = time.perf_counter()
pipeline.run({"x": [1, 2, 3, 4]}, run_folder=sys.argv[2] + "-warm", executor="processes")
print(cold - (time.perf_counter() - begun))
"""


def printed(code: str, *arguments: str) -> str:
    """What a script prints; with bytecode, as an installed package has it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, str(ROOT / "bench"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


DYING = """
import os, sys
os.environ["DIE"] = "1"
sys.path.insert(0, sys.argv[1])
from pipelines import mortal
mortal().run({"x": list(range(10_000))}, run_folder=sys.argv[2])
"""


def bench_resume() -> list[Row]:
    folder = fresh("resume")
    pipeline, x = mortal(), list(range(PEER_ELEMENTS))
    seconds, work = [], []
    for number in range(7):
        path = folder / f"r{number}"
        subprocess.run([sys.executable, "-c", DYING, str(ROOT / "bench"), str(path)], capture_output=True)
        begun = time.perf_counter()
        run = pipeline.run({"x": x}, run_folder=path, resume=True)
        seconds.append(time.perf_counter() - begun)
        assert run.status == "completed"
        assert run.status_object()["epoch"] == 2
        begun = time.perf_counter()
        pipeline.run({"x": x[: PEER_ELEMENTS // 2]}, run_folder=folder / f"w{number}")
        work.append(time.perf_counter() - begun)
    found = statistics.median(seconds) - statistics.median(work)
    return [
        Row(
            f"resume {PEER_ELEMENTS:,} elements, half done, beyond the work itself",
            f"{show(max(found, 0.0))} ({show(statistics.median(seconds))} in all)",
            "-",
            "<= 0.03 s",
            found <= 0.03,
        )
    ]


SLOW = """
import sys
import tempfile
sys.path.insert(0, sys.argv[1])
from pipelines import slow_chain
slow_chain().run({"w0": 0}, run_folder=sys.argv[2])
"""


def bench_watch() -> list[Row]:
    from runstone.folder.follow import follow

    folder = fresh("watch") / "run"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(ROOT / "bench"), str(folder)])
    while not (folder / "run.json").exists():
        time.sleep(0.01)
    lags = []
    for seen in follow(str(folder), interval=0.02, timeout=60):
        changed = datetime.fromisoformat(seen["updated_at"])
        lags.append((datetime.now(UTC) - changed).total_seconds())
    child.wait()
    # when it began to look, the run had been going on
    lags = sorted(lags[1:])
    worst = lags[min(len(lags) - 1, int(0.99 * len(lags)))]
    return [
        Row(
            f"change recorded -> a watcher of another process knows, p99 of {len(lags)}",
            f"{show(worst)} (median {show(lags[len(lags) // 2])}, looking every 20 ms)",
            "-",
            "<= 50 ms",
            worst <= 0.05,
        )
    ]


def bench_status() -> list[Row]:
    from pipefunc._run_status import status_from_run_folder

    from runstone.folder.observe import status

    folder = fresh("status")
    fan().run({"x": list(range(ELEMENTS))}, run_folder=folder / "ours")
    fan().run({"x": list(range(10 * ELEMENTS))}, run_folder=folder / "million")
    peer_fan().map({"x": list(range(PEER_ELEMENTS))}, run_folder=folder / "peer", parallel=False)
    whole = interleaved(
        {
            "ours": process(script("runstone"), "status", str(folder / "ours")),
            "peer": process(script("pipefunc-cli"), "status", str(folder / "peer")),
            "python": process(sys.executable, "-c", "pass"),
        },
        11,
    )
    inside = interleaved(
        {
            "ours": lambda: status(str(folder / "ours")),
            "million": lambda: status(str(folder / "million")),
            "peer": lambda: status_from_run_folder(folder / "peer"),
        },
        31,
    )
    return [
        Row(
            f"`status` of a run with {ELEMENTS:,} elements, whole process",
            f"{show(whole['ours'].median)} (bare Python {show(whole['python'].median)})",
            f"{show(whole['peer'].median)} (of {PEER_ELEMENTS:,})",
            "<= 0.08 s",
            whole["ours"].median <= 0.08,
        ),
        Row(
            "in process; of a run with 1,000,000",
            f"{show(inside['ours'].median)}; {show(inside['million'].median)}",
            f"{show(inside['peer'].median)} (of {PEER_ELEMENTS:,})",
            "<= 1 ms, flat",
            max(inside["ours"].median, inside["million"].median) <= 1e-3,
        ),
    ]


def bench_frames() -> list[Row]:
    from runstone.folder.observe import status

    folder = fresh("frames") / "run"
    chunked_run(folder, 20_000)
    os.unlink(folder / "status.json")
    found = interleaved({"ours": lambda: status(str(folder))}, 11)["ours"]
    return [Row("`status` without checkpoint, 20,000 frames", show(found.median), "-", "<= 0.1 s", found.median <= 0.1)]


def chunked_run(folder: Path, frames: int) -> None:
    """A run whose mapped block recorded a chunk for every five elements, as slow elements would."""
    from runstone.engine import collect

    before = collect.CLOSE_ELEMENTS, collect.BATCH
    collect.CLOSE_ELEMENTS = collect.BATCH = 5
    try:
        fan().run({"x": list(range(5 * frames))}, run_folder=folder)
    finally:
        collect.CLOSE_ELEMENTS, collect.BATCH = before


def bench_list() -> list[Row]:
    folder = fresh("list")
    ours, peer = chain(), peer_chain()
    for number in range(10_000):
        ours.run({"v0": 0}, run_folder=folder / "ours" / f"r{number}")
    for number in range(10_000):
        peer.map({"v0": 0}, run_folder=folder / "peer" / f"r{number}", parallel=False)
    command = (script("runstone"), "list-runs", str(folder / "ours"), "--max-runs", "20")
    found = interleaved(
        {
            "ours": process(*command),
            "peer": process(script("pipefunc-cli"), "list-runs", str(folder / "peer"), "--max-runs", "20"),
        },
        7,
    )
    now = time.time()
    for place, _, names in os.walk(folder / "ours"):
        for name in names:
            os.utime(os.path.join(place, name), (now, now))
    equal = interleaved({"ours": process(*command)}, 7)
    return [
        Row(
            "newest 20 of 10,000 run folders, whole process",
            show(found["ours"].median),
            show(found["peer"].median),
            "<= 0.15 s",
            found["ours"].median <= 0.15,
        ),
        Row(
            "the same when all times are equal",
            show(equal["ours"].median),
            "-",
            "<= 0.4 s",
            equal["ours"].median <= 0.4,
        ),
    ]


COLD = """
import sys
import tempfile
sys.path.insert(0, sys.argv[1])
from pipelines import chain, peer_chain
if sys.argv[2] == "ours":
    chain().run({"v0": 0}, run_folder=sys.argv[3])
else:
    peer_chain().map({"v0": 0}, run_folder=sys.argv[3], parallel=False)
"""


def bench_import() -> list[Row]:
    folder = fresh("cold")
    number = iter(range(10**9))
    here = str(ROOT / "bench")

    def cold(which: str) -> Callable[[], object]:
        return lambda: process(sys.executable, "-c", COLD, here, which, str(folder / f"{which}{next(number)}"))()

    found = interleaved(
        {
            "python": process(sys.executable, "-c", "pass"),
            "ours": process(sys.executable, "-c", "import runstone"),
            "peer": process(sys.executable, "-c", "import pipefunc"),
            "ours_used": process(sys.executable, "-c", "from runstone import Pipeline, block"),
            "ours_cold": cold("ours"),
            "peer_cold": cold("peer"),
        },
        9,
    )
    return [
        Row(
            "`import runstone`; with `Pipeline, block`",
            f"{show(found['ours'].median)}; {show(found['ours_used'].median)} "
            f"(bare Python {show(found['python'].median)})",
            show(found["peer"].median),
            "<= 0.05 s",
            found["ours"].median <= 0.05,
        ),
        Row(
            "cold script with one recorded run",
            show(found["ours_cold"].median),
            show(found["peer_cold"].median),
            "<= 0.12 s",
            found["ours_cold"].median <= 0.12,
        ),
    ]


MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pipelines import fan
x = list(range(1_000_000))
y = [value * 2 for value in x]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
del y
fan().run({"x": x}, run_folder=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def bench_memory() -> list[Row]:
    folder = fresh("memory")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(ROOT / "bench"), str(folder / "run")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    megabytes = int(done.stdout) / 1024
    return [
        Row(
            "memory while mapping 1,000,000 elements, over the user's data",
            f"{megabytes:.0f} MB",
            "-",
            "<= 150 MB",
            megabytes <= 150,
            "the user's data: the inputs and the results, as lists",
        )
    ]


TRACK = """
import os, sys, time
os.makedirs(sys.argv[2] + "/.runstone")
os.chdir(sys.argv[2])
os.environ["RUNSTONE_LEDGER"] = sys.argv[3]
from runstone import track
def records(count):
    took = []
    for number in range(count):
        begun = time.perf_counter()
        with track("window", rows_in=number) as t:
            t.rows_out = number
        took.append(time.perf_counter() - begun)
    return took
records(200)
time.sleep(0.5)
cpu = time.thread_time()
took = records(5000)
cpu = time.thread_time() - cpu
took.sort()
print(sum(took) / 5000, took[2500], took[4950], cpu / 5000)
"""


def bench_track() -> list[Row]:
    folder = fresh("track")
    # the tables themselves, a page each, are not what a record takes
    ledger, bare = folder / "ledger.db", folder / "bare.db"
    means, medians, slowest, cpus = [], [], [], []
    for number in range(5):
        # said at the end: what was not in the ledger then, if another process held it up; sync brings that
        mean, median, slow, cpu = printed(TRACK, str(folder / f"p{number}"), str(ledger)).split()
        means.append(float(mean))
        medians.append(float(median))
        slowest.append(float(slow))
        cpus.append(float(cpu))
    printed(OPENED, str(bare))
    runs = int(printed(OPENED, str(ledger)))
    size = (ledger.stat().st_size - bare.stat().st_size) / runs
    median = statistics.median(means)
    return [
        Row(
            "one tracked run, begin and end, for the code that tracks",
            show(median),
            "-",
            "<= 40 µs",
            median <= 40e-6,
            f"mean of 5,000 without a pause; median {show(statistics.median(medians))}, 99% below "
            f"{show(statistics.median(slowest))}; processor {show(statistics.median(cpus))}",
        ),
        Row(
            f"a tracked run in the ledger, with its indexes ({runs:,} runs)",
            f"{size:,.0f} bytes",
            "-",
            "<= 2 KB",
            size <= 2048,
        ),
    ]


OPENED = """
import sys
from runstone.ledger.opening import open_ledger
from runstone.ledger.place import Place
store = open_ledger(Place("sqlite", sys.argv[2]))
print(store.rows("SELECT count(*) FROM pipeline_run")[0][0])
store.close()
"""


# The first one before the peer is loaded: its modules make every collection of garbage in this process dearer.
BENCHES: dict[str, Callable[[], list[Row]]] = {
    "frames": bench_frames,
    "chain": bench_chain,
    "map": bench_map,
    "processes": bench_processes,
    "resume": bench_resume,
    "watch": bench_watch,
    "status": bench_status,
    "list": bench_list,
    "projection": bench_projection,
    "track": bench_track,
    "import": bench_import,
    "memory": bench_memory,
}


def main(names: list[str]) -> None:
    SCRATCH.mkdir(parents=True)
    # where a user has it, but not among his runs
    os.environ["RUNSTONE_LEDGER"] = str(SCRATCH / "ledger.db")
    rows = [row for name in names or BENCHES for row in BENCHES[name]()]
    lines = ["| what | Runstone | pipefunc | budget | | note |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    print("\n".join(lines))
    if not names:
        RESULTS.write_text("\n".join([*heading(), *lines]) + "\n")
        print(f"\nwritten to {RESULTS.relative_to(ROOT)}; the runs lie in {SCRATCH.relative_to(ROOT)}")


def heading() -> list[str]:
    import importlib.metadata

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("runstone", "pipefunc", "msgspec"))
    return [
        "# Results",
        "",
        f"`make bench` on {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}; {versions}.",
        "Medians; each comparison was measured in turns in the same run. Nothing was deleted between repetitions.",
        f"Load of the machine when it began: {LOAD:.1f} (0 is a machine to itself).",
        "",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
