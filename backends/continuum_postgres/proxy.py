"""Whether a pooling proxy stands between us and the server, when nobody said so.

Rule: a server tells the same process number at connect and when asked; a proxy invents the first. One that
gives each client a session of its own harms nothing. One that pools by transaction mixes sessions up, so
that prepared statements, settings and LISTEN go to strangers: that is refused once it is seen to. Some keep
prepared statements for each of their clients; whoever says so is believed once it is seen to hold.
"""

from __future__ import annotations

import contextlib
import logging

import psycopg
from psycopg import errors as states
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from continuum_core.errors import IncompatibleJournal
from continuum_postgres.place import Place
from continuum_postgres.source import Connection

__all__ = ["check_prepared", "check_sessions", "is_proxied"]

logger = logging.getLogger(__name__)

_ROUNDS = 8
_PROBE = b"continuum_probe"


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


async def check_prepared(connection: Connection, place: Place) -> None:
    """Raise IncompatibleJournal where two clients' statements of the same name are mixed up, or lost."""
    other = await place.source.connect(pooled=True)
    try:
        pair = {connection: b"1", other: b"2"}
        for each, number in pair.items():
            each.pgconn.send_prepare(_PROBE, b"SELECT " + number)
            await _result(each)
        for _ in range(_ROUNDS):
            for each, number in pair.items():
                each.pgconn.send_query_prepared(_PROBE, None)
                if (await _result(each)).get_value(0, 0) != number:
                    raise _unkept(place)
    except (states.InvalidSqlStatementName, states.DuplicatePreparedStatement):
        raise _unkept(place) from None
    finally:
        await other.close()


async def _result(connection: Connection) -> PGresult:
    came: list[PGresult] = await connection.wait(generators.execute(connection.pgconn))
    [result] = came
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise states.error_from_result(result)
    return result


def _unkept(place: Place) -> IncompatibleJournal:
    return IncompatibleJournal(
        f"{place.shown}: the URL says pgbouncer=prepared, but the proxy mixes up what its clients prepare; "
        "pgbouncer keeps it apart from version 1.21 on, with max_prepared_statements above 0; else say "
        "?pgbouncer=yes"
    )
