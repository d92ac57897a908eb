"""What pruning finds and deletes. Every deletion is bounded; who calls repeats it."""

from __future__ import annotations

from continuum_sqlite.statements.attributes import DROP_ATTRIBUTES
from continuum_sqlite.statements.blobs import DROP_BLOBS_OF_ENDED
from continuum_sqlite.statements.crews import DROP_MEMBERS

__all__ = [
    "COUNT_ETERNAL",
    "COUNT_EXPIRED",
    "COUNT_GENERATION",
    "COUNT_RECORDS",
    "DROP_GENERATION",
    "DROP_ORDERS",
    "DROP_RESULTS",
    "DROP_RUN",
    "DROP_SEEN",
    "DROP_STRAY_DEAD",
    "ENDED_RUNS",
    "NEXT_ETERNAL_MACHINE",
    "NEXT_MACHINE",
    "PAST_GENERATIONS",
]

# Ended runs are in their indexes by their kind, machine and status, and then by time: a plan reads nothing of
# the kinds that it does not ask for. Eternal ones are in an index of their own.
_ENDED = "WHERE namespace = ?1 AND status IN (1, 2, 3, 4)"
_MORTAL = f"INDEXED BY continuum_runs_ended {_ENDED} AND eternal IS NULL"
_ETERNAL = f"INDEXED BY continuum_runs_eternal {_ENDED} AND eternal = 1"

# Parameters: namespace; a machine. The next one.
_NEXT = "AND machine > ?2 ORDER BY machine LIMIT 1"
NEXT_MACHINE = f"SELECT machine FROM continuum_runs {_MORTAL} {_NEXT}"
NEXT_ETERNAL_MACHINE = f"SELECT machine FROM continuum_runs {_ETERNAL} {_NEXT}"

# Parameters: namespace; machine; status; updated before; updated and run id of the last one found; how many.
# A run that moves is kept until it has arrived. The table tells of those that an older release made eternal.
ENDED_RUNS = f"""
SELECT updated, run_id FROM continuum_runs AS r {_MORTAL} AND machine = ?2 AND status = ?3 AND updated < ?4
  AND (updated, run_id) > (?5, ?6) AND NOT (status = 4 AND cause = 'moving')
  AND NOT EXISTS (SELECT 1 FROM continuum_eternal AS e WHERE e.namespace = ?1 AND e.run_id = r.run_id)
ORDER BY updated, run_id LIMIT ?7 + 0
"""

# Parameters: namespace; machine; status; updated before; up to how many are counted. One that moves is
# eternal no more.
COUNT_ETERNAL = f"""
SELECT count(*) FROM (
  SELECT 1 FROM continuum_runs {_ETERNAL} AND machine = ?2 AND status = ?3 AND updated < ?4 LIMIT ?5 + 0)
"""

# Parameters: namespace; over before; over, run id and version of the last one found; how many; machine.
PAST_GENERATIONS = """
SELECT g.over, g.run_id, g.below FROM continuum_generations AS g INDEXED BY continuum_generations_over
CROSS JOIN continuum_runs AS r ON r.namespace = ?1 AND r.run_id = g.run_id
WHERE g.namespace = ?1 AND g.over < ?2 AND (g.over, g.run_id, g.below) > (?3, ?4, ?5)
  AND r.status NOT BETWEEN 1 AND 4 AND (?7 IS NULL OR r.machine = ?7)
ORDER BY g.over, g.run_id, g.below LIMIT ?6 + 0
"""

# Parameters: namespace; run; the version below which the generation's records are. Those of the one before
# it, where they are still there, are not its own.
_OF_GENERATION = """
namespace = ?1 AND run_id = ?2 AND version < ?3 AND version >= (
  SELECT coalesce(max(below), 0) FROM continuum_generations
  WHERE namespace = ?1 AND run_id = ?2 AND below < ?3)
"""
COUNT_GENERATION = f"SELECT count(*) FROM continuum_records WHERE {_OF_GENERATION}"
# A token is a version and 16 more bits.
_MEMBERS_OF_GENERATION = """
namespace = ?1 AND run_id = ?2 AND token < ?3 * 65536 AND token >= 65536 * (
  SELECT coalesce(max(below), 0) FROM continuum_generations
  WHERE namespace = ?1 AND run_id = ?2 AND below < ?3)
"""
DROP_GENERATION = (
    f"DELETE FROM continuum_members WHERE {_MEMBERS_OF_GENERATION}",
    f"DELETE FROM continuum_records WHERE {_OF_GENERATION}",
    "DELETE FROM continuum_generations WHERE namespace = ?1 AND run_id = ?2 AND below = ?3",
)

COUNT_RECORDS = "SELECT count(*) FROM continuum_records WHERE namespace = ?1 AND run_id = ?2"

DROP_RUN = (
    *DROP_BLOBS_OF_ENDED,
    "DELETE FROM continuum_records WHERE namespace = ?1 AND run_id = ?2",
    "DELETE FROM continuum_tasks WHERE namespace = ?1 AND run_id = ?2",
    "DELETE FROM continuum_dead WHERE namespace = ?1 AND run_id = ?2",
    DROP_ATTRIBUTES,
    "DELETE FROM continuum_generations WHERE namespace = ?1 AND run_id = ?2",
    DROP_MEMBERS,
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
  WHERE namespace = ?1 AND consumed <= ?2 LIMIT ?3 + 0)
"""

DROP_ORDERS = """
DELETE FROM continuum_orders WHERE (namespace, id) IN (
  SELECT namespace, id FROM continuum_orders INDEXED BY continuum_orders_given
  WHERE namespace = ?1 AND given <= ?2 LIMIT ?3 + 0)
"""

DROP_RESULTS = """
DELETE FROM continuum_results WHERE (namespace, activity, key) IN (
  SELECT namespace, activity, key FROM continuum_results INDEXED BY continuum_results_until
  WHERE namespace = ?1 AND until <= ?2 LIMIT ?3 + 0)
"""

# Dead letters whose run never was; those of a run go with it.
DROP_STRAY_DEAD = """
DELETE FROM continuum_dead WHERE (namespace, run_id, id) IN (
  SELECT d.namespace, d.run_id, d.id FROM continuum_dead AS d INDEXED BY continuum_dead_at
  WHERE d.namespace = ?1 AND d.at < ?2 AND NOT EXISTS (
    SELECT 1 FROM continuum_runs AS r WHERE r.namespace = ?1 AND r.run_id = d.run_id)
  LIMIT ?3 + 0)
"""
