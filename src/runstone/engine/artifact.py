"""`artifact`: save a file with the run, from inside a block."""

from __future__ import annotations

import os
from typing import Any

from runstone.core.events import ArtifactSaved
from runstone.engine.context import place


def artifact(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    artifact_type: str | None = None,
    content_type: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> ArtifactSaved:
    """Save a file with the run that is computing; it is copied, the original stays.

    name: in the run, otherwise the file's own. artifact_type: report, table, image, model ... otherwise guessed from
    the name, like content_type (a media type). metadata: anything JSON takes.
    Returns the record, with `path` below the run folder, size in bytes and SHA-256.
    Raises RunError outside of a block or if the run is not kept, InputError if there is no such file.
    """
    here = place("artifact()")
    return here.recorder.artifact(
        here.block,
        here.element(),
        os.fspath(path),
        name=name,
        artifact_type=artifact_type,
        content_type=content_type,
        metadata=metadata,
    )
