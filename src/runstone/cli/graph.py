"""`runstone graph`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click
import msgspec

from runstone.cli.arguments import complete_run
from runstone.cli.reading import reading_block
from runstone.errors import RunNotFound

if TYPE_CHECKING:
    from runstone.drawing import Drawing

_MOST_DETAIL = 40


@click.command()
@click.argument("place", metavar="FILE.py[:NAME] | MODULE:NAME | RUN", shell_complete=complete_run)
@click.option("-o", "file", metavar="FILE.svg", help="Draw a picture into FILE.svg.")
@click.option("--json", "as_json", is_flag=True, help="Print nodes and edges as one JSON object.")
def command(place: str, file: str | None, as_json: bool) -> None:
    """Draw the graph of a pipeline, or of a run with the status of each block: as text, or with -o as a picture.

    RUN/BLOCK draws one block with what it takes, and the blocks that take from it. The file of a pipeline is imported,
    which runs it; its blocks are not called.
    """
    if file is not None and os.path.splitext(file)[1].lower() != ".svg":
        raise click.UsageError(f"-o {file}: the picture is SVG, so let the name end in .svg")
    drawing, status = _of_run(place) if _is_run(place) else _of_pipeline(place)
    if as_json:
        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(drawing))
    if file is not None:
        from runstone.cli.destination import destination
        from runstone.drawing import to_svg

        picture = to_svg(drawing).encode()
        with destination(file) as to:
            to.write(picture)
    elif not as_json:
        _print(drawing, status)


def _is_run(place: str) -> bool:
    """A folder with a run is a run whatever it is called; else a file or `module:name` is a pipeline."""
    from runstone.folder import layout

    if os.path.isfile(os.path.join(place, layout.RUN)):
        return True
    return not re.search(r"\.py(:[^/\\]*)?$|^[\w.]+:[\w.]*$", place)


def _of_run(place: str) -> tuple[Drawing, str]:
    from runstone.core.previews import in_words
    from runstone.drawing.from_run import graph_drawing
    from runstone.folder.look import Look
    from runstone.folder.overview import overview
    from runstone.folder.read import read_info

    try:
        with reading_block(place) as found, Look(found.folder) as look:
            info = read_info(look)
            seen = overview(found.folder)
    except RunNotFound as error:
        raise RunNotFound(f"{error}; a pipeline is named as FILE.py or module:name") from None
    drawing = graph_drawing(
        info.pipeline.name,
        info.blocks,
        {param.name: _short(in_words(param.preview)) for param in seen.params},
        {block.name: block.acting_status for block in seen.blocks},
    )
    if found.block is None:
        return drawing, seen.status["status"]
    status = next(block.acting_status for block in seen.blocks if block.name == found.block)
    return _around(drawing, found.block), status


def _around(drawing: Drawing, block: str) -> Drawing:
    """The part of a drawing that has to do with one block."""
    middle = next(node.id for node in drawing.nodes if node.label == block and node.kind == "block")
    edges = tuple(edge for edge in drawing.edges if middle in (edge.source, edge.target))
    near = {middle, *(edge.source for edge in edges), *(edge.target for edge in edges)}
    nodes = tuple(node for node in drawing.nodes if node.id in near)
    return msgspec.structs.replace(drawing, nodes=nodes, edges=edges, title=f"{drawing.title}/{block}")


def _of_pipeline(place: str) -> tuple[Drawing, str]:
    from runstone.cli.loading import load_pipeline
    from runstone.drawing.from_run import graph_drawing

    pipeline = load_pipeline(place)
    parameters = {name: _described(parameter) for name, parameter in pipeline.graph.run_parameters.items()}
    return graph_drawing(pipeline.name, pipeline.described[1], parameters), ""


def _described(parameter: Any) -> str:
    """The annotation of a parameter and its default, as far as there are any."""
    from runstone.core.previews import in_words
    from runstone.folder.preview import preview

    annotation = parameter.annotation
    told = "" if annotation is Any else annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if not parameter.required:
        told += f"{' ' if told else ''}= {in_words(preview(parameter.default))}"
    return _short(told)


def _short(text: str) -> str:
    from runstone.drawing.lettering import shortened_to_cells

    return shortened_to_cells(text, _MOST_DETAIL)


def _print(drawing: Drawing, status: str) -> None:
    from rich.text import Text

    from runstone.cli.paper import STYLES, paper, said, takes, width, word
    from runstone.core.tones import tone_of
    from runstone.drawing import to_text

    text = Text(to_text(drawing, width(), plain=not takes("╭│●…")))
    for known in {node.status for node in drawing.nodes if node.status}:
        text.highlight_regex(rf"(?m)(?<=  ){re.escape(known)}(?=  |$)", STYLES[tone_of(known)])
    title = said(drawing.title, "bold")
    if status:
        title = Text.assemble(title, "  ", word(status))
    with paper() as console:
        console.print(title)
        console.print()
        console.print(text, soft_wrap=True, end="")
