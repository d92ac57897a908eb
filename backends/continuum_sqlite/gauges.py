"""How much waits in a namespace."""

from __future__ import annotations

from continuum_core.journal.gauges import COUNTED, Gauges, gauges_of
from continuum_core.journal.records import RunStatus
from continuum_sqlite.statements.gauges import DUE, IN_STATUS, TASKS
from continuum_sqlite.transaction import Transaction

__all__ = ["gauges"]


def gauges(transaction: Transaction) -> Gauges:
    """The verb: how much waits."""
    ns, execute = transaction.ns, transaction.execute
    statuses = {
        status: int(execute(IN_STATUS, (ns, int(status), COUNTED)).fetchone()[0])
        for status in (RunStatus.PARKED, RunStatus.SUSPENDED)
    }
    dues = [row[0] for row in execute(DUE, (ns, transaction.now, COUNTED))]
    return gauges_of(transaction.now, dues, statuses, execute(TASKS, (ns, COUNTED)).fetchall())
