"""Small pipelines that show all a run folder can hold, for tests that look at folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runstone import Pipeline, Run, artifact, block


class Trap:
    """A value that makes a folder when it is unpickled: whoever opens it is found out."""

    def __init__(self, canary: str, filling: str = "") -> None:
        self.canary = canary
        self.filling = filling

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,), None, iter([self.filling]) if self.filling else None


@block
def files(root: str) -> list[str]:
    return [f"{root}/{number}" for number in range(10)]


@block(mapspec="files[i] -> stats[i], sizes[i]", on_error="continue")
def parse(files: str) -> tuple[dict[str, Any], int]:
    """Measure one file."""
    if files.endswith("3"):
        raise ValueError(f"cannot read {files}")
    return {"name": files}, len(files)


@block(missing="drop")
def report(stats: list[dict[str, Any]], sizes: list[int], note: str, scratch: str) -> dict[str, Any]:
    path = Path(scratch, "report.md")
    path.write_text("# Sizes\n" + note[:10])
    artifact(path, metadata={"rows": len(stats)})
    return {"count": len(stats), "bytes": sum(sizes)}


@block
def text(note: str) -> str:
    return note * 2


survey = Pipeline("survey", [files, parse, report, text], description="Measures files", tags=["docs"], version="3")


def run_survey(folder: Path, scratch: Path) -> Run:
    """A run that ends degraded: an element failed, values small and large, an artifact, parameters small and large."""
    return survey.run(
        {"root": "src", "note": "n" * 6000, "scratch": str(scratch)}, run_folder=folder, show_progress=False
    )


@block
def double(x: int) -> int:
    return 2 * x


@block(mapspec="xs[i] -> ys[i]")
def each(xs: int, double: int) -> int:
    return xs + double


tiny = Pipeline("tiny", [double, each])


def run_tiny(folder: Path) -> Run:
    """A run that completes, with as few bytes as possible."""
    return tiny.run({"x": 2, "xs": [1, 2, 3]}, run_folder=folder, show_progress=False)
