"""Survey Python's standard library: what is complex in it, what was copied within it, what imports what.

    python examples/stdlib_survey.py                        # all of it: half a minute
    runstone run examples/stdlib_survey.py -p limit=50      # some of it

A few of its files are not Python, on purpose. The run goes on without them and ends `degraded`; its record tells which
they are, and why. What is measured, and how, is in `survey/`: plain functions that know nothing of pipelines.
"""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
import warnings
from itertools import count
from math import ceil
from pathlib import Path

from survey import clones, imports, picture, report
from survey.clones import Copies
from survey.figures import Figures, add_up, functions_of
from survey.imports import Imports
from survey.syntax import Module, is_test, measure

from runstone import Failed, Pipeline, Run, RunstoneError, artifact, block

STDLIB = sysconfig.get_paths()["stdlib"]
OTHERS = {"site-packages", "dist-packages", "__pycache__"}
BROKEN = {"bad_coding.py": "# coding: uft-8\n", "badsyntax_colon.py": "def f()\n    return 1\n"}


@block
def files(root: str = STDLIB, limit: int = 0) -> list[str]:
    """Find the Python files below root: all, or about `limit` of them, spread evenly, and those that are broken."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in OTHERS]
        found += [Path(folder, name).relative_to(root).as_posix() for name in names if name.endswith(".py")]
    if not found:
        raise FileNotFoundError(f"there are no Python files in {root}")
    found.sort()
    broken = [path for path in found if Path(path).name.startswith("bad") and not _is_python(Path(root, path))]
    chosen = found[:: ceil(len(found) / limit)] if limit > 0 else found
    return sorted({*chosen, *broken}) + ([] if broken else _made_broken())


@block(mapspec="files[i] -> modules[i], words[i]", renames={"path": "files"}, on_error="continue")
def parse(path: str, root: str) -> tuple[Module, dict[str, str]]:
    """Parse a file, measure it and spell its functions. A file that is not Python fails here, and alone."""
    with warnings.catch_warnings(action="ignore"):  # the files' own, about the strings in them
        tree = ast.parse(Path(root, path).read_bytes(), path)
    return measure(path, tree), clones.words(path, tree)


@block(mapspec="words[i] -> fingerprints[i]")
def fingerprint(words: dict[str, str]) -> dict[str, list[int]]:
    """Take the fingerprints of the functions of a file; not called for a file that failed."""
    return {place: clones.winnow(word) for place, word in words.items()}


@block(missing="drop")
def suspects(fingerprints: list[dict[str, list[int]]]) -> list[tuple[str, str]]:
    """Find the pairs of functions in different files that are worth a closer look."""
    return clones.suspects({place: prints for each in fingerprints for place, prints in each.items()})


@block(missing="drop")
def spelling(words: list[dict[str, str]], suspects: list[tuple[str, str]]) -> dict[str, str]:
    """Gather the words of the functions that will be compared."""
    wanted = {place for pair in suspects for place in pair}
    return {place: word for each in words for place, word in each.items() if place in wanted}


@block(mapspec="suspects[i] -> likeness[i]", renames={"pair": "suspects"})
def compare(pair: tuple[str, str], spelling: dict[str, str]) -> float:
    """Compare two functions letter by letter."""
    one, other = pair
    return clones.likeness(spelling[one], spelling[other])


@block(missing="drop")
def copies(
    words: list[dict[str, str]], suspects: list[tuple[str, str]], likeness: list[float], modules: list[Module]
) -> list[Copies]:
    """Gather what was copied, the most lines first."""
    all_words = {place: word for each in words for place, word in each.items()}
    lines = {function["place"]: function["lines"] for function in functions_of(modules)}
    return clones.families(all_words, zip(suspects, likeness, strict=True), lines)


@block(missing="drop")
def imported(modules: list[Module]) -> Imports:
    """Rank the modules by their importers, and find those that import themselves by way of others."""
    return imports.survey(modules)


@block(missing="drop")
def totals(modules: list[Module]) -> dict[str, Figures]:
    """Add up the library and its tests."""
    return {
        "library": add_up([module for module in modules if not is_test(module["path"])]),
        "tests": add_up([module for module in modules if is_test(module["path"])]),
    }


@block(missing="keep")
def unparsable(files: list[str], modules: list[Module | Failed]) -> dict[str, str]:
    """Tell which files failed, and why: what failed keeps its place and explains itself."""
    return {
        path: f"{module.error_type}: {module.message}"
        for path, module in zip(files, modules, strict=True)
        if isinstance(module, Failed)
    }


@block(missing="drop")
def plot(modules: list[Module]) -> str:
    """Draw complexity against length."""
    library = functions_of([module for module in modules if not is_test(module["path"])])
    tests = functions_of([module for module in modules if is_test(module["path"])])
    return _saved("complexity.svg", picture.draw(library, tests))


@block(output="report")
def write(
    totals: dict[str, Figures], copies: list[Copies], imported: Imports, unparsable: dict[str, str], plot: str
) -> str:
    """Write the report."""
    return _saved("report.md", report.markdown(totals, copies, imported, unparsable, picture=os.path.basename(plot)))


stdlib_survey = Pipeline(
    "stdlib_survey",
    [files, parse, fingerprint, suspects, spelling, compare, copies, imported, totals, unparsable, plot, write],
    description="Complexity, copies and imports in Python's standard library",
    tags=["example"],
)


def _is_python(path: Path) -> bool:
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return True


def _made_broken() -> list[str]:
    """Make two broken files, for installations without the library's own (these lie among its tests)."""
    folder = Path(tempfile.mkdtemp(prefix="stdlib_survey-"))
    for name, text in BROKEN.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in BROKEN]


def _saved(name: str, text: str) -> str:
    """Save text as an artifact of the run; returns where it lies in the run folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8")
        return artifact(path).path


def main() -> None:
    """Run the survey and say what it found."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--limit", type=int, default=0, help="about how many files to take; 0, the default: all")
    limit = arguments.parse_args().limit

    folder = next(name for number in count(1) if not os.path.exists(name := f"runs/{stdlib_survey.name}-{number}"))
    runstone = _runstone()
    print(f"Follow this run from a second terminal:\n\n    {runstone} watch {folder}\n", flush=True)
    try:
        run = stdlib_survey.run({"limit": limit}, run_folder=folder)
    except KeyboardInterrupt:
        print(f"\nStopped. What was recorded until now is kept:\n\n    {runstone} show {folder}\n", file=sys.stderr)
        sys.exit(130)
    except RunstoneError as error:
        sys.exit(str(error))
    _tell(run, folder, runstone)


def _runstone() -> str:
    """How the command is called from here that belongs to this Python."""
    found = shutil.which("runstone", path=os.path.dirname(sys.executable))
    return shlex.quote(min(found, os.path.relpath(found), key=len)) if found else "runstone"


def _tell(run: Run, folder: str, runstone: str) -> None:
    found = run.outputs
    width = shutil.get_terminal_size().columns
    left_out, files = len(found["unparsable"]), len(found["files"])
    print(f"""
{run.status.capitalize()} after {run.duration_seconds:.0f} s: {left_out:,} of {files:,} files could not be parsed.

{report.brief(found["totals"], found["copies"], found["imported"], found["unparsable"], width)}

The report and the plot:
  {folder}/{found["report"]}
  {folder}/{found["plot"]}

The record of this run, and one of its outputs:
  {runstone} show {folder}
  {runstone} output {folder} unparsable""")


if __name__ == "__main__":
    main()
