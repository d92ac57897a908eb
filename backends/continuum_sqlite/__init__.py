"""The journal on SQLite: one file, many processes of one host, nothing to install.

Rule: `connect` understands a URL and does nothing else; the file is touched by `open`.
"""

from __future__ import annotations

from collections.abc import Callable

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Journal, Limits
from continuum_sqlite.capabilities import CAPABILITIES
from continuum_sqlite.clock import host_time
from continuum_sqlite.journal import SqliteJournal
from continuum_sqlite.place import parse
from continuum_sqlite.planting import plant

__all__ = ["CAPABILITIES", "PORT_VERSION", "connect", "plant"]

PORT_VERSION = 1


def connect(url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros] = host_time) -> Journal:
    """An unopened handle. Raises IncompatibleJournal for a URL that is wrong.

    :param url: ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``, with options
        ``busy_timeout=10s`` (how long a verb waits for other writers), ``beside=yes`` (share the file
        with an application's own tables), ``network=yes`` (accept a network filesystem) and
        ``wakeups=redis://…`` (processes wake one another by it instead of watching the file).
    :param clock: microseconds since the Unix epoch, in the place of the host's time: for tests.
    """
    return SqliteJournal(parse(url), namespace, limits, clock)
