"""A picture of all functions, as SVG: how long they are, and how many ways lead through them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape

from survey.figures import LIMIT, share
from survey.syntax import Function

WIDTH, HEIGHT = 1000, 620
TOP, BOTTOM = 130, HEIGHT - 76
NAMED = 6

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Ubuntu, sans-serif; fill: #1f2328; }
  .title { font-size: 20px; font-weight: 600; }
  .heading { font-size: 15px; font-weight: 600; }
  .heading.left { fill: #0969da; }
  .heading.right { fill: #b35900; }
  .faint { fill: #59636e; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .name { font-size: 12px; }
  .halo { stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
  .paper { fill: #ffffff; }
  .grid { stroke: #d8dee4; fill: none; }
  .limit { stroke: #59636e; stroke-dasharray: 5 4; fill: none; }
  .leader { stroke: #59636e; stroke-width: 0.7; fill: none; }
  .dots { fill: none; stroke-linecap: round; stroke-opacity: 0.6; }
  .dots.left { stroke: #0969da; }
  .dots.right { stroke: #b35900; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .heading.left { fill: #4c9dff; }
    .heading.right { fill: #e39a3b; }
    .faint { fill: #9198a1; }
    .halo { stroke: #0d1117; }
    .paper { fill: #0d1117; }
    .grid { stroke: #262c36; }
    .limit, .leader { stroke: #9198a1; }
    .dots.left { stroke: #4c9dff; }
    .dots.right { stroke: #e39a3b; }
  }
"""


def draw(library: Sequence[Function], tests: Sequence[Function]) -> str:
    """The text of an SVG file, which follows the reader's light or dark mode."""
    above = [share(sum(each["complexity"] > LIMIT for each in side), len(side)) for side in (library, tests)]
    title = f"{above[0]} of the library’s functions are more complex than advised, {above[1]} of its tests"
    everything = [*library, *tests]
    longest = _round_number(max((each["lines"] for each in everything), default=1), least=100)
    most = _round_number(max((each["complexity"] for each in everything), default=1), least=20)
    y = _Scale(most, BOTTOM, TOP)
    middle = (WIDTH + 32) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(24, 38, title, "title"),
        _text(
            24, 64, "How many independent ways lead through a function (its cyclomatic complexity), against its length"
        ),
        *_panel("The library", library, _Scale(longest, 70, middle - 18), y, "left"),
        *_panel("Its tests", tests, _Scale(longest, middle + 18, WIDTH - 24), y, "right"),
        *(_text(56, y(tick) + 4, f"{tick:,}", "faint end") for tick in y.ticks),
        f'<text class="middle" transform="translate(20 {(TOP + BOTTOM) / 2}) rotate(-90)">complexity (ways)</text>',
        _text(
            middle,
            HEIGHT - 18,
            "length (lines); both axes are logarithmic, and a larger dot is more functions",
            "middle",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """A logarithmic axis from 1 to `most`, drawn between two coordinates. ticks: the round numbers along it."""

    def __init__(self, most: int, start: float, end: float) -> None:
        self.most, self.start, self.end = most, start, end
        self.ticks = [digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5)]
        self.ticks = [tick for tick in self.ticks if tick <= most]

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * math.log(value) / math.log(self.most)


def _round_number(number: int, least: int) -> int:
    """1, 2 or 5 with zeros, not below either of the two."""
    rounded = 1
    while rounded < max(number, least):
        rounded = rounded * 5 // 2 if str(rounded)[0] == "2" else rounded * 2
    return rounded


def _panel(heading: str, functions: Sequence[Function], x: _Scale, y: _Scale, side: str) -> list[str]:
    above = sum(each["complexity"] > LIMIT for each in functions)
    told = f"{len(functions):,} functions, {above:,} of them above {LIMIT}"
    left, right = x.start - 10, x.end + 4
    return [
        *(f'<path class="grid" d="M{x(tick):.1f} {TOP}V{BOTTOM + 14}"/>' for tick in x.ticks),
        *(_text(x(tick), BOTTOM + 30, f"{tick:,}", "faint middle") for tick in x.ticks),
        *(f'<path class="grid" d="M{left:.1f} {y(tick):.1f}H{right:.1f}"/>' for tick in y.ticks),
        f'<text x="{left:.1f}" y="{TOP - 18}"><tspan class="heading {side}">{heading}</tspan>'
        f'<tspan class="faint" dx="8">{told}</tspan></text>',
        *_dots(functions, x, y, side),
        f'<path class="limit" d="M{left:.1f} {y(LIMIT):.1f}H{right:.1f}"/>',
        _name(left + 4, y(LIMIT) - 6, f"{LIMIT}: above it McCabe would split", "faint"),
        *_names(functions, x, y),
    ]


def _dots(functions: Sequence[Function], x: _Scale, y: _Scale, side: str) -> list[str]:
    """One dot for all functions of the same length and complexity: the more there are, the larger."""
    by_width = defaultdict(list)
    counts = Counter((each["lines"], each["complexity"]) for each in functions)
    for (lines, complexity), count in sorted(counts.items()):
        by_width[3 + round(1.3 * math.log2(count))].append(f"M{x(lines):.1f} {y(complexity):.1f}h0")
    # a stroke of no length with round ends is a dot, and one path takes any number of them
    return [
        f'<path class="dots {side}" stroke-width="{width}" d="{"".join(dots)}"/>'
        for width, dots in sorted(by_width.items(), reverse=True)
    ]


def _names(functions: Sequence[Function], x: _Scale, y: _Scale) -> list[str]:
    """Name the most complex, in the corner that is always empty (nothing is short and complex), and the longest."""
    named = sorted(functions, key=lambda each: (-each["complexity"], each["place"]))[:NAMED]
    if not named:
        return []
    found = []
    column = min(x(each["lines"]) for each in named) - 26
    centre = sum(y(each["complexity"]) for each in named) / len(named)
    for row, each in enumerate(named):
        height = max(centre - 9 * (len(named) - 1), TOP + 12) + 18 * row
        label = _label(each)
        end = max(column, x.start + 6.2 * len(label))
        dot = f"{x(each['lines']) - 3:.1f} {y(each['complexity']):.1f}"
        found.append(f'<path class="leader" d="M{end + 4:.1f} {height:.1f}L{dot}"/>')
        found.append(_name(end, height + 4, label, "end"))
    longest = max(functions, key=lambda each: (each["lines"], each["place"]))
    if longest not in named:
        label = f"{_label(longest)}, {longest['lines']:,} lines"
        found.append(_name(x(longest["lines"]) + 4, y(longest["complexity"]) - 9, label, "end"))
    return found


def _label(function: Function) -> str:
    """The last two parts of its name, the module's included: "Popen.__init__", "shlex.split"."""
    path, _, name = function["place"].partition(" ")
    module = path.partition(".py")[0].removesuffix("/__init__").rpartition("/")[2]
    return ".".join(f"{module}.{name}".split(".")[-2:])


def _name(x: float, y: float, text: str, kind: str) -> str:
    """Small text that stays legible on dots and lines, also where `paint-order` is not known."""
    return _text(x, y, text, f"name {kind} halo") + _text(x, y, text, f"name {kind}")


def _text(x: float, y: float, text: str, kind: str = "plain") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
