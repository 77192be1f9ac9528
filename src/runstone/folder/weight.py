"""How much disk comes free if run folders go: a file with a second name elsewhere frees nothing."""

from __future__ import annotations

import os
import stat

_BLOCK = 512


class Weight:
    """Adds up folders that are to go together. What several of them share comes free with the last of its names."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], int] = {}
        self.bytes = 0

    def add(self, folder: str) -> int:
        """The bytes of disk that come free if this folder goes too, and nobody holds its files open."""
        before = self.bytes
        folders = [folder]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    found = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
            except OSError:
                # gone meanwhile, or nobody may look: then nobody may remove it either
                continue
            for path, known in found:
                if stat.S_ISDIR(known.st_mode):
                    folders.append(path)
                elif self._is_last_name(known):
                    self.bytes += _on_disk(known)
        return self.bytes - before

    def _is_last_name(self, known: os.stat_result) -> bool:
        if known.st_nlink <= 1:
            return True
        which = known.st_dev, known.st_ino
        names = self._names[which] = self._names.get(which, 0) + 1
        return names == known.st_nlink


def _on_disk(known: os.stat_result) -> int:
    blocks = getattr(known, "st_blocks", None)
    return known.st_size if blocks is None else blocks * _BLOCK
