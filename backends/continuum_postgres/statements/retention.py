"""What pruning finds and deletes, in bounded transactions.

Rule: what was found is old when it is deleted. It is locked first, by a statement that asks once more what it
was found by: a run may have been pruned by another and its id be used again, and a past generation be one
that is kept for ever, or that has left with its run.
"""

from __future__ import annotations

from continuum_postgres.statements.blobs import DROP_BLOBS_OF_ENDED

__all__ = [
    "COUNT_ETERNAL",
    "COUNT_ETERNAL_OF",
    "COUNT_EXPIRED",
    "COUNT_GENERATIONS",
    "COUNT_RECORDS",
    "DROP_CLAIMS",
    "DROP_GENERATIONS",
    "DROP_GENERATION_MEMBERS",
    "DROP_GENERATION_RECORDS",
    "DROP_ORDERS",
    "DROP_RESULTS",
    "DROP_RUNS",
    "DROP_SEEN",
    "DROP_STRAY_DEAD",
    "ENDED_RUNS",
    "ENDED_RUNS_OF",
    "LOCK_ENDED",
    "LOCK_GENERATIONS",
    "LOCK_PRUNED",
    "PAST_GENERATIONS",
]

# What is asked of a run is asked of its row, after it was found by its key: a condition that an index over
# many runs has (`ended`) would have that index read for each, where statistics are none or stale. For the
# same reason eternal runs are looked up one by one, and not joined.

# Ended runs are in the indexes by their kind, machine and status, and then by time. A plan that asks for few
# kinds reads nothing of the others; one that asks for all finds the kinds by one probe each, and merges them.
_MORTAL = "r.ns = $1::integer AND r.ended IS NOT NULL AND r.eternal IS NULL"
_ETERNAL = "r.ns = $1::integer AND r.ended IS NOT NULL AND r.eternal"


def _kinds(which: str) -> str:
    return f"""
WITH RECURSIVE kinds (machine, status) AS (
  (SELECT r.machine, r.status FROM continuum.runs r WHERE {which} ORDER BY r.machine, r.status LIMIT 1)
  UNION ALL
  SELECT next.machine, next.status FROM kinds k CROSS JOIN LATERAL (
    SELECT r.machine, r.status FROM continuum.runs r
    WHERE {which} AND (r.machine, r.status) > (k.machine, k.status)
    ORDER BY r.machine, r.status LIMIT 1) next)"""


def _kinds_of(machine: str) -> str:
    return f"""
WITH kinds (machine, status) AS (SELECT {machine}::text, s.status FROM generate_series(1, 4) s (status))"""


def _ended_runs(kinds: str) -> str:
    return f"""{kinds}
SELECT found.ended, found.shard, found.run_id FROM kinds k CROSS JOIN LATERAL (
  SELECT r.ended, r.shard, r.run_id FROM continuum.runs r
  WHERE {_MORTAL} AND r.machine = k.machine AND r.status = k.status::smallint AND r.ended < $2::bigint
    AND (r.ended, r.run_id) > ($3::bigint, $4::uuid)
    AND NOT (r.status = 4 AND r.cause = 'moving')
    AND NOT EXISTS (
      SELECT 1 FROM continuum.eternal e
      WHERE e.shard = r.shard AND e.ns = $1::integer AND e.run_id = r.run_id OFFSET 0)
  ORDER BY r.ended, r.run_id LIMIT $5::bigint) found
WHERE ($6::integer >> k.status::integer) & 1 = 1
ORDER BY found.ended, found.run_id LIMIT $5::bigint
"""


# In the order of the index: no other one gives it, whatever the statistics say of what each would read.
def _count_eternal(kinds: str) -> str:
    return f"""{kinds}
SELECT count(*) FROM (
  SELECT 1 FROM kinds k CROSS JOIN LATERAL (
    SELECT 1 FROM continuum.runs r
    WHERE {_ETERNAL} AND r.machine = k.machine AND r.status = k.status::smallint AND r.ended < $2::bigint
    ORDER BY r.ended LIMIT $3::bigint) found
  WHERE ($4::integer >> k.status::integer) & 1 = 1 LIMIT $3::bigint) counted
"""


# Parameters: updated before; ended and run id of the last one found; how many; statuses, one bit each;
# machine. A run that moves is kept until it has arrived. The table of eternal runs tells of those that an
# older release made eternal.
ENDED_RUNS = _ended_runs(_kinds(_MORTAL))
ENDED_RUNS_OF = _ended_runs(_kinds_of("$7"))

# Parameters: updated before; up to how many are counted; statuses, one bit each; machine. A run that moves is
# eternal no more.
COUNT_ETERNAL = _count_eternal(_kinds(_ETERNAL))
COUNT_ETERNAL_OF = _count_eternal(_kinds_of("$5"))

# Parameters: over before; over, run id and version of the last one found; how many; machine (NULL: any).
PAST_GENERATIONS = """
SELECT g.over, g.shard, g.run_id, g.below FROM continuum.generations g
CROSS JOIN LATERAL (
  SELECT r.ended, r.machine FROM continuum.runs r
  WHERE r.shard = g.shard AND r.ns = $1::integer AND r.run_id = g.run_id OFFSET 0) r
WHERE g.ns = $1::integer AND g.over < $2::bigint AND r.ended IS NULL
  AND ($7::text IS NULL OR r.machine = $7::text)
  AND (g.over, g.run_id, g.below) > ($3::bigint, $4::uuid, $5::bigint)
ORDER BY g.over, g.run_id, g.below LIMIT $6::bigint
"""

# Parameters: shards, runs, versions; over before. Not the runs: their commits would wait for what may be
# many records. Whoever makes a run eternal or has it leave deletes these rows, and so waits here, or is seen.
# In words that the index of all that is over does not know.
LOCK_GENERATIONS = """
SELECT m.run_id, m.below FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) AS m (shard, run_id, below)
CROSS JOIN LATERAL (
  SELECT r.ended FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0) r
CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.generations g
  WHERE g.shard = m.shard AND g.ns = $1::integer AND g.run_id = m.run_id AND g.below = m.below
    AND coalesce(g.over, $5::bigint) < $5::bigint
  FOR UPDATE SKIP LOCKED) g
WHERE r.ended IS NULL
"""

# Parameters: shards, runs, the versions below which the generations' records are. What an older generation
# of the run still has is not theirs.
_OF_GENERATIONS = """
unnest($2::smallint[], $3::uuid[], $4::bigint[]) AS m (shard, run_id, below)
CROSS JOIN LATERAL (
  SELECT coalesce(max(g.below), 0) AS since FROM continuum.generations g
  WHERE g.shard = m.shard AND g.ns = $1::integer AND g.run_id = m.run_id AND g.below < m.below) g
CROSS JOIN LATERAL (
  SELECT t.ctid AS tid FROM continuum.records t
  WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id
    AND t.version < m.below AND t.version >= g.since OFFSET 0) t
"""
COUNT_GENERATIONS = f"SELECT count(*) FROM {_OF_GENERATIONS}"

DROP_GENERATION_RECORDS = f"""
DELETE FROM continuum.records t WHERE t.ctid = ANY (ARRAY(SELECT t.tid FROM {_OF_GENERATIONS}))
"""

# A token is a version and 16 more bits.
DROP_GENERATION_MEMBERS = """
DELETE FROM continuum.members t WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) AS m (shard, run_id, below)
  CROSS JOIN LATERAL (
    SELECT coalesce(max(g.below), 0) AS since FROM continuum.generations g
    WHERE g.shard = m.shard AND g.ns = $1::integer AND g.run_id = m.run_id AND g.below < m.below) g
  CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.members t
    WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id
      AND t.token < m.below * 65536 AND t.token >= g.since * 65536 OFFSET 0) t))
"""

DROP_GENERATIONS = """
DELETE FROM continuum.generations g WHERE g.ctid = ANY (ARRAY(
  SELECT g.tid FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) AS m (shard, run_id, below)
  CROSS JOIN LATERAL (
    SELECT g.ctid AS tid FROM continuum.generations g
    WHERE g.shard = m.shard AND g.ns = $1::integer AND g.run_id = m.run_id AND g.below = m.below OFFSET 0) g))
"""

_RUNS = "unnest($2::smallint[], $3::uuid[]) AS m (shard, run_id)"


def _lock_ended(condition: str = "") -> str:
    return f"""
SELECT m.shard, m.run_id FROM {_RUNS} CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id
    AND r.status BETWEEN 1 AND 4{condition}
  FOR UPDATE SKIP LOCKED
) r
"""


# Another pruning that is at the same runs leaves us the others.
LOCK_ENDED = _lock_ended()

# Parameters: shards, runs; ended before; statuses, one bit each; machine (NULL: any). In words that no index
# over many runs knows.
LOCK_PRUNED = _lock_ended("""
    AND coalesce(r.ended, $4::bigint) < $4::bigint AND r.eternal IS NOT TRUE
    AND NOT (r.status = 4 AND r.cause = 'moving')
    AND ($5::integer >> r.status::integer) & 1 = 1 AND ($6::text IS NULL OR r.machine = $6::text)
    AND NOT EXISTS (
      SELECT 1 FROM continuum.eternal e
      WHERE e.shard = r.shard AND e.ns = $1::integer AND e.run_id = r.run_id OFFSET 0)""")


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

DROP_RUNS = (
    DROP_BLOBS_OF_ENDED,
    *(
        _drop_of(table)
        for table in ("records", "tasks", "dead", "attributes", "members", "generations", "runs")
    ),
)

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
