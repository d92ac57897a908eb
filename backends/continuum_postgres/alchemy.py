"""SQLAlchemy's connections and sessions, and the psycopg connection below each of them.

Rule: SQLAlchemy is never imported here. Whoever hands one of its objects in, or asks for one, has imported
it; what has not been imported cannot be meant.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

import psycopg
from attrs import frozen

from continuum_core.errors import UsageError
from continuum_postgres.errors import port_error
from continuum_postgres.joined import Psycopg, is_psycopg

__all__ = ["Facade", "Facades", "Kinds", "driver_of", "is_alchemy", "is_awaited", "kinds"]

_PLACES = {
    "Connection": "sqlalchemy.engine",
    "Session": "sqlalchemy.orm",
    "AsyncConnection": "sqlalchemy.ext.asyncio",
    "AsyncSession": "sqlalchemy.ext.asyncio",
}

_DRIVERS = ("psycopg", "psycopg_async")

Kinds = dict[str, Any]
"""The classes by name, as far as they are imported."""


def kinds() -> Kinds:
    """The classes of connections that are accepted, by name."""
    found = {name: getattr(sys.modules.get(place), name, None) for name, place in _PLACES.items()}
    return {name: kind for name, kind in found.items() if kind is not None}


def is_alchemy(handed: object) -> bool:
    """Whether this is one of the four."""
    return isinstance(handed, tuple(kinds().values()))


def is_awaited(handed: object) -> bool:
    """Whether this is one of those for asyncio."""
    return isinstance(handed, tuple(kind for name, kind in kinds().items() if name.startswith("Async")))


# --- what a caller hands in


async def driver_of(handed: Any) -> Psycopg:
    """The driver's connection, in a transaction that SQLAlchemy knows of.

    Raises UsageError for another driver, or an object that is in no state to be used.
    """
    alchemy: Any = sys.modules["sqlalchemy.exc"]
    try:
        return await _driver_of(handed)
    except alchemy.DBAPIError as error:
        raise port_error(error.orig, False) from error
    except alchemy.InvalidRequestError as error:
        raise UsageError(f"connection=: {error}; call within its transaction, or begin one") from error


async def _driver_of(handed: Any) -> Psycopg:
    found = kinds()
    if "AsyncSession" in found and isinstance(handed, found["AsyncSession"]):
        handed = await handed.connection()  # begins where nothing is begun, as any of its statements would
    if "AsyncConnection" in found and isinstance(handed, found["AsyncConnection"]):
        _check_driver(handed)
        if not handed.in_transaction():
            await handed.begin()
        driver = (await handed.get_raw_connection()).driver_connection
    else:
        if "Session" in found and isinstance(handed, found["Session"]):
            handed = handed.connection()
        _check_driver(handed)
        if handed.dialect.is_async:
            raise UsageError(
                "connection=: this is the plain face of an AsyncConnection or AsyncSession; "
                "hand over that one, outside of run_sync"
            )
        if not handed.in_transaction():
            handed.begin()
        driver = handed.connection.driver_connection
    if is_psycopg(driver):
        return driver
    raise UsageError(f"connection=: below it is a {type(driver).__qualname__}, none of psycopg's")


def _check_driver(connection: Any) -> None:
    dialect = connection.dialect
    if dialect.driver not in _DRIVERS or dialect.name != "postgresql":
        raise UsageError(
            f"connection=: this engine speaks {dialect.name}+{dialect.driver}, and the journal joins "
            "transactions of psycopg 3; make the engine with postgresql+psycopg://"
        )


# --- what a body is handed

_JOIN = "create_savepoint"
"""A session's own commit and rollback, and the rollback after a flush that failed, end at a savepoint."""

_handed: ContextVar[Any] = ContextVar("continuum_postgres_handed")


def _plain_creator() -> Any:
    return _handed.get()


async def _async_creator(*_: object, **__: object) -> Any:
    return _handed.get()


@frozen
class Facade:
    """An object of SQLAlchemy's over a connection of ours.

    :ivar given: what the body gets.
    :ivar connection: SQLAlchemy's connection below it; the same, or a session's.
    """

    given: Any
    connection: Any


class Facades:
    """Makes them, with one engine of each kind: its first connection asks the server who it is."""

    def __init__(self) -> None:
        self._plain: Any = None
        self._async: Any = None

    def plain(self, kind: Any, driver: psycopg.Connection[Any]) -> Facade:
        """A Connection or Session over a plain connection; it blocks."""
        root: Any = sys.modules["sqlalchemy"]
        if self._plain is None:
            self._plain = root.create_engine(
                "postgresql+psycopg://", creator=_plain_creator, poolclass=root.NullPool
            )
        _handed.set(driver)
        connection = self._plain.connect()
        connection.begin()
        if kind is kinds().get("Session"):
            session: Any = kind
            return Facade(session(bind=connection, join_transaction_mode=_JOIN), connection)
        return Facade(connection, connection)

    async def awaited(self, kind: Any, driver: psycopg.AsyncConnection[Any]) -> Facade:
        """An AsyncConnection or AsyncSession over a connection for asyncio."""
        root: Any = sys.modules["sqlalchemy"]
        apart: Any = sys.modules["sqlalchemy.ext.asyncio"]
        if self._async is None:
            self._async = apart.create_async_engine(
                "postgresql+psycopg://", async_creator=_async_creator, poolclass=root.NullPool
            )
        _handed.set(driver)
        connection = await self._async.connect()
        await connection.begin()
        if kind is apart.AsyncSession:
            session = apart.AsyncSession(bind=connection, expire_on_commit=False, join_transaction_mode=_JOIN)
            return Facade(session, connection)
        return Facade(connection, connection)
