"""What a run says about itself at its start: the content of `run.json`."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.core.causes import Why
from runstone.core.events import FORMAT


class PipelineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """code_ref: one digest over the code identity of all blocks.

    loader: `module:name` or `path.py:name` under which the pipeline is found again; None if it cannot be.
    """

    name: str
    version: str | None = None
    description: str = ""
    tags: list[str] = []
    code_ref: str | None = None
    loader: str | None = None


class ParameterInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a parameter reaches a block. function_name: as the function calls it, if that differs; consumed: constant,
    element, slice or array."""

    name: str
    function_name: str | None = None
    consumed: str = "constant"


class BlockInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One block of the graph. axes: for every output its axes, in order; [] for a plain value.

    condition: what its `when` function asks for. takes_extra: it is given every parameter that nothing else takes.
    loader: `module:name` or `path.py:name` under which the block's function is found again; None if it cannot be.
    code: the identity of its code, part by part.
    """

    name: str
    outputs: list[str]
    axes: dict[str, list[str]] = {}
    mapspec: str | None = None
    parameters: list[ParameterInfo] = []
    upstream: list[str] = []
    tolerated: bool = False
    missing: str | None = None
    conditional: bool = False
    condition: list[str] = []
    takes_extra: bool = False
    loader: str | None = None
    code: dict[str, str] = {}
    doc: str = ""

    @property
    def is_mapped(self) -> bool:
        """Whether it is called once for each element, and not just once."""
        return self.mapspec is not None and not self.mapspec.lstrip().startswith("...")


class SecretInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a secret instead of its value.

    reference: `env:NAME` or `file:PATH`; None if it was given as itself, and nobody but who gave it knows it.
    digest: to compare it by, `<HMAC>@<name of the key>`; None if there was no key.
    """

    reference: str | None = None
    digest: str | None = None


class ParamInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter of the run. value: its small form, absent if it is in `inputs/`; source: caller or default.

    secret: of one whose value is kept nowhere.
    """

    type: str
    value: Any = msgspec.UNSET
    preview: Any = None
    source: str = "caller"
    secret: SecretInfo | None = None

    @property
    def is_small(self) -> bool:
        """Whether the value lives here."""
        return self.value is not msgspec.UNSET


class StartedBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the run was started. commit: of the git repository it was started in, `+dirty` behind it if files differ."""

    command: str = ""
    user: str = ""
    host: str = ""
    cwd: str = ""
    python: str = ""
    runstone: str = ""
    commit: str = ""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: written once, at the start, and never changed.

    config_hash: SHA-256 of the settings and of `runstone.toml`, in hex.
    imported_from: of a run that came out of an archive, the id it had where it was made; it is `id` unless that was
    taken. Values of such a run are unpickled only with explicit trust.
    replay_of: the run whose pipeline and parameters it was given once more.
    reuse: of a run that takes over from the one in `retry_of`, why each block is taken over or is not.
    """

    format: int = FORMAT
    id: str
    workspace: str = "default"
    job_id: str | None = None
    retry_of: str | None = None
    replay_of: str | None = None
    parent_id: str | None = None
    imported_from: str | None = None
    trigger: str = "script"
    trace_id: str | None = None
    created_at: str
    pipeline: PipelineInfo
    blocks: list[BlockInfo]
    params: dict[str, ParamInfo]
    tags: list[str] = []
    settings: dict[str, Any] = {}
    config_hash: str | None = None
    stop_on_failure: bool = True
    lease_seconds: float = 30.0
    ledger: str | None = None
    reuse: dict[str, list[Why]] = {}
    started_by: StartedBy = StartedBy()

    @property
    def recoverable(self) -> bool:
        """Whether somebody else can go on with it: not if it was given secrets that are kept nowhere."""
        return all(param.secret is None or param.secret.reference is not None for param in self.params.values())

    @property
    def outputs(self) -> dict[str, BlockInfo]:
        """Which block makes each output."""
        return {name: block for block in self.blocks for name in block.outputs}
