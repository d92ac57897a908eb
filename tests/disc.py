"""Where tests keep their files: in memory, where the machine has a file system for that with room.

A journal waits for its disc at every commit, and the tests commit a hundred thousand times. That a journal
asks for the sync is what tests look at; that a disc keeps its word is no business of theirs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["keep_files_in_memory"]

_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30  # bytes; a session takes a quarter of it: three servers, and an installed copy or two


def keep_files_in_memory() -> None:
    """Have temporary files made there, also by processes that are started from here.

    Who set ``TMPDIR`` has said where they are to be.
    """
    if "TMPDIR" in os.environ or not _serves(_MEMORY):
        return
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # asked again


def _serves(place: Path) -> bool:
    """Whether programs may be written there and run, and much of them."""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return False
    return shutil.disk_usage(place).free >= _ROOM and not os.statvfs(place).f_flag & os.ST_NOEXEC
