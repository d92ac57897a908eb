"""Runs and their records."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = [
    "ADD_RECORDS",
    "ADD_RUNS",
    "BEGIN_GENERATIONS",
    "END_RUNS",
    "FORGET_GENERATIONS",
    "HISTORY",
    "LAST_RECORDS",
    "LOCK_RUNS",
    "MAKE_ETERNAL",
    "MARK_ETERNAL",
    "NOTE_GENERATIONS",
    "ORDER_RUNS",
    "READ_STARTS",
    "RELEASE_RUNS",
    "RENEW_RUNS",
    "RUNS_BY_ID",
    "RUN_COLUMNS",
    "STOOD",
    "TURN_RUNS",
]

RUN_COLUMNS = (
    "r.run_id, r.machine, r.fingerprint, r.key, r.digest, r.generation, r.version, r.status, r.cause, "
    "r.snapshot, r.outcome, r.fence, r.lease_until, r.claim_id, r.commit_id, r.tries, r.parent, r.root, "
    "r.created, r.updated"
)

_MEMBERS = "unnest($2::smallint[], $3::uuid[]) WITH ORDINALITY AS m (shard, run_id, ord)"
_THE_RUN = "r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id"

RUNS_BY_ID = f"""
SELECT m.ord, {RUN_COLUMNS} FROM {_MEMBERS}
CROSS JOIN LATERAL (SELECT * FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r
"""

# --- start

# And whether something is left that was sent to an earlier run of that id, and is not the new one's.
READ_STARTS = f"""
SELECT {CLOCK}, r.digest, r.status, d.there IS NOT NULL FROM {_MEMBERS}
LEFT JOIN LATERAL (SELECT r.digest, r.status FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r ON true
LEFT JOIN LATERAL (
  SELECT true AS there FROM continuum.deliveries d
  WHERE d.shard = m.shard AND d.ns = $1::integer AND d.run_id = m.run_id LIMIT 1
) d ON true
ORDER BY m.ord
"""

ADD_RUNS = """
INSERT INTO continuum.runs (
  shard, ns, run_id, machine, fingerprint, key, digest, parent, root, created, updated,
  generation, version, status, cause, fence, tries, snapshot, outcome, commit_id, ended
)
SELECT m.shard, $1::integer, m.run_id, m.machine, m.fingerprint, m.key, m.digest, m.parent, m.root,
  $2::bigint, $2::bigint, 0, m.version, m.status, m.cause, m.fence, 0, m.snapshot, m.outcome, m.commit_id,
  CASE WHEN m.status BETWEEN 1 AND 4 THEN $2::bigint END
FROM unnest(
  $3::smallint[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::uuid[], $10::uuid[],
  $11::bigint[], $12::smallint[], $13::text[], $14::bytea[], $15::bytea[], $16::uuid[], $17::bigint[]
) AS m (shard, run_id, machine, fingerprint, key, digest, parent, root,
        version, status, cause, snapshot, outcome, commit_id, fence)
"""

# --- commit

# The clock is read after the lock was had: a run's times never go back.
LOCK_RUNS = f"""
SELECT {CLOCK}, r.version, r.status, r.fence, r.lease_until, r.commit_id, r.tries, r.machine
FROM {_MEMBERS}
LEFT JOIN LATERAL (SELECT * FROM continuum.runs r WHERE {_THE_RUN} FOR UPDATE) r ON true
ORDER BY m.ord
"""

_SET = """
  version = m.version, fingerprint = m.fingerprint, cause = m.cause, snapshot = m.snapshot,
  outcome = m.outcome, commit_id = m.commit_id, updated = $2::bigint, lease_until = NULL, claim_id = NULL"""

_TURNS = """
unnest($3::smallint[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::bytea[], $9::bytea[],
       $10::uuid[], $11::smallint[])
  AS m (shard, run_id, version, fingerprint, cause, snapshot, outcome, commit_id, status)"""

_FOUND = f"""
FROM (SELECT m.*, r.tid FROM {_TURNS}
      CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r) m
WHERE r.ctid = m.tid"""

# A run that goes on: nothing that is in an index changes, so the row is replaced on its page (HOT).
TURN_RUNS = f"UPDATE continuum.runs r SET {_SET}, tries = 0 {_FOUND}"

END_RUNS = f"""
UPDATE continuum.runs r SET {_SET}, status = m.status,
  ended = CASE WHEN m.status BETWEEN 1 AND 4 THEN $2::bigint END,
  tries = CASE WHEN m.status = 6 THEN r.tries ELSE 0 END,
  fence = CASE WHEN m.status = 6 THEN greatest(r.fence + 1, $2::bigint) ELSE r.fence END
{_FOUND}
"""

ADD_RECORDS = """
INSERT INTO continuum.records (shard, ns, run_id, version, kind, at, cause, commit_id, body)
SELECT m.shard, $1::integer, m.run_id, m.version, m.kind, m.at, m.cause, m.commit_id, m.body
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::smallint[], $6::bigint[], $7::uuid[], $8::uuid[],
  $9::bytea[]) AS m (shard, run_id, version, kind, at, cause, commit_id, body)
"""

# Whether a turn was committed before: its id is in its first record; where it keeps none, and `version` is
# NULL, it is the run's as long as nothing followed.
STOOD = f"""
SELECT coalesce(e.commit_id, r.commit_id)
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::bigint[])
  WITH ORDINALITY AS m (shard, run_id, version, after, ord)
LEFT JOIN LATERAL (
  SELECT e.commit_id FROM continuum.records e
  WHERE e.shard = m.shard AND e.ns = $1::integer AND e.run_id = m.run_id
    AND e.version = m.version OFFSET 0
) e ON true
LEFT JOIN LATERAL (
  SELECT r.commit_id FROM continuum.runs r
  WHERE {_THE_RUN} AND m.version IS NULL AND r.version = m.after OFFSET 0
) r ON true
ORDER BY m.ord
"""

_MARKED = "unnest($2::smallint[], $3::uuid[]) AS m (shard, run_id)"

BEGIN_GENERATIONS = f"""
UPDATE continuum.runs r SET generation = r.generation + 1
FROM (
  SELECT r.tid FROM {_MARKED}
  CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r
) m WHERE r.ctid = m.tid
"""

# Of an eternal run no past generation is ever pruned.
NOTE_GENERATIONS = """
INSERT INTO continuum.generations (shard, ns, run_id, below, over)
SELECT m.shard, $1::integer, m.run_id, m.below, m.over
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::bigint[]) AS m (shard, run_id, below, over)
LEFT JOIN LATERAL (
  SELECT true AS there FROM continuum.eternal e
  WHERE e.shard = m.shard AND e.ns = $1::integer AND e.run_id = m.run_id OFFSET 0
) e ON true
WHERE e.there IS NULL
"""

MAKE_ETERNAL = f"""
INSERT INTO continuum.eternal (shard, ns, run_id)
SELECT m.shard, $1::integer, m.run_id FROM {_MARKED} ON CONFLICT (shard, ns, run_id) DO NOTHING
"""

# Its row says so too, for the indexes that pruning goes by.
MARK_ETERNAL = f"""
UPDATE continuum.runs r SET eternal = true
FROM (
  SELECT r.tid FROM {_MARKED}
  CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r
) m WHERE r.ctid = m.tid
"""

FORGET_GENERATIONS = f"""
DELETE FROM continuum.generations g WHERE g.ctid = ANY (ARRAY(
  SELECT g.tid FROM {_MARKED} CROSS JOIN LATERAL (
    SELECT g.ctid AS tid FROM continuum.generations g
    WHERE g.shard = m.shard AND g.ns = $1::integer AND g.run_id = m.run_id OFFSET 0) g))
"""

HISTORY = """
SELECT run_id, version, kind, at, cause, commit_id, body FROM continuum.records
WHERE shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid AND version > $4::bigint
ORDER BY version LIMIT $5::bigint
"""

# --- leases

_HOLDS = "unnest($2::smallint[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS m (shard, run_id, fence, ord)"
_HELD = f"{_THE_RUN} AND r.fence = m.fence AND r.lease_until IS NOT NULL"

# What a commit has locked at this moment is not waited for: it is told as it was when this began.
RENEW_RUNS = f"""
WITH l AS MATERIALIZED (
  SELECT r.tid FROM {_HOLDS}
  CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_HELD} FOR UPDATE SKIP LOCKED) r
), u AS (
  UPDATE continuum.runs r SET lease_until = {CLOCK} + $5::bigint
  WHERE r.ctid = ANY (ARRAY(SELECT tid FROM l))
)
SELECT r.held IS NOT NULL FROM {_HOLDS}
LEFT JOIN LATERAL (SELECT true AS held FROM continuum.runs r WHERE {_HELD} OFFSET 0) r ON true
ORDER BY m.ord
"""

RELEASE_RUNS = f"""
WITH l AS MATERIALIZED (
  SELECT r.tid FROM {_HOLDS}
  CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_HELD} FOR UPDATE) r
)
UPDATE continuum.runs r SET lease_until = NULL, claim_id = NULL, tries = greatest(r.tries - 1, 0)
WHERE r.ctid = ANY (ARRAY(SELECT tid FROM l))
"""

# --- orders

LAST_RECORDS = """
SELECT e.at
FROM unnest($2::smallint[], $3::uuid[]) WITH ORDINALITY AS m (shard, run_id, ord)
LEFT JOIN LATERAL (
  SELECT e.at FROM continuum.records e
  WHERE e.shard = m.shard AND e.ns = $1::integer AND e.run_id = m.run_id ORDER BY e.version DESC LIMIT 1
) e ON true
ORDER BY m.ord
"""

ORDER_RUNS = f"""
UPDATE continuum.runs r SET version = m.version, status = m.status, commit_id = m.id,
  cause = coalesce(m.cause, r.cause),
  outcome = CASE WHEN m.status = 4 THEN m.outcome ELSE r.outcome END,
  ended = CASE WHEN m.status = 4 THEN $2::bigint END,
  fence = greatest(r.fence + 1, $2::bigint), updated = $2::bigint, tries = least(r.tries, 2),
  lease_until = NULL, claim_id = NULL
FROM (
  SELECT m.*, r.tid
  FROM unnest($3::smallint[], $4::uuid[], $5::bigint[], $6::smallint[], $7::text[], $8::bytea[], $9::uuid[])
    AS m (shard, run_id, version, status, cause, outcome, id)
  CROSS JOIN LATERAL (SELECT r.ctid AS tid FROM continuum.runs r WHERE {_THE_RUN} OFFSET 0) r
) m
WHERE r.ctid = m.tid
"""
