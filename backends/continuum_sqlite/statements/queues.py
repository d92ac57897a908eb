"""What waits in a queue: by priority, by fairness key, under its limits.

Rule: a lane is a queue and an activity. Lanes, priorities and keys are found by seeking from one to the
next, so that what waits behind them is not read.
"""

from __future__ import annotations

__all__ = [
    "BUCKET",
    "COUNT_BEFORE",
    "COUNT_OF_KEY",
    "COUNT_URGENT",
    "DEALT",
    "FIRST_KEYS",
    "HAS_READY",
    "LANES",
    "LIVE_LEASES",
    "NEXT_KEYS",
    "NEXT_PRIORITY",
    "PUT_BUCKET",
    "PUT_DEALT",
    "READY_OF_KEY",
    "READY_TASKS",
]

_LANE = "namespace = ?1 AND queue = ?2 AND activity = ?3 AND lease_until IS NULL"
_NEEDED = "(undo = 1 OR cancel = 0)"  # what is not needed is put away by the next claim

# --- by priority

NEXT_PRIORITY = f"""
SELECT min(priority) FROM continuum_tasks INDEXED BY continuum_tasks_ready WHERE {_LANE} AND priority > ?4
"""

HAS_READY = f"""
SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_ready
WHERE {_LANE} AND priority = ?4 AND due <= ?5 LIMIT 1
"""

READY_TASKS = f"""
SELECT due, run_id, token, slot, losses, fairness FROM continuum_tasks INDEXED BY continuum_tasks_ready
WHERE {_LANE} AND priority = ?4 AND due <= ?5
ORDER BY due, run_id, token, slot LIMIT ?6 + 0
"""

# --- by fairness key


def _keys(begins: str) -> str:
    """Keys that have due tasks, ascending."""
    key = f"SELECT min(fairness) FROM continuum_tasks INDEXED BY continuum_tasks_dealt WHERE {_LANE}"
    return f"""
WITH RECURSIVE keys (key) AS (
  {key} AND priority = ?4 AND fairness {begins} ?5
  UNION ALL
  SELECT ({key} AND priority = ?4 AND fairness > keys.key) FROM keys WHERE keys.key IS NOT NULL
)
SELECT key FROM keys WHERE key IS NOT NULL AND EXISTS (
  SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_dealt
  WHERE {_LANE} AND priority = ?4 AND fairness = keys.key AND due <= ?6
) LIMIT ?7 + 0
"""


FIRST_KEYS = _keys(">=")
NEXT_KEYS = _keys(">")

READY_OF_KEY = f"""
SELECT due, run_id, token, slot, losses, fairness FROM continuum_tasks INDEXED BY continuum_tasks_dealt
WHERE {_LANE} AND priority = ?4 AND fairness = ?5 AND due <= ?6
ORDER BY due, run_id, token, slot LIMIT ?7 + 0
"""

DEALT = "SELECT fairness FROM continuum_dealt WHERE namespace = ?1 AND queue = ?2 AND priority = ?3"

PUT_DEALT = """
INSERT INTO continuum_dealt (namespace, queue, priority, fairness) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET fairness = excluded.fairness
"""

# --- limits

LIVE_LEASES = """
WITH RECURSIVE lanes (activity) AS (
  SELECT min(activity) FROM continuum_tasks INDEXED BY continuum_tasks_leased
  WHERE namespace = ?1 AND queue = ?2 AND lease_until IS NOT NULL
  UNION ALL
  SELECT (
    SELECT min(activity) FROM continuum_tasks INDEXED BY continuum_tasks_leased
    WHERE namespace = ?1 AND queue = ?2 AND lease_until IS NOT NULL AND activity > lanes.activity
  ) FROM lanes WHERE lanes.activity IS NOT NULL
)
SELECT count(*) FROM (
  SELECT 1 FROM lanes CROSS JOIN continuum_tasks AS t INDEXED BY continuum_tasks_leased
  ON t.namespace = ?1 AND t.queue = ?2 AND t.activity = lanes.activity AND t.lease_until IS NOT NULL
    AND t.lease_until > ?3
  LIMIT ?4 + 0
)
"""

BUCKET = "SELECT level, at, per FROM continuum_buckets WHERE namespace = ?1 AND queue = ?2"

PUT_BUCKET = """
INSERT INTO continuum_buckets (namespace, queue, level, at, per) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET level = excluded.level, at = excluded.at, per = excluded.per
"""

# --- places: nothing is counted further than its limit, the last parameter

LANES = """
WITH RECURSIVE lanes (activity) AS (
  SELECT min(activity) FROM continuum_tasks INDEXED BY continuum_tasks_ready
  WHERE namespace = ?1 AND queue = ?2 AND lease_until IS NULL
  UNION ALL
  SELECT (
    SELECT min(activity) FROM continuum_tasks INDEXED BY continuum_tasks_ready
    WHERE namespace = ?1 AND queue = ?2 AND lease_until IS NULL AND activity > lanes.activity
  ) FROM lanes WHERE lanes.activity IS NOT NULL
)
SELECT activity FROM lanes WHERE activity IS NOT NULL
"""

COUNT_URGENT = f"""
SELECT count(*) FROM (
  SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_ready
  WHERE {_LANE} AND {_NEEDED} AND priority = ?4 AND due <= ?5 LIMIT ?6 + 0
)
"""

COUNT_OF_KEY = f"""
SELECT count(*) FROM (
  SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_dealt
  WHERE {_LANE} AND {_NEEDED} AND priority = ?4 AND fairness = ?5 AND due <= ?6 LIMIT ?7 + 0
)
"""

COUNT_BEFORE = f"""
SELECT count(*) FROM (
  SELECT 1 FROM continuum_tasks INDEXED BY continuum_tasks_dealt
  WHERE {_LANE} AND {_NEEDED} AND priority = ?4 AND fairness = ?5 AND due <= ?6
    AND (due, run_id, token, slot) < (?6, ?7, ?8, ?9) LIMIT ?10 + 0
)
"""
