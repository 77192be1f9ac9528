"""What a block with a process of its own has used is told, and the driver holds no more than it must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from tests.engine.executors.ways import Way
from tests.engine.guard.test_memory import limited_group
from tests.harness.ground import Ground
from tests.scripts import python, write

SIZE = 200 << 20


def ended(folder: Path) -> dict[str, dict[str, Any]]:
    """How each block ended."""
    return {each.fields["block"]: each.fields for each in Ground(folder).events("block.ended")}


def test_peak_memory_and_cpu_of_a_block_are_its_own(tmp_path: Path) -> None:
    def eats(x: int) -> int:
        return len(bytearray(SIZE).replace(b"\0", b"x", 1))

    def computes(x: int) -> int:
        import time

        end = time.process_time() + 0.4
        while time.process_time() < end:
            pass
        return x

    way = Way("processes", "processes")
    # one after the other, so that the same worker may do all of them
    blocks = [
        block(eats, output="a"),
        block(computes, output="b", renames={"x": "a"}),
        block(lambda b: b, name="idle", output="c"),
    ]
    way.run(Pipeline("p", blocks, max_parallel=1), {"x": 1}, run_folder=tmp_path / "run")
    found = ended(tmp_path / "run")
    assert SIZE < found["eats"]["peak_memory"] < 4 * SIZE
    assert found["idle"]["peak_memory"] < SIZE
    assert 0.35 < found["computes"]["cpu_seconds"] < 2.0
    assert found["idle"]["cpu_seconds"] < 0.2


@pytest.mark.parametrize("tolerated", [True, False])
def test_a_kill_for_lack_of_memory_is_named(tolerated: bool, tmp_path: Path) -> None:
    group = limited_group()
    if group is None:
        pytest.skip("no control group with a memory limit can be made here")
    write(
        tmp_path / "script.py",
        f"""
        import json, os, sys
        from pathlib import Path
        from runstone import Pipeline, block

        Path({str(group)!r}, "cgroup.procs").write_text(str(os.getpid()))

        @block(output="y", mapspec="x[i] -> y[i]", on_error={"continue" if tolerated else "fail"!r})
        def eats(x):
            return len(b"x" * (x << 20))

        run = Pipeline("p", [eats]).run(
            {{"x": [1, 900, 2]}}, executor="processes", raise_on_error=False, show_progress=False
        )
        errors = [(one.type, one.element, one.reason, one.message) for one in run.errors]
        print(json.dumps([run.status, run.blocks["eats"], errors]))
        """,
    )
    try:
        done = python("script.py", cwd=tmp_path)
    finally:
        import contextlib
        import time

        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)
    status, of_block, errors = json.loads(done.stdout)
    assert (status, of_block) == (("degraded", "degraded") if tolerated else ("failed", "crashed"))
    ((kind, element, reason, message),) = errors
    assert (kind, element, reason) == ("OutOfMemory", 1, "out_of_memory")
    assert "allowed" in message


MEMORY = """
    import resource
    from runstone import Pipeline, block

    COUNT, EACH = 60, 5_000_000

    @block(output="y", mapspec="x[i] -> y[i]")
    def large(x):
        return bytes([x]) * EACH

    @block(output="z", mapspec="y[i] -> z[i]")
    def lengths(y):
        return len(y)

    @block
    def total(z):
        return sum(z)

    if __name__ == "__main__":
        Pipeline("warm", [total]).run({"z": [1]}, executor="processes", show_progress=False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipeline = Pipeline("p", [large, lengths, total])
        run = pipeline.run({"x": list(range(COUNT))}, executor="processes", show_progress=False)
        assert run.outputs["total"] == COUNT * EACH
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_values_that_only_pass_through_are_not_held_by_the_driver(tmp_path: Path) -> None:
    write(tmp_path / "script.py", MEMORY)
    done = python("script.py", cwd=tmp_path)
    assert done.stderr == ""
    held = int(done.stdout) * 1024
    assert held < 100e6, f"{held / 1e6:.0f} MB of 300"
