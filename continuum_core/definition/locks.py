"""Lock files: what a version of a machine was, committed beside its code.

``order.v2.lock.json`` holds the canonical form of version 2 of `order`: its graph and types. `continuum
lock` writes it when a version is released; from then on the code of that version is held against it, and
later versions are checked to take over all that its runs may be in. A file's fingerprint is the hash of its
graph, so that an edit by hand, or a bad merge, is seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from attrs import frozen

from continuum_core.definition.chart import Chart
from continuum_core.definition.fingerprint import FORMAT, fingerprint, graph, print_of

__all__ = ["LOCK_FORMAT", "Lock", "LockRefused", "lock_path", "lock_text", "locks_of", "read_lock"]

LOCK_FORMAT = 1
"""The version of the file's own form; that of the graph in it is `fingerprint.FORMAT`."""

_NAME = re.compile(r"(?P<machine>.+)\.v(?P<version>[1-9][0-9]*)\.lock\.json")


class LockRefused(Exception):
    """A lock file cannot be used; the text says why."""


@frozen
class Lock:
    """One lock file, read and found whole."""

    path: Path
    machine: str
    version: int
    fingerprint: str
    graph: Mapping[str, Any]


def _folder(chart: Chart) -> Path | None:
    """The folder of the machine's code; None where it came from no file."""
    if chart.place is None:
        return None
    file = Path(chart.place.file)
    return file.parent if file.suffix and file.is_file() else None


def lock_path(chart: Chart, version: int | None = None) -> Path | None:
    """Where the lock of a version of this machine is kept, or would be; None where its code is in no file.

    :param version: another one than the chart's own.
    """
    folder = _folder(chart)
    number = chart.version if version is None else version
    return None if folder is None else folder / f"{chart.name}.v{number}.lock.json"


def locks_of(chart: Chart) -> list[Path]:
    """The lock files of all versions of this machine, in the order of the versions."""
    folder = _folder(chart)
    found: list[tuple[int, Path]] = []
    if folder is None:
        return []
    for path in folder.glob("*.lock.json"):
        named = _NAME.fullmatch(path.name)
        if named is not None and named["machine"] == chart.name:
            found.append((int(named["version"]), path))
    return [path for _, path in sorted(found)]


def lock_text(chart: Chart) -> str:
    """What the machine's lock file says; the same for equal machines. Raises CodecError."""
    told = {
        "lock": LOCK_FORMAT,
        "machine": chart.name,
        "version": chart.version,
        "fingerprint": fingerprint(chart),
        "graph": graph(chart),
    }
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def read_lock(path: Path) -> Lock:
    """A lock file. Raises LockRefused, FileNotFoundError."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise LockRefused(f"it cannot be read: {error}") from error
    form = told.get("graph") if _is_object(told) else None
    if not _is_object(told) or not _is_object(form):
        raise LockRefused("it is no lock file")
    if told.get("lock") != LOCK_FORMAT or form.get("format") != FORMAT:
        raise LockRefused(
            f"it has format {told.get('lock')} with a graph of format {form.get('format')}; this release "
            f"reads {LOCK_FORMAT} and {FORMAT}"
        )
    if told.get("fingerprint") != print_of(form):
        raise LockRefused("its graph does not have the fingerprint that it states: it was edited")
    lock = Lock(path, str(form["name"]), int(form["version"]), str(told["fingerprint"]), form)
    if path.name != f"{lock.machine}.v{lock.version}.lock.json":
        raise LockRefused(f"it is of {lock.machine} version {lock.version}, and its name says otherwise")
    return lock


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)
