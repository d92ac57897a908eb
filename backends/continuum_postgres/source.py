"""Where connections come from: a connection string, a pool's settings, or an SQLAlchemy engine's.

Rule: every connection is a dedicated one, made for a lane and closed by it. A lane pipelines and listens
for as long as it lives, which no loan of a pool allows; so a pool or an engine that is handed in is asked
*how* it connects, and its own connections are left to its owner.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import psycopg
from attrs import field, frozen
from psycopg import conninfo as strings
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from continuum_postgres import arrays

__all__ = [
    "BOUNDED",
    "LASTING",
    "STEADY",
    "Connection",
    "Conninfo",
    "Engine",
    "Pool",
    "Row",
    "Source",
    "connect",
    "held",
]

Row = tuple[Any, ...]
"""What the server returns; the columns' types are those of the schema."""

Connection = psycopg.AsyncConnection[Row]

STEADY = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Keeps the planner from scanning a table that its statistics, taken while it was empty, call small; by the
same statistics, from gathering and sorting what an index would give it in order, to stop at a limit; and
from planning each execution anew, which it prefers wherever a batch has few members: a plan for the arrays
at hand looks cheaper than one for any, and costs ten times what it carries out."""

LASTING = {"idle_session_timeout": "0"}
"""Keeps a connection that waits: the listener is idle for as long as nobody writes."""

BOUNDED = {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "10s"}
"""Bounds every wait for a lock, and how long a worker that hangs may keep one."""

_WHEN_TOLD = 2**31
"""Statements are prepared where a lane says so, never by having been seen often. (None: not even then.)"""

# What the session already has from its client stands: who hands an engine in may know better.
_SETTLE = b"""
SELECT set_config(s.name, w.value, false) FROM pg_catalog.pg_settings s
JOIN unnest($1::text[], $2::text[]) AS w (name, value) ON w.name = s.name
WHERE s.source NOT IN ('client', 'session')
"""


class Source(Protocol):
    """How a connection is made.

    :ivar shown: the place as people may see it, without a password.
    """

    @property
    def shown(self) -> str: ...

    async def connect(self, pooled: bool) -> Connection:
        """A new connection, as lanes need it. Raises psycopg.Error, OSError.

        :param pooled: a transaction-pooling proxy is in between, which would share what is set.
        """
        ...

    async def lend(self) -> psycopg.AsyncConnection[Any]:
        """A new connection as its maker makes it, with none of our settings: for users' own statements.

        Raises psycopg.Error, OSError.
        """
        ...


async def connect(conninfo: str) -> Connection:
    """A connection that commits each statement, and any transaction only when told. Raises psycopg.Error."""
    return _ours(await psycopg.AsyncConnection.connect(conninfo, autocommit=True))


@asynccontextmanager
async def held(source: Source, pooled: bool) -> AsyncGenerator[Connection, None]:
    """A connection for as long as the block lasts. Raises psycopg.Error, OSError.

    The driver's own block asks the server to roll back before it closes: whoever is cancelled there leaves
    the connection open. Ours commits each statement, and closing it ends whatever else it is in.
    """
    connection = await source.connect(pooled)
    try:
        yield connection
    finally:
        await connection.close()


def _ours(connection: psycopg.AsyncConnection[Any]) -> Connection:
    """The connection with our manners in the place of its maker's."""
    connection.prepare_threshold = _WHEN_TOLD
    connection.cursor_factory = psycopg.AsyncRawCursor
    connection.row_factory = tuple_row
    arrays.register(connection)
    return cast(Connection, connection)


async def _settled(made: psycopg.AsyncConnection[Any], pooled: bool) -> Connection:
    """A connection that somebody else's settings made, with ours where it has none of its own."""
    try:
        if made.info.transaction_status is not TransactionStatus.IDLE:
            await made.commit()  # what an event at connect has set for the session
        await made.set_autocommit(True)
        connection = _ours(made)
        if not pooled:
            wanted = {**STEADY, **LASTING, **BOUNDED, "client_encoding": "UTF8"}
            await connection.execute(_SETTLE, (list(wanted), list(wanted.values())))
    except BaseException:
        await made.close()
        raise
    return connection


@frozen
class Conninfo:
    """libpq's connection string; it may hold a password."""

    text: str = field(repr=False)
    plain: str = field(default="", repr=False)  # the same without our settings

    @property
    def shown(self) -> str:
        return _shown(strings.conninfo_to_dict(self.text))

    async def connect(self, pooled: bool) -> Connection:
        return await connect(self.text)

    async def lend(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self.plain or self.text)


@frozen
class Pool:
    """The settings of a psycopg pool: its string, arguments, connection class and `configure`.

    Strings and arguments that are functions are called for every connection: passwords may change.
    """

    pool: Any

    @property
    def shown(self) -> str:
        text, arguments = self.pool.conninfo, self.pool.kwargs
        known = strings.conninfo_to_dict(text) if isinstance(text, str) else {}
        return _shown({**known, **(arguments if isinstance(arguments, Mapping) else {})})

    async def connect(self, pooled: bool) -> Connection:
        return await _settled(await self.lend(), pooled)

    async def lend(self) -> psycopg.AsyncConnection[Any]:
        return await _guarded("the pool", self._make)

    async def _make(self) -> psycopg.AsyncConnection[Any]:
        text = await _resolved(self.pool.conninfo)
        arguments: dict[str, Any] = dict(await _resolved(self.pool.kwargs) or {})
        make = self.pool.connection_class.connect
        configure = getattr(self.pool, "_configure", None)  # it has no public name
        if inspect.iscoroutinefunction(make):
            made: psycopg.AsyncConnection[Any] = await make(text or "", **arguments)
            try:
                if configure is not None:
                    await configure(made)
            except BaseException:
                await made.close()
                raise
            return made

        def plainly() -> psycopg.Connection[Any]:
            connection: psycopg.Connection[Any] = make(text or "", **arguments)
            try:
                if configure is not None:
                    configure(connection)
            except BaseException:
                connection.close()
                raise
            return connection

        return _converted(await _Thread(plainly).made())


@frozen
class Engine:
    """An SQLAlchemy engine on psycopg, of either kind, with its URL, `connect_args`, creator and events.

    :ivar spawn: for an engine for asyncio, what runs SQLAlchemy's plain functions on the loop.
    """

    engine: Any
    spawn: Callable[..., Awaitable[Any]] | None = None

    @property
    def shown(self) -> str:
        url = self.engine.url
        return _shown({"dbname": url.database, "host": url.host or url.query.get("host")})

    async def connect(self, pooled: bool) -> Connection:
        return await _settled(await self.lend(), pooled)

    async def lend(self) -> psycopg.AsyncConnection[Any]:
        return await _guarded("the engine", self._make)

    async def _make(self) -> psycopg.AsyncConnection[Any]:
        if self.spawn is not None:
            made: psycopg.AsyncConnection[Any] = await self.spawn(self._detached)
            return made
        return _converted(await _Thread(self._detached).made())

    def _detached(self) -> Any:
        """A connection as the engine's pool makes them, which no pool counts.

        The pool is a twin with the same creator and events: the engine's own may be exhausted by those who
        wait for us, and one for asyncio belongs to one loop.
        """
        lent = self.engine.pool.recreate().connect()
        made = lent.driver_connection
        lent.detach()
        return made


class _Thread:
    """A connection that is made on a thread. Nobody can stop that: of who is cancelled it is closed."""

    def __init__(self, make: Callable[[], psycopg.Connection[Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._left = False  # whoever waited for it is gone
        self._connection: psycopg.Connection[Any] | None = None

    async def made(self) -> psycopg.Connection[Any]:
        try:
            return await asyncio.to_thread(self._work)
        except asyncio.CancelledError:
            self._leave()
            raise

    def _work(self) -> psycopg.Connection[Any]:
        connection = self._make()
        with self._lock:
            if self._left:
                connection.close()
            else:
                self._connection = connection
        return connection

    def _leave(self) -> None:
        with self._lock:
            self._left = True
            if self._connection is not None:
                self._connection.close()


def _converted(plain: psycopg.Connection[Any]) -> psycopg.AsyncConnection[Any]:
    """The same session for asyncio. What is left of the plain connection has nothing to close."""
    made: psycopg.AsyncConnection[Any] = psycopg.AsyncConnection(plain.pgconn)
    del plain.pgconn
    return made


async def _resolved(value: Any) -> Any:
    told = value() if callable(value) else value
    return await told if inspect.isawaitable(told) else told


async def _guarded(
    whose: str, make: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]
) -> psycopg.AsyncConnection[Any]:
    """Errors of our users' own functions (a token that cannot be fetched) are no connection to us."""
    try:
        return await make()
    except (psycopg.Error, OSError):
        raise
    except Exception as error:
        cause = getattr(error, "orig", None)  # SQLAlchemy wraps the driver's
        if isinstance(cause, psycopg.Error):
            raise cause from error
        raise psycopg.OperationalError(f"{whose} made no connection: {error!r}") from error


def _shown(known: Mapping[str, Any]) -> str:
    host = known.get("host") or known.get("hostaddr") or "local socket"
    return f"{known.get('dbname') or 'the default database'} on {host}"
