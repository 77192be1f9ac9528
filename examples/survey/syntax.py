"""Measuring a module by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypedDict

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
NESTING = (*LOOPS, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
DECISIONS = (*LOOPS, ast.If, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.match_case)


class Function(TypedDict):
    """place: where it is, as "json/decoder.py:335 JSONDecoder.decode". complexity: 1 and one more for each decision
    (McCabe 1976). nesting: how deep its deepest statement lies in ifs, loops, withs, tries and matches."""

    place: str
    lines: int
    complexity: int
    nesting: int
    documented: bool


class Module(TypedDict):
    """imports: dotted names that are imported when the module is; deferred: those imported inside of functions."""

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


def definitions(tree: ast.AST, scope: str = "", inside: bool = False) -> Iterator[tuple[str, Definition, bool]]:
    """Every function, class and import of a module with its qualified name, and whether a function holds it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            name = f"{scope}{node.name}"
            yield name, node, inside
            yield from definitions(node, f"{name}.", inside or isinstance(node, FUNCTIONS))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield scope, node, inside
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from definitions(node, scope, inside)


def _function(place: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    complexity, nesting = 1, 0
    todo: list[tuple[ast.AST, int]] = [(statement, 0) for statement in node.body]
    while todo:
        each, depth = todo.pop()
        if isinstance(each, FUNCTIONS):
            continue  # is measured on its own
        nesting = max(nesting, depth)
        complexity += isinstance(each, DECISIONS)
        if isinstance(each, ast.BoolOp):
            complexity += len(each.values) - 1
        elif isinstance(each, ast.comprehension):
            complexity += len(each.ifs)
        inner = depth + isinstance(each, NESTING)
        for child in ast.iter_child_nodes(each):
            # the tree holds an elif as an if within the else, but a reader is no deeper there
            chained = isinstance(each, ast.If) and each.orelse == [child] and isinstance(child, ast.If)
            todo.append((child, depth if chained else inner))
    return Function(
        place=place,
        lines=(node.end_lineno or node.lineno) - node.lineno + 1,
        complexity=complexity,
        nesting=nesting,
        documented=ast.get_docstring(node, clean=False) is not None,
    )


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
