"""The facts of runs as the ledger has them, for comparing runs of which one has no folder: tracked ones have none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from runstone.core.compare import (
    CODE,
    CODE_REF,
    DURATIONS,
    ENVIRONMENT,
    INPUTS,
    LEDGER,
    METRICS,
    PARAMETERS,
    RUN,
    BlockFacts,
    Comparison,
    Fact,
    RunFacts,
    compare,
)
from runstone.core.figures import duration
from runstone.core.previews import in_words
from runstone.folder.value_facts import of_value
from runstone.ledger.detail import RunDetail
from runstone.ledger.locating import holds
from runstone.secrets.redaction import MASK

STAGE = "stage"
WHOLE_RUN = "whole run"
"""The subject that has how long a run took."""

_DIGEST_SHOWN = 12


def compare_details(runs: Sequence[RunDetail]) -> Comparison:
    """Compare what the ledger has of runs with what it has of the first one."""
    return compare([facts(run) for run in runs])


def facts(told: RunDetail) -> RunFacts:
    """All that can be compared of one run."""
    run = told.run
    named = STAGE if run.kind == STAGE else "pipeline"
    return RunFacts(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        status=run.status,
        created_at=run.created_at,
        folder=run.run_folder if run.run_folder is not None and holds(run.run_folder, run.run_id) else None,
        source=LEDGER,
        blocks=[
            BlockFacts(name=block.block, status=block.status, outputs=[], takes=[], upstream=[])
            for block in told.blocks
        ],
        sections={
            RUN: _texts(
                {named: run.pipeline_name, "version": run.pipeline_version, "status": run.status, "error": run.error}
            ),
            PARAMETERS: {name: _param(value) for name, value in told.params.items()},
            CODE: _texts({CODE_REF: told.code_ref}),
            ENVIRONMENT: {**_texts({"host": run.host}), **_digests({"settings": told.config_hash})},
            INPUTS: _digests({"fingerprint": told.input_fingerprint}),
            DURATIONS: _durations(told),
            METRICS: _metrics(told),
        },
    )


def _texts(said: dict[str, str | None]) -> dict[str, Fact]:
    return {name: Fact(shown=text, mark=text) for name, text in said.items() if text}


def _digests(said: dict[str, str | None]) -> dict[str, Fact]:
    return {name: Fact(shown=digest[:_DIGEST_SHOWN], mark=digest) for name, digest in said.items() if digest}


def _param(value: Any) -> Fact:
    """A plain value is there as it is; of others there is a preview, which may be the same for different ones."""
    if isinstance(value, dict | list) or value == MASK:
        data = msgspec.json.encode(value, order="deterministic")
        return Fact(shown=in_words(value), mark=f"preview {hashlib.sha256(data).hexdigest()}", sure=False)
    return of_value(value)


def _durations(told: RunDetail) -> dict[str, Fact]:
    seconds = {WHOLE_RUN: told.run.duration_seconds, **{block.block: block.duration_seconds for block in told.blocks}}
    return {
        name: Fact(shown=duration(took), mark=None, number=took) for name, took in seconds.items() if took is not None
    }


def _metrics(told: RunDetail) -> dict[str, Fact]:
    run = told.run
    counts = {
        "rows_in": run.rows_in,
        "rows_out": run.rows_out,
        "llm_calls": told.llm_calls,
        "tokens": told.tokens,
        "errors": run.error_count,
        "artifacts": run.artifact_count,
    }
    found = {
        name: Fact(shown=f"{number:,}", mark=str(number), number=number)
        for name, number in counts.items()
        if number is not None
    }
    # what a user has named like a count of ours is told beside it
    named = {f"metric.{name}" if name in counts else name: value for name, value in told.metrics.items()}
    return found | {name: of_value(value) for name, value in named.items()}
