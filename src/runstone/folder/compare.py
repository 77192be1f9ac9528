"""The facts of a run in its folder, for comparing it with others. Nothing is unpickled unless somebody trusts it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from runstone.core.compare import (
    CODE,
    COMMIT,
    DURATIONS,
    ENVIRONMENT,
    INPUTS,
    METRICS,
    OUTPUTS,
    PARAMETERS,
    RUN,
    BlockFacts,
    Comparison,
    Fact,
    RunFacts,
    compare,
)
from runstone.core.figures import duration, size
from runstone.core.previews import in_words
from runstone.core.records import BlockInfo, ParamInfo, RunInfo
from runstone.core.reuse import UNRESOLVED
from runstone.core.status import block_statuses
from runstone.core.statuses import BlockStatus
from runstone.errors import FolderError, NotStorable
from runstone.folder import input_digests
from runstone.folder.load import Loader
from runstone.folder.look import Look
from runstone.folder.manifest import first_error
from runstone.folder.observe import block_seconds, observation, observe
from runstone.folder.preview import preview
from runstone.folder.read import Reading, read_look
from runstone.folder.value_facts import of_output, of_value
from runstone.folder.values import decode_small, encode_small

_PACKAGE = "package:"
_AS_TEXT = ("python", "version")
"""Parts of a code identity that say something to people; the others are digests."""

_DIGEST_SHOWN = 12
_MADE = (BlockStatus.COMPLETED, BlockStatus.REUSED, BlockStatus.DEGRADED)


def compare_folders(folders: Sequence[str], *, trust: bool = False) -> Comparison:
    """Compare the runs in these folders with the first of them. trust: whether pickles may be opened, which runs code.

    Raises FileNotFoundError, NotADirectoryError, FolderError.
    """
    return compare([facts(folder, trust=trust) for folder in folders])


def facts(folder: str, *, trust: bool = False) -> RunFacts:
    """All facts of one run. Raises as `compare_folders` does."""
    path = os.path.abspath(folder)
    with Look(path) as look:
        reading = read_look(look, bounded=False)
        digests = input_digests.of_run(look, reading.info.params)
    info = reading.info
    status = observe(reading, path)
    words = block_statuses(info, reading.state, observation(reading, path), status["outputs"])
    loader = Loader(path, trust=trust)
    outputs = {block.name: _outputs(loader, reading, block) for block in info.blocks}
    parameters, inputs = _parameters(info, digests, Loader(path, trust=False))
    told = {
        RUN: _run(info, status["status"], first_error(reading.state)),
        PARAMETERS: parameters,
        CODE: {subject: fact for block in info.blocks for subject, fact in _code(block).items()},
        ENVIRONMENT: _environment(info),
        INPUTS: inputs,
        OUTPUTS: {subject: fact for facts in outputs.values() for subject, fact in facts.items()},
        DURATIONS: _durations(reading),
        METRICS: _metrics(reading),
    }
    return RunFacts(
        run_id=info.id,
        pipeline=info.pipeline.name,
        status=status["status"],
        created_at=info.created_at,
        folder=path,
        blocks=[
            BlockFacts(
                name=block.name,
                status=words[block.name],
                outputs=list(outputs[block.name]),
                takes=[each.name for each in block.parameters if each.name in info.params],
                upstream=block.upstream,
            )
            for block in info.blocks
        ],
        sections=told,
    )


def _run(info: RunInfo, status: str, error: str | None) -> dict[str, Fact]:
    return _texts({"pipeline": info.pipeline.name, "version": info.pipeline.version, "status": status, "error": error})


def _texts(told: dict[str, str | None]) -> dict[str, Fact]:
    return {name: Fact(shown=said, mark=said) for name, said in told.items() if said}


def _parameters(
    info: RunInfo, digests: dict[str, str | None], loader: Loader
) -> tuple[dict[str, Fact], dict[str, Fact]]:
    """Those that are small, by their values; and the larger ones, by their digests."""
    small: dict[str, Fact] = {}
    large: dict[str, Fact] = {}
    for name, given in info.params.items():
        param, digest = given, digests.get(name)
        if not given.is_small and given.secret is None and given.preview is None:
            param = _taken_in(name, given, loader)
            digest = input_digests.of_new({name: param}, {})[name] if param.is_small else digest
        if param.secret is not None:
            small[name] = Fact(shown=_secret(in_words(param.preview), digest), mark=digest)
        elif param.is_small:
            fact = _small(param)
            small[name] = Fact(shown=fact.shown, mark=digest, text=fact.text, number=fact.number)
        else:
            said = in_words(param.preview) if param.preview is not None else param.type
            shown = f"{said} ({digest[:_DIGEST_SHOWN]})" if digest else f"{said} (cannot be read)"
            large[name] = Fact(shown=shown, mark=digest)
    return small, large


def _secret(said: str, digest: str | None) -> str:
    # with another key the same secret has another digest, which is to be seen
    if digest is None:
        return said
    told, _, key = digest.partition("@")
    return f"{said} ({told[:_DIGEST_SHOWN]}, by the key {key})"


def _taken_in(name: str, param: ParamInfo, loader: Loader) -> ParamInfo:
    """A parameter without a preview, for which the record had no room: as another run has it there, if it is small."""
    try:
        value = loader.param(name)
        raw = encode_small(value)
    except (FolderError, NotStorable):
        # a pickle, or damaged
        return param
    if raw is None:
        return param
    return ParamInfo(type=param.type, value=msgspec.json.decode(raw), preview=preview(value), source=param.source)


def _small(param: ParamInfo) -> Fact:
    try:
        return of_value(decode_small(param.value, trust=False))
    except FolderError:
        # a pickle, or damaged
        return Fact(shown=in_words(param.preview), mark=None)


def _code(block: BlockInfo) -> dict[str, Fact]:
    settings = {
        "mapspec": block.mapspec,
        "outputs": ", ".join(block.outputs),
        "missing": block.missing,
        "when": ", ".join(block.condition) if block.conditional else None,
    }
    found = {f"{block.name}: {name}": Fact(shown=said, mark=said) for name, said in settings.items() if said}
    for part, digest in block.code.items():
        if part.startswith(_PACKAGE) or part == "python":
            continue
        known = digest != UNRESOLVED
        shown = digest if part in _AS_TEXT else digest.rpartition(":")[2][:_DIGEST_SHOWN]
        found[f"{block.name}: {part}"] = Fact(
            shown=shown if known else "cannot be compared", mark=digest if known else None
        )
    if not block.code:
        found[f"{block.name}: function"] = Fact(shown="not known", mark=None)
    return found


def _environment(info: RunInfo) -> dict[str, Fact]:
    by = info.started_by
    packages = {
        f"package {part.removeprefix(_PACKAGE)}": version
        for block in info.blocks
        for part, version in block.code.items()
        if part.startswith(_PACKAGE)
    }
    return _texts(
        {
            "python": by.python,
            "runstone": by.runstone,
            "host": by.host,
            "user": by.user,
            COMMIT: by.commit,
            "folder": by.cwd,
            "settings": None if info.config_hash is None else info.config_hash[:_DIGEST_SHOWN],
            **dict(sorted(packages.items())),
        }
    )


def _outputs(loader: Loader, reading: Reading, block: BlockInfo) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    state = reading.state.blocks[block.name]
    for name in block.outputs:
        if name not in state.outputs and state.status not in _MADE and reading.heuristic is None:
            continue
        try:
            found.update(of_output(name, loader.pieces(name)))
        except FolderError as error:
            found[name] = Fact(shown=f"cannot be read: {error}", mark=None)
    return found


def _durations(reading: Reading) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    for name, block in reading.state.blocks.items():
        seconds = block_seconds(block, None)
        if seconds is not None:
            found[name] = Fact(shown=duration(seconds), mark=None, number=seconds)
    return found


def _metrics(reading: Reading) -> dict[str, Fact]:
    state = reading.state
    blocks = state.blocks.values()
    counts: dict[str, float] = {
        "errors": state.error_count,
        "artifacts": state.artifact_count,
        "elements failed": sum(block.failed for block in blocks if block.shape is not None),
        "elements": sum(block.total or 0 for block in blocks),
        "retries": sum(block.retries for block in blocks),
    }
    found = {name: Fact(shown=f"{number:,}", mark=str(number), number=number) for name, number in counts.items()}
    stored = sum(output.bytes for block in blocks for output in block.outputs.values())
    found["bytes of outputs"] = Fact(shown=size(stored), mark=str(stored), number=stored)
    return found
