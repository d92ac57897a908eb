"""Keeps one child process running and starts it anew when a source file changes: the engine of `dev`.

Files are watched by their times of change, twice a second: no system facility, the same everywhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

__all__ = ["changed", "end_with", "keep_running", "stamps"]

_INTERVAL = 0.5  # seconds between two looks
_PATIENCE = 45.0  # seconds for a child to drain: a worker's own grace, and some
_IGNORED = frozenset({"__pycache__", "node_modules", "site-packages"})

Stamps = dict[str, int]


def stamps(folder: Path) -> Stamps:
    """The Python files below a folder with their times of change in nanoseconds.

    Hidden folders, virtual environments and installed packages are left out.
    """
    return dict(_stamps(folder))


def _stamps(folder: Path) -> Iterator[tuple[str, int]]:
    for root, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in _IGNORED and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(root, name)
                try:
                    yield path, os.stat(path).st_mtime_ns
                except OSError:
                    continue  # removed between listing and looking


def changed(before: Stamps, after: Stamps) -> list[str]:
    """The files that were added, removed or written, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def keep_running(command: Sequence[str], folder: Path, tell: Callable[[str], None]) -> None:
    """Run the command until SIGINT or SIGTERM; restart it when a Python file below `folder` changes.

    A child that ends by itself is started again with the next change: most likely it could not import.

    :param tell: is given a sentence for people whenever something happens.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stop.is_set():
            seen = stamps(folder)
            child = subprocess.Popen(command)
            try:
                files = _await_change(child, folder, seen, stop, tell)
            finally:
                _end(child)
            if files:
                more = f" and {len(files) - 1} more" if len(files) > 1 else ""
                tell(f"{os.path.relpath(files[0], folder)}{more} changed: starting again")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with(parent: int) -> None:
    """Have this process, a child, drain when its parent is gone: one that was killed cannot tell it.

    :param parent: the parent's process id.
    """

    def watch() -> None:
        asleep = threading.Event()
        while os.getppid() == parent:
            asleep.wait(_INTERVAL)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="continuum-parent", daemon=True).start()


def _await_change(
    child: subprocess.Popen[bytes],
    folder: Path,
    seen: Stamps,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> list[str]:
    told = False
    while not stop.wait(_INTERVAL):
        if files := changed(seen, stamps(folder)):
            return files
        if child.poll() is not None and not told:
            told = True
            tell(f"the worker ended with exit code {child.returncode}; it starts again when a file changes")
    return []


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let the child drain; end it if it does not."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
