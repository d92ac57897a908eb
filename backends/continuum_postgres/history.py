"""What a handle was told, and whether a server that it meets later still knows it.

Rule: a failover without synchronous replicas, and a restore, may take what was acknowledged last. A handle
remembers its latest commits, and asks for them where a connection leads to another cluster or timeline than
the one before, or to a log that ends before where it was seen to end: a snapshot of the data that was put
back. How far the log has come is told with hints and on new connections, never by a verb. Where one is
missing the handle refuses to go on: what a process knows of one history must not be folded into another. A
process that starts afresh knows nothing, and takes the history it finds.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from uuid import UUID

from attrs import define, field, frozen
from msgspec import Struct
from psycopg import errors as states

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.commit import (
    Commit,
    CommitOutcome,
    Committed,
    Finished,
    NewRun,
    Started,
    StartOutcome,
    TaskFinish,
)
from continuum_core.journal.records import ENDED
from continuum_postgres import arrays
from continuum_postgres.errors import SetReadOnly
from continuum_postgres.place import Place
from continuum_postgres.shards import shard
from continuum_postgres.source import Connection
from continuum_postgres.statements import query
from continuum_postgres.statements.history import IDENTITY, STANDING

__all__ = ["History", "Identity"]

logger = logging.getLogger(__name__)

_REMEMBERED = 64
"""What a standby lacks is the latest, and one of it is enough."""

_FRESH = 600.0
"""Seconds in which nobody prunes a run: one that was there so recently, and is not, was lost."""


@frozen
class Identity:
    """Which database this is.

    :ivar system: number of the cluster, given once by initdb.
    :ivar timeline: of its log; a promotion and a restore to a moment begin another.
    """

    system: str
    timeline: str

    def __str__(self) -> str:
        return f"cluster {self.system}, timeline {int(self.timeline, 16)}"


class _Stood(Struct, frozen=True, gc=False):
    """A turn that was acknowledged, or, as version 0, a start.

    :ivar commit_id: of the turn; None for a start.
    :ivar lasting: the run had not ended, so that nobody could prune it then.
    :ivar at: by this process's own clock, in seconds.
    :ivar recorded: it left a record of its last step.
    """

    run_id: UUID
    version: int
    commit_id: UUID | None
    lasting: bool
    at: float
    recorded: bool = True

    def __str__(self) -> str:
        return f"version {self.version} of run {self.run_id}" if self.version else f"run {self.run_id}"


@define(eq=False)
class History:
    """The memory of one handle.

    :ivar identity: of the server met last; None before, and where it cannot be asked.
    :ivar reached: how far its log was on the disk, as far as was told, in bytes; 0 before.
    :ivar broken: why the handle refuses to go on, "" while it does not.
    """

    identity: Identity | None = None
    reached: int = 0
    broken: str = ""
    _stood: deque[_Stood] = field(factory=lambda: deque[_Stood](maxlen=_REMEMBERED))

    # --- what was acknowledged: one member of each batch, which is one transaction

    def committed(self, turns: Sequence[Commit], answers: Sequence[Committed]) -> None:
        for turn, answer in zip(turns, answers, strict=True):
            if answer.outcome is CommitOutcome.COMMITTED:
                self._note(turn)
                return

    def finished(self, finishes: Sequence[TaskFinish], answers: Sequence[Finished]) -> None:
        for finish, answer in zip(finishes, answers, strict=True):
            told = answer.committed
            if finish.turn is not None and told is not None and told.outcome is CommitOutcome.COMMITTED:
                self._note(finish.turn)
                return

    def started(self, runs: Sequence[NewRun], answers: Sequence[Started]) -> None:
        for new, answer in zip(runs, answers, strict=True):
            if answer.outcome is StartOutcome.STARTED:
                told = answer.committed
                if new.turn is not None and told is not None and told.outcome is CommitOutcome.COMMITTED:
                    self._note(new.turn)
                else:
                    self._stood.append(_Stood(new.run_id, 0, None, True, time.monotonic()))
                return

    def _note(self, turn: Commit) -> None:
        last = turn.after
        recorded = bool(turn.records) and turn.records[-1].version == last
        lasting = turn.status not in ENDED
        self._stood.append(_Stood(turn.run_id, last, turn.commit_id, lasting, time.monotonic(), recorded))

    def reach(self, position: int) -> None:
        """The server told how far its log is on the disk."""
        self.reached = max(self.reached, position)

    # --- whether it is there

    async def check(self, connection: Connection, place: Place, ns: int) -> None:
        """Compare a new connection's server with the one before, and if it is another, what it knows.

        Raises IncompatibleJournal where something is missing, also ever after; psycopg.Error.
        """
        if self.broken:
            raise IncompatibleJournal(self.broken)
        # What was known when it was asked: another connection may be told more meanwhile.
        before, reached = self.identity, self.reached
        now, position = await _identity(connection)
        back = before == now and position < reached
        if before is not None and now is not None and (before != now or back):
            where = f"{before} before, {now} now"
            if back:
                where = f"{now}, whose log had come to {_lsn(reached)} before and to {_lsn(position)} now"
            if missing := await self._missing(connection, place, ns):
                self._refuse(place, where, missing)
            else:
                logger.warning(
                    "%s: the server is another or was put back (%s) and knows all that was acknowledged last",
                    place.shown,
                    where,
                )
            self.reached = position
        self.identity = now or before  # only now: a check that was cut short is done again in full
        self.reach(position)

    async def _missing(self, connection: Connection, place: Place, ns: int) -> list[_Stood]:
        """What was acknowledged and is not there, the latest last."""
        if not self._stood:
            return []
        stood, fresh = list(self._stood), time.monotonic() - _FRESH
        runs = [each.run_id for each in stood]
        shards, versions = [shard(run_id) for run_id in runs], [each.version for each in stood]
        named = (arrays.smallints(shards), arrays.uuids(runs), arrays.bigints(versions))
        cursor = await connection.execute(
            query(STANDING, place.schema), (ns, *named), prepare=False, binary=True
        )
        missing: list[_Stood] = []
        for each, (version, latest, commit_id) in zip(stood, await cursor.fetchall(), strict=True):
            if version is not None:  # the run is there
                # Of a step without a record, or whose generation was pruned, only the last one is known.
                found = latest if not each.recorded and version == each.version else commit_id
                gone = found is None and version > each.version
                if each.version and not gone and found != each.commit_id:
                    missing.append(each)
            elif each.lasting and each.at > fresh:  # nobody prunes it so soon
                missing.append(each)
        return missing

    def _refuse(self, place: Place, where: str, missing: list[_Stood]) -> None:
        self._stood.clear()
        what = f"{missing[-1]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        sentence = (
            f"{place.shown}: its history went backwards: the server acknowledged {what}, and does not know "
            f"it any more ({where})"
        )
        if place.accepts:
            logger.error("%s; going on with what is there, as history=accept says", sentence)
            return
        self.broken = (
            f"{sentence}. Two histories must not be folded into one, so this handle does nothing more. If a "
            "failover or a restore lost the tail, look for the old primary or its data before they are "
            "overwritten; if this history is the one to go on with, restart this process, or let it run with "
            "?history=accept"
        )
        raise IncompatibleJournal(self.broken)


async def _identity(connection: Connection) -> tuple[Identity | None, int]:
    """Which database it is, and how far its log is on the disk; None and 0 where it does not tell.

    Raises ReadOnlySqlTransaction for a server that takes no writes.
    """
    try:
        cursor = await connection.execute(IDENTITY.encode(), (0,), prepare=False)
        row = await cursor.fetchone()
    except (states.InsufficientPrivilege, states.UndefinedFunction, states.FeatureNotSupported):
        return None, 0  # a service that hides it
    if row is None:
        return None, 0
    system, timeline, position, read_only, _ = row
    if timeline is None:
        raise states.ReadOnlySqlTransaction("the server is in recovery")
    if read_only is not None:
        raise SetReadOnly(str(read_only), connection.info.user, connection.info.dbname)
    return Identity(str(system), str(timeline)), position


def _lsn(position: int) -> str:
    """As the server's tools write it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
