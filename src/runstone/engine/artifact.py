"""`artifact`: save a file with the run, from inside a block or tracked code."""

from __future__ import annotations

import os
import sys
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
    Returns the record, with `path` below the run folder, size in bytes and SHA-256. Of a tracked run `path` is below
    the folder of the project; nothing is raised then, and a file that cannot be kept has no `artifact_id`.
    Raises RunError outside of both, or if the run is not kept; InputError if there is no such file.
    """
    # whoever tracks has loaded it
    tracked = sys.modules.get("runstone.engine.track.tracked")
    around = None if tracked is None else tracked.innermost()
    if around is not None:
        saved: ArtifactSaved = around.artifact(
            path, name=name, artifact_type=artifact_type, content_type=content_type, metadata=metadata
        )
        return saved
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
