"""A journal on the standard library's `dbm`: one process, one log, nothing to install.

Rows are kept in memory, and every verb's changes are one entry of a log in a `dbm.dumb` database: so a verb
is all or nothing, whenever the process is killed. Right for small programs and tests; for more take SQLite.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from continuum_core.clock import Micros
from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_dbm.journal import DbmJournal

__all__ = ["CAPABILITIES", "PORT_VERSION", "connect"]

PORT_VERSION = 1
CAPABILITIES = frozenset({Capability.DURABLE, Capability.CLOCK})


def _host_time() -> Micros:
    return time.time_ns() // 1_000


def connect(url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros] = _host_time) -> Journal:
    """An unopened handle. Raises IncompatibleJournal for a URL that is wrong.

    :param url: ``dbm:///relative`` or ``dbm:////absolute/path``: the files that begin so are the store.
    :param clock: microseconds; a store that is open already keeps the clock it was opened with.
    """
    path = unquote(url.partition(":///")[2])
    if not url.startswith("dbm:///") or not path or path.endswith("/") or "?" in path or "\0" in path:
        raise IncompatibleJournal(
            f"{url!r} names no dbm journal: write dbm:///relative/name or dbm:////absolute/name"
        )
    return DbmJournal(Path(path).absolute(), namespace, limits, clock)
