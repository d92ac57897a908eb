"""How much waits in a namespace: one snapshot, without locks."""

from __future__ import annotations

from continuum_core.journal.gauges import COUNTED, Gauges, gauges_of
from continuum_core.journal.records import RunStatus
from continuum_postgres.session import Session
from continuum_postgres.statements import gauges as statements
from continuum_postgres.statements.reading import BEGIN_READING, NOW

__all__ = ["gauges"]


async def gauges(session: Session) -> Gauges:
    """The verb: how much waits."""
    _, clock, dues, statuses, tasks, _ = await session.ask(
        (BEGIN_READING, ()),
        (NOW, ()),
        (statements.DUE, (COUNTED,)),
        (statements.STATUSES, (COUNTED,)),
        (statements.TASKS, (COUNTED,)),
        ("COMMIT", ()),
    )
    now = session.space.at(clock[0][0])
    counted = {RunStatus(status): count for status, count in statuses}
    found = [(row[0], row[1], row[2], row[3]) for row in tasks]
    return gauges_of(now, [row[0] for row in dues], counted, found)
