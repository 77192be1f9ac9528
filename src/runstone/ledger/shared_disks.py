"""Whether a path lies on a disk that other machines share: there, locks of SQLite cannot be relied on."""

from __future__ import annotations

import os

_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "9p", "lustre", "beegfs", "gpfs", "ceph", "glusterfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "ocfs2", "gfs2", "orangefs", "pvfs2"}
)


def network_file_system(path: str, mounts: str = "/proc/self/mounts") -> str | None:
    """The kind of file system a path is on, if it is one that machines share; None if it is local or nobody knows."""
    try:
        with open(mounts, "rb") as file:
            lines = file.read().decode(errors="surrogateescape").splitlines()
    except OSError:
        return None
    real, best, kind = os.path.realpath(path), "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # of several that are mounted on one place the last is what is seen
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind if kind in _KINDS else None
