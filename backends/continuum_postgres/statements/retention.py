"""What pruning finds and deletes, in bounded transactions."""

from __future__ import annotations

__all__ = [
    "COUNT_EXPIRED",
    "COUNT_RECORDS",
    "DROP_CLAIMS",
    "DROP_ORDERS",
    "DROP_RESULTS",
    "DROP_RUNS",
    "DROP_SEEN",
    "DROP_STRAY_DEAD",
    "ENDED_RUNS",
    "LOCK_ENDED",
]

# Parameters: updated before; ended and run id of the last one found; how many; machine (NULL: any);
# statuses, one bit each. A run that moves is kept until it has arrived.
ENDED_RUNS = """
SELECT r.ended, r.shard, r.run_id FROM continuum.runs r
WHERE r.ns = $1::integer AND r.ended IS NOT NULL AND r.ended < $2::bigint
  AND (r.ended, r.run_id) > ($3::bigint, $4::uuid)
  AND ($6::text IS NULL OR r.machine = $6::text) AND ($7::integer >> r.status::integer) & 1 = 1
  AND NOT (r.status = 4 AND r.cause = 'moving')
ORDER BY r.ended, r.run_id LIMIT $5::bigint
"""

_RUNS = "unnest($2::smallint[], $3::uuid[]) AS m (shard, run_id)"

# Another pruning that is at the same runs leaves us the others.
LOCK_ENDED = f"""
SELECT m.shard, m.run_id FROM {_RUNS} CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id AND r.status BETWEEN 1 AND 4
  FOR UPDATE SKIP LOCKED
) r
"""


def _count_of(table: str) -> str:
    return f"""
SELECT count(*) FROM {_RUNS} CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.{table} t
  WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id OFFSET 0) t
"""


def _drop_of(table: str) -> str:
    return f"""
DELETE FROM continuum.{table} t WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM {_RUNS} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.{table} t
    WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id OFFSET 0) t))
"""


COUNT_RECORDS = _count_of("records")

DROP_RUNS = tuple(_drop_of(table) for table in ("records", "tasks", "dead", "attributes", "runs"))

# Parameters: start of the dedupe window; now.
COUNT_EXPIRED = """
SELECT (SELECT count(*) FROM continuum.seen
        WHERE ns = $1::integer AND consumed IS NOT NULL AND consumed <= $2::bigint)
     + (SELECT count(*) FROM continuum.orders WHERE ns = $1::integer AND given <= $2::bigint)
     + (SELECT count(*) FROM continuum.results WHERE ns = $1::integer AND until <= $3::bigint)
"""

# Parameters: the time up to which entries go; how many at most.
DROP_SEEN = """
DELETE FROM continuum.seen WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM continuum.seen
  WHERE ns = $1::integer AND consumed IS NOT NULL AND consumed <= $2::bigint
  LIMIT $3::bigint FOR UPDATE SKIP LOCKED))
"""

DROP_ORDERS = """
DELETE FROM continuum.orders WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM continuum.orders WHERE ns = $1::integer AND given <= $2::bigint
  LIMIT $3::bigint FOR UPDATE SKIP LOCKED))
"""

DROP_RESULTS = """
DELETE FROM continuum.results WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM continuum.results WHERE ns = $1::integer AND until <= $2::bigint
  LIMIT $3::bigint FOR UPDATE SKIP LOCKED))
"""

# A claim whose runs are all on under others' ids tells nobody anything.
DROP_CLAIMS = """
DELETE FROM continuum.claims WHERE ctid = ANY (ARRAY(
  SELECT c.ctid FROM continuum.claims c
  WHERE c.ns = $1::integer AND c.at <= $2::bigint AND NOT EXISTS (
    SELECT 1 FROM unnest(c.shards, c.runs) AS m (shard, run_id) CROSS JOIN LATERAL (
      SELECT 1 FROM continuum.runs r
      WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id
        AND r.claim_id = c.claim_id OFFSET 0) r)
  LIMIT $3::bigint FOR UPDATE OF c SKIP LOCKED))
"""

# Dead letters whose run never was; those of a run go with it.
DROP_STRAY_DEAD = """
DELETE FROM continuum.dead WHERE ctid = ANY (ARRAY(
  SELECT d.ctid FROM continuum.dead d
  WHERE d.ns = $1::integer AND d.at < $2::bigint AND NOT EXISTS (
    SELECT 1 FROM continuum.runs r
    WHERE r.shard = d.shard AND r.ns = $1::integer AND r.run_id = d.run_id)
  LIMIT $3::bigint))
"""
