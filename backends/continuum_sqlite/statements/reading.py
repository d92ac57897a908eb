"""What people and tools look at: pages of runs, and all that one run has open."""

from __future__ import annotations

from continuum_sqlite.statements.runs import RUN_COLUMNS

__all__ = ["CHILDREN", "DEAD_OF_RUN", "DELIVERIES_OF_RUN", "RUNS", "RUNS_IN_STATUS", "TASKS_OF_RUN"]

# Parameters: namespace; created from, to (exclusive); created and run id of the last row of the page
# before; how many; then machine, status and parent, where NULL means any.
_WHERE = """
WHERE namespace = ?1 AND created >= ?2 AND created < ?3 AND (created, run_id) < (?4, ?5)
  AND (?7 IS NULL OR machine = ?7)
"""
_TAIL = "ORDER BY created DESC, run_id DESC LIMIT ?6 + 0"

RUNS = f"""
SELECT {RUN_COLUMNS} FROM continuum_runs INDEXED BY continuum_runs_created
{_WHERE} AND ?8 IS NULL AND ?9 IS NULL {_TAIL}
"""

RUNS_IN_STATUS = f"""
SELECT {RUN_COLUMNS} FROM continuum_runs INDEXED BY continuum_runs_status
{_WHERE} AND status = ?8 AND ?9 IS NULL {_TAIL}
"""

CHILDREN = f"""
SELECT {RUN_COLUMNS} FROM continuum_runs INDEXED BY continuum_runs_parent
{_WHERE} AND (?8 IS NULL OR status = ?8) AND parent = ?9 {_TAIL}
"""

DELIVERIES_OF_RUN = """
SELECT id, run_id, kind, payload, due, token, slot, dedupe, held, cause FROM continuum_deliveries
WHERE namespace = ?1 AND run_id = ?2 ORDER BY due, id
"""

TASKS_OF_RUN = """
SELECT run_id, token, slot, activity, queue, priority, due, scheduled, payload, key,
  undo, attempt, losses, fence, lease_until, claim_id, cancel, details, failure, fairness
FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2 ORDER BY token, slot
"""

DEAD_OF_RUN = """
SELECT id, run_id, kind, payload, due, token, slot, dedupe, 0, cause, reason, at FROM continuum_dead
WHERE namespace = ?1 AND run_id = ?2 ORDER BY at, id
"""
