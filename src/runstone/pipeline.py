"""`Pipeline`: a named, checked graph of blocks, and how to run it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from runstone.blocks import Block
from runstone.blocks import block as make_block
from runstone.core.graph import Graph, build_graph
from runstone.core.records import BlockInfo, ParameterInfo, PipelineInfo
from runstone.core.settings import Level, OnError, PipelineSettings, RunSettings, Settings, read_settings, resolve
from runstone.engine import code
from runstone.engine.failures import clean
from runstone.engine.identity_walk import Survey
from runstone.engine.importing import place_of
from runstone.engine.launch import AUTO, Auto, launch
from runstone.engine.own_frames import OwnFramesHidden
from runstone.errors import PipelineError
from runstone.run import Run, execute

if TYPE_CHECKING:
    from runstone.engine.background import RunHandle


class Pipeline:
    """A named graph of blocks, checked when it is made.

    blocks: in any order; plain functions become blocks with all settings at their defaults.
    settings: defaults for blocks that do not say otherwise (retries, timeout, executor, max_parallel, cache), tags,
    version, and `on_error`: "fail" (nothing new starts after a failure) or "continue" (independent branches finish).

    Raises PipelineError for everything that can be known to be wrong before running.
    """

    def __init__(
        self,
        name: str,
        blocks: Iterable[Any],
        *,
        description: str = "",
        **settings: Unpack[PipelineSettings],
    ) -> None:
        if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name) or len(name) > 100:
            raise PipelineError(f"{name!r} cannot be the name of a pipeline: use letters, digits, - and _, at most 100")
        self.name = name
        self.description = description
        self.settings: Settings = read_settings(Level.PIPELINE, f"pipeline {name!r}", settings)
        made = [item if isinstance(item, Block) else make_block(item) for item in blocks]
        self.graph: Graph = build_graph(item.graph_block() for item in made)
        by_name = {item.name: item for item in made}
        self.blocks: dict[str, Block[..., Any]] = {each: by_name[each] for each in self.graph.blocks}
        self._described: tuple[Mapping[str, dict[str, str]], PipelineInfo, list[BlockInfo]] | None = None

    def __repr__(self) -> str:
        return f"<pipeline {self.name!r}: {', '.join(self.blocks)}>"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags every run of this pipeline gets."""
        return self.settings.tags

    def run(
        self,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        run_folder: str | os.PathLike[str] | Auto | None = AUTO,
        show_progress: bool | str | None = None,
        raise_on_error: bool = True,
        workspace: str | None = None,
        resume: bool = False,
        overwrite: bool = False,
        **settings: Unpack[RunSettings],
    ) -> Run:
        """Execute the pipeline in this process and return its record.

        params: by name; what has a default may be left out.
        run_folder: where the record is kept; None keeps nothing.
        show_progress: True, False, "headless" (tracked, not shown), or None: bars where somebody is watching.
        resume: go on with the run in that folder, if there is one: the same run if its process died; a new one beside
            it, which takes over what is still valid, if it ended or code or parameters have changed; a run that
            completed with the same ones is returned.
        overwrite: move the run in that folder to `.trash` beside it first.
        settings: for this run; the block's own win, the pipeline's lose.

        Raises InputError before anything runs, RunFailed (with `.run`) if it ends failed, timed_out, cancelled or
        crashed, unless raise_on_error=False; a degraded run returns. StorageError if it cannot be recorded.
        """
        launched = launch(
            self,
            params or {},
            run_folder=run_folder,
            show_progress=show_progress,
            workspace=workspace,
            settings=settings,
            resume=resume,
            overwrite=overwrite,
        )
        with OwnFramesHidden(launched.run_id, launched.folder):
            return execute(launched, raise_on_error=raise_on_error)

    def run_async(
        self,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        run_folder: str | os.PathLike[str] | Auto | None = AUTO,
        show_progress: bool | str | None = None,
        raise_on_error: bool = True,
        workspace: str | None = None,
        resume: bool = False,
        overwrite: bool = False,
        **settings: Unpack[RunSettings],
    ) -> RunHandle[Run]:
        """Start the pipeline in a thread and return at once; as `run` otherwise.

        The handle can be awaited, and has `result()`, `cancel()` and `progress`. Cancelling the task that awaits it
        cancels the run.
        """
        from runstone.engine.background import RunHandle

        launched = launch(
            self,
            params or {},
            run_folder=run_folder,
            show_progress=show_progress,
            workspace=workspace,
            settings=settings,
            resume=resume,
            overwrite=overwrite,
        )
        return RunHandle(launched, functools.partial(execute, raise_on_error=raise_on_error)).start()

    map = run
    map_async = run_async

    def resolved(self, run: Settings) -> dict[str, Settings]:
        """What holds for each block in a run with these settings."""
        if run == Settings():
            return self._resolved_alone
        return self._resolve(run)

    @functools.cached_property
    def _resolved_alone(self) -> dict[str, Settings]:
        return self._resolve(Settings())

    def _resolve(self, run: Settings) -> dict[str, Settings]:
        return {name: resolve(block.settings, run, self.settings) for name, block in self.blocks.items()}

    @property
    def described(self) -> tuple[PipelineInfo, list[BlockInfo]]:
        """The part of `run.json` that is the same for every run with this code."""
        survey = Survey()
        identities = {
            name: code.parts(block.function, block.settings.version, block.settings.when, survey)
            for name, block in self.blocks.items()
        }
        # what a block calls may have been defined anew since the last run, as in a notebook
        if self._described is None or self._described[0] != identities:
            self._described = (identities, *self._describe(identities))
        return self._described[1:]

    def _describe(self, identities: Mapping[str, dict[str, str]]) -> tuple[PipelineInfo, list[BlockInfo]]:
        infos = [self._block_info(block, identities[name]) for name, block in self.blocks.items()]
        pipeline = PipelineInfo(
            name=self.name,
            version=self.settings.version,
            description=clean(str(self.description)),
            tags=list(self.settings.tags),
            code_ref=code.combined(identities),
            loader=place_of(self, (str(getattr(block.function, "__module__", "")) for block in self.blocks.values())),
        )
        return pipeline, infos

    def _block_info(self, block: Block[..., Any], identity: dict[str, str]) -> BlockInfo:
        graph = self.graph
        settings = block.settings
        return BlockInfo(
            name=block.name,
            outputs=list(block.outputs),
            axes={output: list(graph.axes.get(output, ())) for output in block.outputs if output in graph.axes},
            mapspec=None if block.mapspec is None else str(block.mapspec),
            parameters=[
                ParameterInfo(
                    name=parameter.name,
                    function_name=None if parameter.python_name == parameter.name else parameter.python_name,
                    consumed=graph.uses[block.name][parameter.name].use.value,
                )
                for parameter in block.parameters
            ],
            upstream=list(graph.upstream[block.name]),
            tolerated=settings.on_error is OnError.CONTINUE,
            missing=None if settings.missing is None else settings.missing.value,
            conditional=settings.when is not None,
            condition=[parameter.name for parameter in block.graph_block().condition],
            takes_extra=block.takes_extra,
            loader=code.loader(block.function),
            code=identity,
            doc=clean((str(block.function.__doc__ or "").strip().splitlines() or [""])[0][:500]),
        )
