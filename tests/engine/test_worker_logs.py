"""What blocks in worker processes say is recorded like everything else, also what C code writes and last words."""

from __future__ import annotations

import json
from pathlib import Path

from tests import scripts

SCRIPT = """
import ctypes, logging, os, subprocess, sys, time
from runstone import Pipeline, block

logging.basicConfig(level="INFO", format="shown: %(name)s %(message)s")

@block(mapspec="xs[i] -> ys[i]", retries=1, executor="processes")
def each(xs: int, once: str) -> int:
    print("print", xs)
    logging.getLogger("mine").info("log %d", xs)
    os.write(1, b"raw %d\\n" % xs)
    time.sleep(0.01)
    if xs == 2 and not os.path.exists(once):
        open(once, "w").close()
        print("last words", end="")
        os.write(2, b"last raw words")
        os.kill(os.getpid(), 9)
    return xs

@block(executor="processes")
def whole(ys: object) -> int:
    subprocess.run(["echo", "from a program"])
    ctypes.CDLL(None).printf(b"from C")
    return 1

run = Pipeline("p", [each, whole]).run(
    {"xs": list(range(6)), "once": os.path.abspath("once")}, run_folder="run", show_progress=False
)
print("status", run.status)
"""


def test_lines_of_workers_tell_block_element_attempt_and_process(tmp_path: Path) -> None:
    done = scripts.python(str(scripts.write(tmp_path / "script.py", SCRIPT)), cwd=tmp_path)
    assert done.stdout.endswith("status completed\n"), done.stderr
    answer = scripts.runstone("logs", "./run", "--json", cwd=tmp_path)
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert all(line["pid"] for line in found)

    def told(block: str, *streams: str) -> list[tuple[object, ...]]:
        return sorted(
            (line["element"], line["attempt"], line["stream"], line["message"])
            for line in found
            if line["block"] == block
        )

    expected = []
    for number, attempt in [*((number, 1) for number in range(6)), (2, 2)]:
        expected += [
            (number, attempt, "log", f"log {number}"),
            (number, attempt, "stdout", f"print {number}"),
            (number, attempt, "stdout", f"raw {number}"),
        ]
    expected += [(2, 1, "stdout", "last words"), (2, 1, "stderr", "last raw words")]
    assert told("each") == sorted(expected)
    assert {(line["element"], line["message"]) for line in found if line["block"] == "whole"} == {
        (None, "from a program"),
        (None, "from C"),
    }
    # shown as well, by the handlers of the program
    assert sorted(line.partition("shown: ")[2] for line in done.stderr.splitlines() if "shown: " in line) == sorted(
        f"mine log {number}" for number in (0, 1, 2, 2, 3, 4, 5)
    )
    assert "raw 5\n" in done.stdout
    assert "from C" in done.stdout


def test_lines_of_workers_outlive_their_driver(tmp_path: Path) -> None:
    code = """
        import os, time
        from runstone import Pipeline, block

        @block(executor="processes")
        def act(driver: int) -> None:
            print("before")
            os.kill(driver, 9)
            time.sleep(60)

        Pipeline("p", [act]).run({"driver": os.getpid()}, run_folder="run", show_progress=False)
    """
    done = scripts.python(str(scripts.write(tmp_path / "script.py", code)), cwd=tmp_path)
    assert done.returncode == -9
    assert "act  before" in scripts.runstone("logs", "./run", cwd=tmp_path).stdout
