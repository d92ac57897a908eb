"""Where a journal lives: what a URL says, and whether the place can be trusted with one.

Rule: a URL is understood in full or refused; nothing here opens the file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import frozen

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.connect import wakeups
from continuum_core.journal.wakeups import Topic, Wakeups

__all__ = ["Place", "check_place", "filesystem", "parse"]

_FORM = "write sqlite:///relative.db or sqlite:////absolute/path.db"

_NETWORK = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "virtiofs"),
        *("smb", "smb2", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""Filesystems whose locks or shared memory do not hold between hosts, which write-ahead logging needs."""

_WAKEUPS = re.compile(r"([?&]wakeups=)[^&#]*")
_SPAN = re.compile(r"(\d{1,7})(ms|s)")
_YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@frozen
class Place:
    """A parsed URL.

    :ivar path: absolute, so that a later change of directory does not move the journal.
    :ivar busy_timeout: seconds that a verb waits for other writers at most.
    :ivar beside: the journal's tables may join those of an application in one file.
    :ivar network: a network filesystem is accepted, at the operator's own risk.
    :ivar hints: makes what carries hints to other processes, where the file is not to be watched for them.
    """

    path: str
    busy_timeout: float = 10.0
    beside: bool = False
    network: bool = False
    hints: Callable[[Topic], Wakeups] | None = None

    def real_path(self) -> str:
        """The path without links: what handles of one process know a file by."""
        return os.path.realpath(self.path)


def parse(url: str) -> Place:
    """The place a URL names. Raises IncompatibleJournal, saying what is wrong with it."""
    parts = urlsplit(url)
    url = _WAKEUPS.sub(r"\1…", url)  # it may hold a password, and is shown from here on
    if parts.netloc:
        raise IncompatibleJournal(f"{url}: a host has no meaning for SQLite; {_FORM}")
    if parts.fragment:
        raise IncompatibleJournal(f"{url}: '#' must be written %23 in a file name")
    path = unquote(parts.path.removeprefix("/"))
    if path in ("", "/") or path.endswith("/"):
        raise IncompatibleJournal(f"{url}: names no file; {_FORM}, or memory:// to keep nothing")
    if path == ":memory:" or path.startswith("file:"):
        raise IncompatibleJournal(f"{url}: an SQLite database in memory is no journal; use memory://")
    if "\0" in path:
        raise IncompatibleJournal(f"{url}: a file name cannot contain NUL")
    return _with_options(Place(os.path.abspath(path)), url, parts.query)


def _with_options(place: Place, url: str, query: str) -> Place:
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise IncompatibleJournal(f"{url}: option {name!r} is given twice")
        given[name] = value
    patience = _span(url, given.pop("busy_timeout")) if "busy_timeout" in given else place.busy_timeout
    beside = _flag(url, "beside", given.pop("beside", "no"))
    network = _flag(url, "network", given.pop("network", "no"))
    hints = wakeups(given.pop("wakeups")) if "wakeups" in given else None
    if given:
        known = "busy_timeout (500ms, 10s), beside (yes, no), network (yes, no), wakeups (redis://…)"
        raise IncompatibleJournal(f"{url}: unknown option {min(given)!r}; known: {known}")
    return Place(place.path, patience, beside, network, hints)


def _span(url: str, text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise IncompatibleJournal(f"{url}: busy_timeout={text!r} is no length of time; write 500ms or 10s")
    return int(found[1]) / (1000 if found[2] == "ms" else 1)


def _flag(url: str, name: str, text: str) -> bool:
    if text.lower() not in _YES:
        raise IncompatibleJournal(f"{url}: {name}={text!r} is neither yes nor no")
    return _YES[text.lower()]


def check_place(place: Place) -> None:
    """Refuse a place that cannot hold a journal. Raises IncompatibleJournal."""
    path = Path(place.path)
    if path.is_dir():
        raise IncompatibleJournal(f"{path}: is a directory; name a file in it")
    if not path.parent.is_dir():
        raise IncompatibleJournal(f"{path}: the directory {path.parent} does not exist; create it first")
    kind = filesystem(path.resolve())
    if kind in _NETWORK and not place.network:
        raise IncompatibleJournal(
            f"{path}: lies on a network filesystem ({kind}), where SQLite's locks cannot be trusted; "
            "use a local disk or a server database, or add ?network=yes if one host alone uses it"
        )


def filesystem(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Type of the filesystem that holds `path` (absolute, without links); None where it cannot be told.

    Source of the format: proc(5), `/proc/pid/mountinfo`: the mount point is the fifth field, the type
    the first after a lone hyphen; blanks in names are octal escapes.
    """
    if not sys.platform.startswith("linux") or not mounts.is_file():
        return None
    best, kind = "", None
    for line in mounts.read_text(errors="surrogateescape").splitlines():
        head, _, tail = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), head.split(" ")[4])
        if path.is_relative_to(point) and len(point) >= len(best):  # a later mount hides an earlier one
            best, kind = point, tail.split(" ")[0]
    return kind
