"""The rules of the house that no linter knows: who may import whom, what is pure, what must start fast."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "runstone"

# From top to bottom. A module imports from its own floor or from those below; "runstone" is the public door itself.
FLOORS: list[set[str]] = [
    {"__main__", "cli"},
    {"api", "ui"},
    {"runstone"},
    {"testing", "workspace"},
    {"service"},
    {"client"},
    {"pipeline", "run", "tracking"},
    {"engine"},
    {"cache"},
    {"ledger"},
    {"folder"},
    {"drawing", "blocks"},
    {"secrets"},
    {"core"},
    {"amounts", "errors", "config", "config_keys", "version"},
]
FLOOR_OF = {place: number for number, floor in enumerate(FLOORS) for place in floor}

# What core may use besides itself and the errors: nothing here looks at a clock, a disk, a thread or a die.
PURE_MODULES = {
    "__future__",
    "abc",
    "ast",
    "base64",
    "bisect",
    "collections",
    "copy",
    "datetime",
    "difflib",
    "enum",
    "fractions",
    "functools",
    "graphlib",
    "hashlib",
    "heapq",
    "inspect",
    "itertools",
    "json",
    "keyword",
    "math",
    "msgspec",
    "operator",
    "re",
    "string",
    "struct",
    "sys",
    "textwrap",
    "types",
    "typing",
    "zlib",
}
PURE_ONLY_WHEN_CALLED = {"numpy"}
CLOCK_METHODS = {"now", "utcnow", "today"}
WORLDLY_FUNCTIONS = {"open", "print", "input", "breakpoint", "exec", "eval"}

HEAVY = {"asyncio", "rich", "numpy", "pandas", "pyarrow", "polars"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("runstone", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def place_of(module: str) -> str:
    """The place in the house that a module belongs to: `runstone.core.fold` is in `core`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "runstone"


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.AST, lazy: bool = False) -> Iterator[tuple[str, str | None, int, bool]]:
    """Each import below `tree`: module, name taken from it, line, and whether it waits inside a function.

    What only a type checker executes is left out.
    """
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, None, child.lineno, lazy
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield child.module or "", alias.name, child.lineno, lazy
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            for otherwise in child.orelse:
                yield from imports(otherwise, lazy)
        else:
            yield from imports(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def climbing_imports(module: str, tree: ast.AST, known: set[str]) -> list[str]:
    """The imports of a module that go up in the house, each as a sentence."""
    own = FLOOR_OF[place_of(module)]
    climbs = []
    for source, name, line, _ in imports(tree):
        if source.split(".")[0] != "runstone":
            continue
        target = f"{source}.{name}" if f"{source}.{name}" in known else source
        if FLOOR_OF[place_of(target)] < own:
            climbs.append(f"{module}, line {line}, imports {target}, which stands above it")
    return climbs


def impurities(module: str, tree: ast.AST) -> list[str]:
    """What a module of core does that touches the world, each as a sentence."""
    found = []
    for source, _, line, lazy in imports(tree):
        top = source.split(".")[0]
        if top != "runstone" and top not in PURE_MODULES and not (lazy and top in PURE_ONLY_WHEN_CALLED):
            found.append(f"{module}, line {line}, imports {source}")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_METHODS:
            found.append(f"{module}, line {node.lineno}, looks at a clock: {ast.unparse(node.func)}()")
        if isinstance(node.func, ast.Name) and node.func.id in WORLDLY_FUNCTIONS:
            found.append(f"{module}, line {node.lineno}, calls {node.func.id}()")
    return found


def test_every_module_has_a_place_in_the_house() -> None:
    homeless = sorted({place_of(module) for module in modules()} - set(FLOOR_OF))
    assert not homeless, f"give {homeless} a floor in FLOORS, and in CONTRIBUTING.md"


def test_imports_go_one_way() -> None:
    found = modules()
    climbs = [
        climb
        for module, path in found.items()
        for climb in climbing_imports(module, ast.parse(path.read_text("utf-8")), set(found))
    ]
    assert not climbs, "\n".join(climbs)


@pytest.mark.parametrize(
    "source",
    [
        "from runstone.engine import driver",
        "from runstone import pipeline",
        "from runstone import __version__",
        "import runstone.cli.main",
        "def later():\n    from runstone.folder import journal",
        "class A:\n    def b(self):\n        import runstone.folder.layout",
    ],
)
def test_an_import_that_climbs_is_noticed_wherever_it_hides(source: str) -> None:
    known = {"runstone", "runstone.pipeline", "runstone.engine.driver", "runstone.folder.journal"}
    assert climbing_imports("runstone.core.fold", ast.parse(source), known)


@pytest.mark.parametrize(
    "source",
    [
        "from runstone.core import events",
        "from runstone.errors import RunstoneError",
        "import runstoneware.cli",
        "if TYPE_CHECKING:\n    from runstone.run import Run",
        "import typing\nif typing.TYPE_CHECKING:\n    from runstone.run import Run",
    ],
)
def test_imports_that_stay_or_go_down_and_those_for_types_are_free(source: str) -> None:
    assert not climbing_imports("runstone.core.fold", ast.parse(source), {"runstone"})


def test_core_is_pure() -> None:
    found = [
        impurity
        for module, path in modules().items()
        if place_of(module) == "core"
        for impurity in impurities(module, ast.parse(path.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "from pathlib import Path",
        "import numpy as np",
        "def f():\n    import time",
        "datetime.now()",
        "import datetime\ndatetime.datetime.now(tz)",
        "open('x')",
    ],
)
def test_an_impurity_is_noticed(source: str) -> None:
    assert impurities("runstone.core.fold", ast.parse(source))


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
    )


def test_importing_runstone_loads_nothing_heavy() -> None:
    answer = python("-c", "import sys, runstone; print(*sys.modules)")
    assert answer.returncode == 0, answer.stderr
    assert not HEAVY & set(answer.stdout.split())


STATUS_AND_WHAT_IT_LOADED = """
import sys
from runstone.cli.main import main
sys.argv = ["runstone", "status", sys.argv[1]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""

A_RUN = """
import sys
from runstone import Pipeline, block

@block
def doubled(number: int) -> int:
    return 2 * number

Pipeline("house", [doubled]).run({"number": 21}, run_folder=sys.argv[1], show_progress=False)
"""


def test_the_status_command_answers_without_loading_anything_heavy(tmp_path: Path) -> None:
    folder = tmp_path / "house-run"
    script = tmp_path / "a_run.py"
    script.write_text(A_RUN, encoding="utf-8")
    made = python(str(script), str(folder))
    assert made.returncode == 0, made.stderr

    answer = python("-c", STATUS_AND_WHAT_IT_LOADED, str(folder))

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["status"] == "completed"
    assert not HEAVY & set(answer.stderr.split())


def test_changelog_fragments_are_named_so_that_the_changelog_finds_them() -> None:
    strays = [
        path.name
        for path in (ROOT / "changelog.d").iterdir()
        if path.name != "README.md" and not re.fullmatch(r"\+[a-z0-9-]+\.(added|changed|fixed|removed)\.md", path.name)
    ]
    assert not strays, f"changelog.d/README.md tells how to name {strays}"
