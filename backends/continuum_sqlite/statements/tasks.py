"""Tasks and keyed results."""

from __future__ import annotations

__all__ = [
    "ADD_TASK",
    "BEAT_TASK",
    "CANCEL_TASKS_OF_RUN",
    "CANCEL_TASKS_OF_TOKEN",
    "CLAIMED_TASKS",
    "DROP_TASK",
    "DROP_UNNEEDED",
    "DROP_UNSTARTED_OF_RUN",
    "DROP_UNSTARTED_OF_TOKEN",
    "EXPIRED_TASKS",
    "FREE_RESULT",
    "HAS_TASKS_OF_RUN",
    "HAS_TASKS_OF_TOKEN",
    "HAS_UNNEEDED",
    "LEASE_TASK",
    "LOSE_TASK",
    "NEXT_LEASE_END",
    "NEXT_TASK_DUE",
    "PUT_RESULT",
    "REOPEN_TASK",
    "RESERVE_RESULT",
    "RESULT",
    "TASK",
    "TASK_STANDING",
]

_COLUMNS = (
    "t.run_id, t.token, t.slot, t.activity, t.queue, t.priority, t.due, t.scheduled, t.payload, t.key, "
    "t.undo, t.attempt, t.losses, t.fence, t.lease_until, t.claim_id, t.cancel, t.details, t.failure, "
    "t.fairness"
)

_OF_TASK = "namespace = ?1 AND run_id = ?2 AND token = ?3 AND slot = ?4"

# --- made and closed by commits

ADD_TASK = """
INSERT INTO continuum_tasks (
  namespace, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo,
  attempt, losses, fence, reported, lease_until, claim_id, cancel, fairness
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, 0, 0, ?12, 0, ?13, ?14, 0, ?15)
ON CONFLICT DO NOTHING
"""

HAS_TASKS_OF_TOKEN = """
SELECT 1 FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2 AND token = ?3 LIMIT 1
"""

HAS_TASKS_OF_RUN = "SELECT 1 FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2 LIMIT 1"

# Unstarted: nobody can be carrying it out, for it was never claimed, or every claim was reported.
_UNSTARTED = "(fence = 0 OR (lease_until IS NULL AND losses = 0))"

DROP_UNSTARTED_OF_TOKEN = f"""
DELETE FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2 AND token = ?3 AND undo = 0 AND {_UNSTARTED}
"""

CANCEL_TASKS_OF_TOKEN = """
UPDATE continuum_tasks SET cancel = 1 WHERE namespace = ?1 AND run_id = ?2 AND token = ?3
"""

DROP_UNSTARTED_OF_RUN = f"""
DELETE FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2 AND {_UNSTARTED}
"""

CANCEL_TASKS_OF_RUN = "UPDATE continuum_tasks SET cancel = 1 WHERE namespace = ?1 AND run_id = ?2"

# --- claims

CLAIMED_TASKS = """
SELECT run_id, token, slot FROM continuum_tasks INDEXED BY continuum_tasks_claimed
WHERE namespace = ?1 AND claim_id = ?2 ORDER BY run_id, token, slot
"""

EXPIRED_TASKS = """
SELECT run_id, token, slot, losses, cancel, undo
FROM continuum_tasks INDEXED BY continuum_tasks_leased
WHERE namespace = ?1 AND queue = ?2 AND activity = ?3 AND lease_until IS NOT NULL AND lease_until <= ?4
"""

HAS_UNNEEDED = """
SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_unneeded
WHERE namespace = ?1 AND queue = ?2 AND activity = ?3 AND lease_until IS NULL AND cancel = 1 AND undo = 0
  AND due <= ?4 LIMIT 1
"""

DROP_UNNEEDED = """
DELETE FROM continuum_tasks INDEXED BY continuum_tasks_unneeded
WHERE namespace = ?1 AND queue = ?2 AND activity = ?3 AND lease_until IS NULL AND cancel = 1 AND undo = 0
  AND due <= ?4
"""

NEXT_TASK_DUE = """
SELECT min(due) FROM continuum_tasks INDEXED BY continuum_tasks_ready
WHERE namespace = ?1 AND queue = ?2 AND activity = ?3 AND priority = ?4 AND lease_until IS NULL
  AND due > ?5
"""

NEXT_LEASE_END = """
SELECT min(lease_until) FROM continuum_tasks INDEXED BY continuum_tasks_leased
WHERE namespace = ?1 AND queue = ?2 AND activity = ?3 AND lease_until IS NOT NULL
"""

LEASE_TASK = f"""
UPDATE continuum_tasks SET fence = max(fence + 1, ?5), lease_until = ?6, claim_id = ?7 WHERE {_OF_TASK}
"""

LOSE_TASK = f"""
UPDATE continuum_tasks SET losses = ?5, due = ?6, lease_until = NULL, claim_id = NULL WHERE {_OF_TASK}
"""

TASK = f"""
SELECT r.machine, r.fingerprint, {_COLUMNS}
FROM continuum_tasks AS t
CROSS JOIN continuum_runs AS r ON r.namespace = ?1 AND r.run_id = t.run_id
WHERE t.namespace = ?1 AND t.run_id = ?2 AND t.token = ?3 AND t.slot = ?4
"""

# --- heartbeat, finish

BEAT_TASK = f"""
UPDATE continuum_tasks SET lease_until = ?6, details = coalesce(?7, details)
WHERE {_OF_TASK} AND fence = ?5 AND lease_until IS NOT NULL RETURNING cancel
"""

TASK_STANDING = """
SELECT t.fence, t.reported, t.losses, t.cancel, t.undo, t.activity, t.key,
  r.version, r.status, r.fence, r.lease_until, r.commit_id, r.tries, r.machine
FROM continuum_tasks AS t
CROSS JOIN continuum_runs AS r ON r.namespace = ?1 AND r.run_id = t.run_id
WHERE t.namespace = ?1 AND t.run_id = ?2 AND t.token = ?3 AND t.slot = ?4
"""

REOPEN_TASK = f"""
UPDATE continuum_tasks SET due = ?5, attempt = attempt + ?6, failure = coalesce(?7, failure),
  reported = fence, lease_until = NULL, claim_id = NULL
WHERE {_OF_TASK}
"""

DROP_TASK = f"DELETE FROM continuum_tasks WHERE {_OF_TASK}"

# --- keyed results: `result` is NULL while the row is a reservation

RESULT = """
SELECT result, until, run_id, token, slot FROM continuum_results
WHERE namespace = ?1 AND activity = ?2 AND key = ?3 AND until > ?4
"""

RESERVE_RESULT = """
INSERT INTO continuum_results (namespace, activity, key, run_id, token, slot, until, result)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)
ON CONFLICT DO UPDATE SET run_id = excluded.run_id, token = excluded.token, slot = excluded.slot,
  until = excluded.until, result = NULL
"""

# The first result within its window stays: what was told once is told again.
PUT_RESULT = """
INSERT INTO continuum_results (namespace, activity, key, run_id, token, slot, until, result)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO UPDATE SET run_id = excluded.run_id, token = excluded.token, slot = excluded.slot,
  until = excluded.until, result = excluded.result
WHERE continuum_results.result IS NULL OR continuum_results.until <= ?9
"""

FREE_RESULT = """
DELETE FROM continuum_results WHERE namespace = ?1 AND activity = ?2 AND key = ?3
  AND run_id = ?4 AND token = ?5 AND slot = ?6 AND result IS NULL
"""
