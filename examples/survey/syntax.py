"""Measuring a module by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypedDict

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = {ast.For, ast.AsyncFor, ast.While}
NESTING = LOOPS | {ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match}
DECISIONS = LOOPS | {ast.If, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.match_case}


class Function(TypedDict):
    """place: where it is, as "json/decoder.py:335 JSONDecoder.decode". complexity: 1 and one more for each decision
    (McCabe 1976). nesting: how deep its deepest statement lies in ifs, loops, withs, tries and matches."""

    place: str
    lines: int
    complexity: int
    nesting: int
    documented: bool


class Module(TypedDict):
    """imports: dotted names that are imported when the module is; deferred: those imported when something is called."""

    path: str
    lines: int
    classes: int
    functions: list[Function]
    documented: bool
    imports: list[str]
    deferred: list[str]


def measure(path: str, tree: ast.Module) -> Module:
    """Measure a module. path: below the root, with forward slashes."""
    module = Module(
        path=path,
        lines=max((node.end_lineno or 0 for node in tree.body), default=0),
        classes=0,
        functions=[],
        documented=ast.get_docstring(tree, clean=False) is not None,
        imports=[],
        deferred=[],
    )
    for name, node, deferred in definitions(tree):
        if isinstance(node, FUNCTIONS):
            module["functions"].append(_function(f"{path}:{node.lineno} {name}", node))
        elif isinstance(node, ast.ClassDef):
            module["classes"] += 1
        else:
            module["deferred" if deferred else "imports"] += _imported(path, node)
    return module


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom


def definitions(tree: ast.AST, scope: str = "", deferred: bool = False) -> Iterator[tuple[str, Definition, bool]]:
    """Every function, class and import by its qualified name, and whether importing the module leaves it out."""
    for node in children(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            name = f"{scope}{node.name}"
            yield name, node, deferred
            yield from definitions(node, f"{name}.", deferred or isinstance(node, FUNCTIONS))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield scope, node, deferred
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from definitions(node, scope, deferred or _is_for_scripts(node))


def _is_for_scripts(node: ast.AST) -> bool:
    """Whether it is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ ==")


def _function(place: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    complexity, nesting = 1, 0
    todo: list[tuple[ast.AST, int]] = [(statement, 0) for statement in node.body]
    while todo:
        each, depth = todo.pop()
        kind = type(each)
        if kind in FUNCTIONS:
            continue  # is measured on its own
        if depth > nesting:
            nesting = depth
        if kind in DECISIONS:
            complexity += 1
        if isinstance(each, ast.BoolOp):
            complexity += len(each.values) - 1
        elif isinstance(each, ast.comprehension):
            complexity += len(each.ifs)
        inner = depth + 1 if kind in NESTING else depth
        below = children(each)
        if isinstance(each, ast.If) and [type(other) for other in each.orelse] == [ast.If]:
            todo.append((below.pop(), depth))  # an elif: in the tree it lies within the else, for a reader it does not
        todo += [(child, inner) for child in below]
    return Function(
        place=place,
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        complexity=complexity,
        nesting=nesting,
        documented=ast.get_docstring(node, clean=False) is not None,
    )


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below, in order, without the marks that tell reading from writing."""
    found: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and field != "ctx":
            found.append(value)
    return found


def is_test(path: str) -> bool:
    """Whether a file belongs to the tests of the library."""
    return bool({"test", "tests", "idle_test"} & set(path.split("/")))


def module_name(path: str) -> str:
    """The dotted name under which a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(path: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        # one dot means the package the file is in, which for an __init__.py is itself
        package = module_name(path).split(".")
        package = package[: len(package) - node.level + path.endswith("/__init__.py")]
        base = ".".join([*package, base]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]
