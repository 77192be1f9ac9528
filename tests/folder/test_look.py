"""Looking into a folder: what is absent, and what only cannot be read now."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from runstone.errors import FolderError
from runstone.folder.look import Look


def test_a_file_that_is_not_there_is_absent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with Look(str(tmp_path)) as look:
        for name in ("nothing", "file/below", "nothing/below", "loop", "loop/below", "a\0b", "x" * 300):
            assert look.open(name) is None, name


def test_a_process_that_may_open_no_more_files_does_not_call_them_absent(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "below").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    with Look(str(tmp_path)) as look:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
            while True:
                try:
                    taken.append(os.dup(0))
                except OSError:
                    break
            for name in ("there", "below/there"):
                with pytest.raises(FolderError, match="cannot be read: too many open files"):
                    look.open(name)
            with pytest.raises(FolderError, match="cannot be read: too many open files"):
                look.inside("below")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
