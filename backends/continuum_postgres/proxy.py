"""Whether a pooling proxy stands between us and the server, when nobody said so.

Rule: a server tells the same process number at connect and when asked; a proxy invents the first. One that
gives each client a session of its own harms nothing. One that pools by transaction mixes sessions up, so
that prepared statements, settings and LISTEN go to strangers: that is refused once it is seen to.
"""

from __future__ import annotations

import contextlib
import logging

import psycopg

from continuum_core.errors import IncompatibleJournal
from continuum_postgres.place import Place
from continuum_postgres.source import Connection

__all__ = ["check_sessions", "is_proxied"]

logger = logging.getLogger(__name__)

_ROUNDS = 8


async def is_proxied(connection: Connection) -> bool:
    """Whether something stands in between that speaks the server's protocol itself."""
    return connection.info.backend_pid != await _pid(connection)


async def check_sessions(connection: Connection, place: Place) -> None:
    """Raise IncompatibleJournal where two connections share a server's process, or one has several."""
    if not await is_proxied(connection):
        return
    if await _mixed(connection, place):
        raise IncompatibleJournal(
            f"{place.shown}: a proxy that pools by transaction is in between; say so with ?pgbouncer=yes, "
            "and name the server itself with &listen=URL where it can be reached, for hints"
        )
    logger.warning(
        "%s: a proxy is in between. If it pools by transaction, say so with ?pgbouncer=yes; if it gives each "
        "client a session of its own, all is well",
        place.shown,
    )


async def _mixed(connection: Connection, place: Place) -> bool:
    with contextlib.suppress(psycopg.OperationalError, OSError):  # no second connection to be had: not seen
        other = await place.source.connect(pooled=True)
        try:
            mine: set[int] = set()
            for _ in range(_ROUNDS):
                mine.add(await _pid(connection))
                if len(mine) > 1 or await _pid(other) in mine:
                    return True
        finally:
            await other.close()
    return False


async def _pid(connection: Connection) -> int:
    row = await (await connection.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False)).fetchone()
    return -1 if row is None else int(row[0])
