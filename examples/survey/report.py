"""What the survey found, for people: as Markdown, and in a few lines for a terminal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

from survey.clones import ALIKE, Copies, file_of
from survey.figures import LIMIT, Figures, share
from survey.imports import Imports
from survey.syntax import Function, is_test


def markdown(
    totals: Mapping[str, Figures],
    copies: Sequence[Copies],
    imports: Imports,
    unparsable: Mapping[str, str],
    picture: str,
) -> str:
    """The report. picture: where the picture lies, seen from the report."""
    library, tests = totals["library"], totals["tests"]
    in_library = _in_library(copies)
    elsewhere = [each for each in copies if each not in in_library]
    return f"""\
# The standard library of Python {platform.python_version()}

{_introduction(library, tests, len(copies), len(unparsable))}

{_table(["", ">library", ">its tests"], _compared(library, tests))}

![Complexity against length of all functions]({picture})

## The most complex functions

Cyclomatic complexity is 1 and one more for every decision. Above {LIMIT}, McCabe advised, a function should be split.

{_table([">complexity", ">lines", ">nesting", "library"], map(_function, library["most_complex"]))}

{_table([">complexity", ">lines", ">nesting", "its tests"], map(_function, tests["most_complex"][:5]))}

The deepest nesting in the library:

{_table([">complexity", ">lines", ">nesting", "library"], map(_function, library["deepest"]))}

## Code that stands in several files

Two functions are copies if at least {ALIKE:.0%} of their syntax trees agree; names of local variables, constants,
comments and layout make no difference. The lines are those of the shortest copy.

{_table([">lines", ">copies", ">alike", "library"], map(_copies, in_library[:15]))}

{_table([">lines", ">copies", ">alike", "tests, and what they share with the library"], map(_copies, elsewhere[:15]))}

## What is imported most

{_table(["module or package", ">by files of the library", ">by tests"], _imported(imports))}

## Import cycles

{_cycles(imports)}

## What could not be parsed

What is broken on purpose, for tests, stays out of all figures{_made(unparsable)}.

{_table(["file", "why"], ((f"`{path}`", _cell(why)) for path, why in unparsable.items()))}
"""


def _introduction(library: Figures, tests: Figures, copies: int, unparsable: int) -> str:
    files, functions = library["files"] + tests["files"], library["functions"] + tests["functions"]
    above = [share(side["too_complex"], side["functions"]) for side in (library, tests)]
    text = (
        f"{files:,} files with {functions:,} functions were measured; {unparsable:,} more could not be parsed. "
        f"{above[0]} of the library's functions are more complex than McCabe advised, and {above[1]} of those in its "
        f"tests. {copies:,} pieces of code stand in more than one file."
    )
    return fill(text, 100)


def _in_library(copies: Iterable[Copies]) -> list[Copies]:
    """Those that stand twice or more in the library itself, not only in its tests."""
    return [each for each in copies if sum(not is_test(file_of(place)) for place in each["places"]) > 1]


def _compared(library: Figures, tests: Figures) -> Iterable[list[str]]:
    both = (library, tests)
    yield ["files", *(f"{each['files']:,}" for each in both)]
    yield ["lines", *(f"{each['lines']:,}" for each in both)]
    yield ["classes", *(f"{each['classes']:,}" for each in both)]
    yield ["functions", *(f"{each['functions']:,}" for each in both)]
    yield ["median length of a function, lines", *(f"{each['median_lines']:g}" for each in both)]
    yield ["functions with a docstring", *(share(each["documented"], each["functions"]) for each in both)]
    yield [f"functions above complexity {LIMIT}", *(share(each["too_complex"], each["functions"]) for each in both)]


def _function(each: Function) -> list[str]:
    return [f"{each['complexity']:,}", f"{each['lines']:,}", f"{each['nesting']}", f"`{each['place']}`"]


def _copies(each: Copies) -> list[str]:
    places = "<br>".join(f"`{place}`" for place in each["places"][:4])
    more = len(each["places"]) - 4
    return [
        f"{each['lines']:,}",
        f"{len(each['places'])}",
        f"{each['likeness']:.0%}",
        places + (f"<br>and {more} more" if more > 0 else ""),
    ]


def _imported(imports: Imports) -> Iterable[list[str]]:
    return ([f"`{name}`", f"{library:,}", f"{tests:,}"] for name, library, tests in imports["most"][:15])


def _cycles(imports: Imports) -> str:
    if not imports["cycles"]:
        return "No module imports itself by way of others."
    return "\n".join(f"- {' → '.join(f'`{name}`' for name in [*way, way[0]])}" for way in imports["cycles"])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a head that begins with > is that of a column of numbers."""
    lines = [f"| {' | '.join(head.lstrip('>') for head in heads)} |"]
    lines.append(f"|{'|'.join('---:' if head.startswith('>') else '---' for head in heads)}|")
    found = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines + found) if found else "None."


def _made(unparsable: Iterable[str]) -> str:
    """What to say of broken files that lie elsewhere than the library."""
    made = any(os.path.isabs(path) for path in unparsable)
    return " (this installation has none, so the survey made two)" if made else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def brief(
    totals: Mapping[str, Figures], copies: Sequence[Copies], imports: Imports, unparsable: Mapping[str, str], width: int
) -> str:
    """The most telling findings, for a terminal of so many columns."""
    library = totals["library"]
    longest = sorted(_in_library(copies), key=lambda each: (-each["lines"], each["places"]))
    sections = {
        "Most complex functions of the library (ways through them)": [
            f"{each['complexity']:5}  {each['place']}" for each in library["most_complex"][:4]
        ],
        "Longest copies within the library (lines)": [
            f"{each['lines']:5}  {_name(each)} in {', '.join(map(file_of, each['places']))}" for each in longest[:4]
        ],
        "Most imported (files of the library that do)": [
            f"       {', '.join(f'{name} {files:,}' for name, files, _ in imports['most'][:5])}"
        ],
        "Import cycles in the library (modules)": [
            f"{len(way):5}  {' > '.join([*way, way[0]])}" for way in imports["cycles"][-3:]
        ],
        f"Left out, as they could not be parsed{_made(unparsable)}": [
            f"       {path}: {why}" for path, why in unparsable.items()
        ],
    }
    both = (library, totals["tests"])
    files, lines, functions = (sum(each[kind] for each in both) for kind in ("files", "lines", "functions"))
    text = [f"{files:,} files, {lines:,} lines, {functions:,} functions"]
    for heading, found in sections.items():
        text += ["", heading, *(found or ["       none"])]
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in text)


def _name(copies: Copies) -> str:
    return copies["places"][0].partition(" ")[2]
