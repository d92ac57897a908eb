"""What pruning finds and deletes. Every deletion is bounded; who calls repeats it."""

from __future__ import annotations

from continuum_sqlite.statements.attributes import DROP_ATTRIBUTES

__all__ = [
    "COUNT_EXPIRED",
    "COUNT_RECORDS",
    "DROP_ORDERS",
    "DROP_RESULTS",
    "DROP_RUN",
    "DROP_SEEN",
    "DROP_STRAY_DEAD",
    "ENDED_RUNS",
]

# Parameters: namespace; updated before; updated and run id of the last one found; how many; machine
# (NULL: any); the statuses, one bit each. A run that moves is kept until it has arrived.
ENDED_RUNS = """
SELECT updated, run_id FROM continuum_runs INDEXED BY continuum_runs_ended
WHERE namespace = ?1 AND status BETWEEN 1 AND 4 AND updated < ?2 AND (updated, run_id) > (?3, ?4)
  AND (?6 IS NULL OR machine = ?6) AND (?7 >> status) & 1 AND NOT (status = 4 AND cause = 'moving')
ORDER BY updated, run_id LIMIT ?5
"""

COUNT_RECORDS = "SELECT count(*) FROM continuum_records WHERE namespace = ?1 AND run_id = ?2"

DROP_RUN = (
    "DELETE FROM continuum_records WHERE namespace = ?1 AND run_id = ?2",
    "DELETE FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2",
    "DELETE FROM continuum_dead WHERE namespace = ?1 AND run_id = ?2",
    DROP_ATTRIBUTES,
    "DELETE FROM continuum_runs WHERE namespace = ?1 AND run_id = ?2",
)

# Parameters: namespace; start of the dedupe window; now. Each index ends at the last expired entry.
COUNT_EXPIRED = """
SELECT (SELECT count(*) FROM continuum_seen INDEXED BY continuum_seen_consumed
        WHERE namespace = ?1 AND consumed <= ?2)
     + (SELECT count(*) FROM continuum_orders INDEXED BY continuum_orders_given
        WHERE namespace = ?1 AND given <= ?2)
     + (SELECT count(*) FROM continuum_results INDEXED BY continuum_results_until
        WHERE namespace = ?1 AND until <= ?3)
"""

# Parameters: namespace; the time up to which entries go; how many at most.
DROP_SEEN = """
DELETE FROM continuum_seen WHERE (namespace, run_id, dedupe) IN (
  SELECT namespace, run_id, dedupe FROM continuum_seen INDEXED BY continuum_seen_consumed
  WHERE namespace = ?1 AND consumed <= ?2 LIMIT ?3)
"""

DROP_ORDERS = """
DELETE FROM continuum_orders WHERE (namespace, id) IN (
  SELECT namespace, id FROM continuum_orders INDEXED BY continuum_orders_given
  WHERE namespace = ?1 AND given <= ?2 LIMIT ?3)
"""

DROP_RESULTS = """
DELETE FROM continuum_results WHERE (namespace, activity, key) IN (
  SELECT namespace, activity, key FROM continuum_results INDEXED BY continuum_results_until
  WHERE namespace = ?1 AND until <= ?2 LIMIT ?3)
"""

# Dead letters whose run never was; those of a run go with it.
DROP_STRAY_DEAD = """
DELETE FROM continuum_dead WHERE (namespace, run_id, id) IN (
  SELECT d.namespace, d.run_id, d.id FROM continuum_dead AS d INDEXED BY continuum_dead_at
  WHERE d.namespace = ?1 AND d.at < ?2 AND NOT EXISTS (
    SELECT 1 FROM continuum_runs AS r WHERE r.namespace = ?1 AND r.run_id = d.run_id)
  LIMIT ?3)
"""
