"""Research in a folder of texts: find documents, read them, extract what they speak of, and write down what belongs to
a topic. First in a few of them, then the same run again in all, and then what made the difference.

    python examples/research.py                                   # Runstone's own documents
    python examples/research.py --root ~/notes --topic invoices   # yours

Both runs are kept in a workspace of their own, `research`, with their reports as artifacts. How texts are taken apart
stands in `reading/`: plain functions that know nothing of pipelines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from reading import digest, texts
from reading.texts import Mentions

from runstone import Pipeline, RunstoneError, artifact, block
from runstone.workspace import Run, Workspace, WorkspaceManager

DOCUMENTS = str(Path(__file__).resolve().parents[1] / "docs")
WORKSPACE = "research"


@block
def discover(root: str = DOCUMENTS, max_documents: int = 5) -> list[str]:
    """Find the documents below a folder: the longest come first."""
    found = texts.documents(root)
    if not found:
        raise FileNotFoundError(f"there are no texts in {root}: no {', '.join(texts.ENDINGS)}")
    return found[:max_documents]


@block(mapspec="discover[i] -> fetch[i]", renames={"path": "discover"}, on_error="continue")
def fetch(path: str, root: str) -> str:
    """Read a document. One that cannot be read fails here, and alone."""
    return Path(root, path).read_text(encoding="utf-8")


@block(mapspec="fetch[i], discover[i] -> entities[i]", renames={"text": "fetch", "path": "discover"})
def entities(text: str, path: str) -> Mentions:
    """Extract what a document speaks of: names, and things that are written like code."""
    return texts.mentions(path, text)


@block(missing="drop")
def ranking(entities: list[Mentions]) -> list[tuple[str, float]]:
    """Rank what is spoken of: what few documents say often stands above what all of them mention."""
    return digest.rank(entities)


@block(missing="drop")
def synthesis(entities: list[Mentions], ranking: list[tuple[str, float]], topic: str = "worker") -> str:
    """Write down what is said about the topic, with its sources; the report and the figures are artifacts."""
    told = digest.about(topic, entities)
    _save("report.md", digest.report(topic, told, entities, ranking), {"topic": topic, "documents": len(entities)})
    counted: Counter[str] = Counter()
    for each in entities:
        counted.update(each["counts"])
    _save("entities.json", json.dumps(dict(counted.most_common()), indent=1, ensure_ascii=False), {})
    sources = len({each["path"] for each in told})
    return f"{digest.counted(told, 'sentence')} about {topic!r} in {sources} of {digest.counted(entities, 'document')}"


research = Pipeline(
    "research",
    [discover, fetch, entities, ranking, synthesis],
    description="What a folder of texts says about a topic",
    tags=["example"],
)


def _save(name: str, text: str, metadata: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8")
        artifact(path, metadata=metadata)


async def study(root: str, topic: str, few: int) -> None:
    """Look into a few documents, then into all, and compare."""
    workspace = await WorkspaceManager().create(WORKSPACE, description="what texts say", exist_ok=True)
    first = await workspace.run(research, {"root": root, "topic": topic, "max_documents": few})
    await _tell("A first look", first)

    job = await workspace.replay_run(first.run_id, param_overrides={"max_documents": 1000})
    whole = await job.wait()
    await _tell("The same again, in all documents", whole)

    await _tell_difference(workspace, first, whole)
    history = await workspace.get_run_history()
    print(f"\n{history.total_runs} runs in this workspace until now, {history.completed} completed. Look at them:")
    for command in (
        f"tail --workspace {WORKSPACE}",
        f"show {whole.run_id[:8]} --workspace {WORKSPACE}",
        f"compare {first.run_id[:8]} {whole.run_id[:8]} --workspace {WORKSPACE}",
    ):
        print(f"  runstone {command}")


async def _tell(heading: str, run: Run) -> None:
    print(f"\n{heading}: {run.status} after {run.duration_seconds:.1f} s\n  {run.outputs['synthesis']}")
    ranked = ", ".join(name for name, _ in run.outputs["ranking"][:6])
    print(f"  most their own: {ranked}")
    for saved in await run.list_artifacts():
        print(f"  {os.path.join(os.path.relpath(run.run_folder or '.'), saved.path)}  {saved.size_bytes:,} bytes")


async def _tell_difference(workspace: Workspace, first: Run, whole: Run) -> None:
    compared = await workspace.compare_runs(first.run_id, whole.run_id)
    if compared.diverges is None:
        print("\nBoth runs made the same.")
        return
    because = ", ".join(compared.diverges.because)
    print(f"\nThey part at the block {compared.diverges.block!r}: {because}.")
    one, other = ({name for name, _ in run.outputs["ranking"][:20]} for run in (first, whole))
    print(f"  of the 20 first in the ranking, {len(one & other)} stayed and {len(other - one)} are new")


def _word(said: str) -> str:
    if not said.strip():
        raise argparse.ArgumentTypeError("write a word")
    return said


def _count(said: str) -> int:
    if not said.isdecimal() or int(said) == 0:
        raise argparse.ArgumentTypeError(f"{said!r} is no number of documents: write 1 or more")
    return int(said)


def main() -> None:
    """Do the research and say what it found."""
    arguments = argparse.ArgumentParser(description="What a folder of texts says about a topic.")
    arguments.add_argument("--root", default=DOCUMENTS, help="the folder with texts; default: Runstone's documents")
    arguments.add_argument("--topic", type=_word, default="worker", help="a word (default: worker)")
    arguments.add_argument("--few", type=_count, default=5, help="into how many documents the first look goes (5)")
    said = arguments.parse_args()
    try:
        asyncio.run(study(os.path.abspath(said.root), said.topic, said.few))
    except RunstoneError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
