"""What an open handle holds: four lanes of a connection or two, and the hints, for one event loop.

Rule: a connection is opened when it is first used. A handle has at most seven: starts, turns, a second for
turns in masses, claims, reading, one that listens once somebody waits, and one for what met a caller's open
transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import psycopg
from attrs import define

from continuum_core.clock import Micros
from continuum_core.errors import IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.journal.commit import Finished, TaskFinish
from continuum_core.journal.looking import missing
from continuum_core.journal.protocol import Limits, Opened
from continuum_postgres import reading
from continuum_postgres.callers import Callers
from continuum_postgres.errors import unusable
from continuum_postgres.lane import Lane
from continuum_postgres.place import Place
from continuum_postgres.presence import Presence
from continuum_postgres.proxy import check_prepared, check_sessions
from continuum_postgres.schema import Server, check_current, check_privileges, migrate, server_of
from continuum_postgres.session import Connection, Session, Space
from continuum_postgres.statements import query
from continuum_postgres.statements.reading import ADD_NAMESPACE, NAMESPACE
from continuum_postgres.transaction import Transactions
from continuum_postgres.waits import ASIDE, BRIEF, Busy
from continuum_postgres.wakeups import Wakeups, channel
from continuum_postgres.within import Doors

__all__ = ["Store", "open_store"]


@define(eq=False)
class Store:
    """An opened schema.

    :ivar version: of the schema.
    :ivar server: what it said of itself at open.
    :ivar loop: on which it was opened, in process `process`.
    """

    space: Space
    version: int
    server: Server
    starting: Lane
    turning: Lane
    claiming: Lane
    reading: Lane
    wakeups: Wakeups
    presence: Presence
    busy: Busy
    callers: Callers
    doors: Doors
    transactions: Transactions
    loop: asyncio.AbstractEventLoop
    process: int

    def check_use(self) -> None:
        """Raise UsageError where this store cannot serve."""
        if self.process == os.getpid() and self.loop is asyncio.get_running_loop():
            return
        shown = self.space.place.shown  # worked out here: this is asked at every verb
        if self.process != os.getpid():
            raise UsageError(
                f"the journal ({shown}) was opened in process {self.process}, not in this fork of it; "
                "open journals after forking"
            )
        raise UsageError(
            f"the journal ({shown}) was opened on another event loop; use its sibling() on this one"
        )

    async def now(self) -> Micros:
        return await self.reading.ask(reading.now)

    async def opened(self) -> Opened:
        """What whoever opens it is told."""
        return Opened(await self.now(), "postgres", self.server.durability, self.version)

    async def close(self) -> None:
        """Carry out what was asked, and give every connection back."""
        if self.process != os.getpid() or self.loop is not asyncio.get_running_loop():
            return  # its tasks ended with their loop, or are another process's
        async with contextlib.AsyncExitStack() as last_first:  # each of them, whatever becomes of another
            for lane in (self.reading, self.claiming, self.turning, self.busy.aside, self.starting):
                last_first.push_async_callback(lane.stop)
            last_first.push_async_callback(self.wakeups.close)
            last_first.push_async_callback(self.presence.close)
            last_first.push_async_callback(self.callers.close)


async def open_store(
    place: Place,
    namespace: str,
    limits: Limits,
    clock: Callable[[], Micros] | None = None,
    *,
    makes: bool = True,
) -> Store:
    """Connect, migrate, number the namespace. Raises IncompatibleJournal, JournalUnavailable.

    :param makes: what is not there is made. False: it is refused (JournalMissing), and nothing is changed.
    """
    space = Space(place, namespace, limits, clock)
    connection: Connection | None = None
    try:
        connection = await place.source.connect(place.pooled)
        server = await server_of(connection, place.shown)
        if not place.pooled:
            await check_sessions(connection, place)
        elif place.prepares:
            await check_prepared(connection, place)
        if not makes:
            await check_current(connection, place)
        version = await migrate(connection, place, wanted=makes and place.migrates)
        await check_privileges(connection, place)
        space.ns = await _number(connection, space, makes)
        await space.history.check(connection, place, space.ns)
    except BaseException as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, psycopg.Error):
            raise unusable(place.shown, error) from error
        if isinstance(error, OSError):
            raise JournalUnavailable(f"the connection failed ({error})") from error
        raise
    return _store(space, connection, version, server)


def _store(space: Space, connection: Connection, version: int, server: Server) -> Store:
    place = space.place

    async def notify(to: str, sender: str) -> None:
        async def hint(session: Session) -> None:
            await session.notify(to, sender)

        await lanes["reading"].ask(hint)

    async def look() -> None:
        await lanes["reading"].ask(Session.look)

    hints = None if place.hints is None else place.hints(channel(place.schema, space.ns))
    presence = Presence(lambda verb: lanes["reading"].ask(verb))
    wakeups = Wakeups(space, notify, look, presence, hints)
    lanes = {
        name: Lane(f"continuum-postgres-{name}", Session(space))
        for name in ("starting", "claiming", "reading")
    }
    lanes["turning"] = Lane("continuum-postgres-turning", Session(space), Session(space))
    lanes["reading"].session.adopt(connection)
    lanes["starting"].session.patience = BRIEF
    aside = Lane("continuum-postgres-aside", Session(space, patience=ASIDE))

    def ended() -> None:
        wakeups.wrote()
        wakeups.stir()

    def committed(ending: TaskFinish, answer: Finished) -> None:
        space.history.finished([ending], [answer])
        wakeups.wrote()

    callers = Callers(ended)
    return Store(
        space,
        version,
        server,
        **lanes,
        wakeups=wakeups,
        presence=presence,
        busy=Busy(aside),
        callers=callers,
        doors=Doors(space, callers, lanes["reading"].ask),
        transactions=Transactions(space, committed),
        loop=asyncio.get_running_loop(),
        process=os.getpid(),
    )


async def _number(connection: Connection, space: Space, makes: bool) -> int:
    """The number of the namespace, which its first opener gives it. Two that race try again."""
    schema = space.place.schema
    while True:
        cursor = await connection.execute(query(NAMESPACE, schema), (space.namespace,))
        if (row := await cursor.fetchone()) is not None:
            number: int = row[0]
            return number
        if not makes:
            raise missing(space.place.shown, space.namespace)
        try:
            await connection.execute(query(ADD_NAMESPACE, schema), (space.namespace,))
        except psycopg.DataError as error:
            raise IncompatibleJournal(
                f"the namespace {space.namespace!r} cannot be stored: {error}"
            ) from error
