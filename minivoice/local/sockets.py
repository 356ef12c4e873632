"""The folder for Unix sockets: short (a socket's path may have 107 bytes at most) and nobody else's."""

import hashlib
import os
import shutil
import stat
from pathlib import Path


def folder(state: Path) -> Path:
    """Make and return the folder for the sockets that belong to the state folder `state`.

    Raises PermissionError when someone else has made it, or opened it to others.
    """
    uid = os.getuid()
    path = Path(f"/tmp/minivoice-{uid}-{name(state)}")  # noqa: S108  checked below
    mode = 0o711 if uid == 0 else 0o700  # as root, PostgreSQL has a closed folder of its own in it
    path.mkdir(mode=mode, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise PermissionError(f"{path} is not a folder of our own: remove it.")
    path.chmod(mode)
    return path


def remove(state: Path) -> None:
    """Remove the folder, once what used it has stopped."""
    shutil.rmtree(folder(state))


def name(state: Path) -> str:
    """A short name for the state folder `state`, the same at each run."""
    return hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
