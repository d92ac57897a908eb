"""What an open handle holds: four lanes with a connection each, and the hints, for one event loop.

Rule: a connection is opened when its lane is first used. A handle has at most five: starts, turns, claims,
reading, and one that listens once somebody waits.
"""

from __future__ import annotations

import asyncio
import os

import psycopg
from attrs import define

from continuum_core.clock import Micros
from continuum_core.errors import IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.journal.protocol import Limits
from continuum_postgres import reading
from continuum_postgres.errors import unusable
from continuum_postgres.lane import Lane
from continuum_postgres.place import Place
from continuum_postgres.schema import migrate, server_faults
from continuum_postgres.session import Connection, Session, Space, connect
from continuum_postgres.statements import query
from continuum_postgres.statements.reading import ADD_NAMESPACE, NAMESPACE, NOTIFY
from continuum_postgres.wakeups import Wakeups

__all__ = ["Store", "open_store"]


@define(eq=False)
class Store:
    """An opened schema.

    :ivar version: of the schema.
    :ivar durability: what this server's settings make of it.
    :ivar loop: on which it was opened, in process `process`.
    """

    space: Space
    version: int
    durability: str
    starting: Lane
    turning: Lane
    claiming: Lane
    reading: Lane
    wakeups: Wakeups
    loop: asyncio.AbstractEventLoop
    process: int

    def check_use(self) -> None:
        """Raise UsageError where this store cannot serve."""
        shown = self.space.place.shown
        if self.process != os.getpid():
            raise UsageError(
                f"the journal ({shown}) was opened in process {self.process}, not in this fork of it; "
                "open journals after forking"
            )
        if self.loop is not asyncio.get_running_loop():
            raise UsageError(
                f"the journal ({shown}) was opened on another event loop; use its sibling() on this one"
            )

    async def now(self) -> Micros:
        return await self.reading.ask(reading.now)

    async def close(self) -> None:
        """Carry out what was asked, and give every connection back."""
        if self.process != os.getpid() or self.loop is not asyncio.get_running_loop():
            return  # its tasks ended with their loop, or are another process's
        await self.wakeups.close()
        for lane in (self.starting, self.turning, self.claiming, self.reading):
            await lane.stop()


async def open_store(place: Place, namespace: str, limits: Limits) -> Store:
    """Connect, migrate, number the namespace. Raises IncompatibleJournal, JournalUnavailable."""
    space = Space(place, namespace, limits)
    connection: Connection | None = None
    try:
        connection = await connect(place.conninfo)
        fsync, synchronous = await server_faults(connection, place.shown)
        version = await migrate(connection, place)
        space.ns = await _number(connection, space)
    except BaseException as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, psycopg.Error):
            raise unusable(place.shown, error) from error
        if isinstance(error, OSError):
            raise JournalUnavailable(f"the connection failed ({error})") from error
        raise
    return _store(space, connection, version, _durability(fsync, synchronous))


def _store(space: Space, connection: Connection, version: int, durability: str) -> Store:
    async def notify(to: str, sender: str) -> None:
        async def hint(session: Session) -> None:
            await session.notify(NOTIFY, to, sender)

        await lanes["reading"].ask(hint)

    wakeups = Wakeups(space, notify)
    lanes = {
        name: Lane(f"continuum-postgres-{name}", Session(space))
        for name in ("starting", "turning", "claiming", "reading")
    }
    lanes["reading"].session.adopt(connection)
    return Store(
        space,
        version,
        durability,
        **lanes,
        wakeups=wakeups,
        loop=asyncio.get_running_loop(),
        process=os.getpid(),
    )


async def _number(connection: Connection, space: Space) -> int:
    """The number of the namespace, which its first opener gives it. Two that race try again."""
    schema = space.place.schema
    while True:
        cursor = await connection.execute(query(NAMESPACE, schema), (space.namespace,))
        if (row := await cursor.fetchone()) is not None:
            number: int = row[0]
            return number
        try:
            await connection.execute(query(ADD_NAMESPACE, schema), (space.namespace,))
        except psycopg.DataError as error:
            raise IncompatibleJournal(
                f"the namespace {space.namespace!r} cannot be stored: {error}"
            ) from error


def _durability(fsync: str, synchronous: str) -> str:
    if fsync != "on":
        return "NOTHING SURVIVES a crash of the server's machine: the server runs with fsync=off"
    if synchronous == "off":
        return (
            "the server acknowledges before it syncs (synchronous_commit=off): a crash may take what was "
            "acknowledged last"
        )
    return (
        "what was acknowledged survives the process, the server and a loss of power (write-ahead log, synced "
        "at every commit); a failover keeps it only where replicas are synchronous"
    )
