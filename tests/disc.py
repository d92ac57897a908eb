"""Where tests keep their files: in memory, where the machine has a file system for that with room.

A journal waits for its disc at every commit, and the tests commit a hundred thousand times. That a journal
asks for the sync is what tests look at; that a disc keeps its word is no business of theirs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["keep_files_in_memory", "on_disc"]

_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30  # bytes; a session takes a quarter of it: three servers, and an installed copy or two

_DISC = "CONTINUUM_TEST_DISC"
"""Where temporary files were before; for processes that are started from here, too."""


def keep_files_in_memory() -> None:
    """Have temporary files made there, also by processes that are started from here.

    Who set ``TMPDIR`` has said where they are to be.
    """
    if "TMPDIR" in os.environ or not _serves(_MEMORY):
        return
    os.environ[_DISC] = tempfile.gettempdir()
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # asked again


@contextmanager
def on_disc() -> Iterator[None]:
    """Have temporary files made on the disc all the same, by this process: more than memory has room for."""
    before = tempfile.gettempdir()
    tempfile.tempdir = os.environ.get(_DISC, before)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _serves(place: Path) -> bool:
    """Whether programs may be written there and run, and much of them."""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return False
    return shutil.disk_usage(place).free >= _ROOM and not os.statvfs(place).f_flag & os.ST_NOEXEC
