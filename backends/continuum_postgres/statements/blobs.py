"""Payloads that are kept apart: what a row refers to by its hash."""

from __future__ import annotations

from continuum_core.journal.blobs import HASH_AT, REFERENCE

__all__ = [
    "BLOBS",
    "COUNT_BLOBS_OF_ENDED",
    "DROP_BLOBS",
    "DROP_BLOBS_OF_ENDED",
    "DROP_SUPERSEDED",
    "HELD",
    "KEEP_BLOBS",
    "LOOKED",
    "STALE",
]

# Parameters: shards, runs, hashes, versions whose snapshots they are, data; now. Bytes that are there are not
# written again: the server leaves what is stored out of line where it is.
KEEP_BLOBS = """
INSERT INTO continuum.blobs (shard, ns, run_id, hash, at, snapshot, data)
SELECT m.shard, $1::integer, m.run_id, m.hash, $7::bigint, m.snapshot, m.data
FROM unnest($2::smallint[], $3::uuid[], $4::bytea[], $5::bigint[], $6::bytea[])
  AS m (shard, run_id, hash, snapshot, data)
ON CONFLICT (shard, ns, run_id, hash) DO UPDATE SET at = greatest(blobs.at, excluded.at), snapshot =
  CASE WHEN blobs.snapshot = 0 OR excluded.snapshot = 0 THEN 0
       ELSE greatest(blobs.snapshot, excluded.snapshot) END
"""

_NAMED = "unnest($2::smallint[], $3::uuid[], $4::bytea[])"

BLOBS = f"""
SELECT m.place, b.data FROM {_NAMED} WITH ORDINALITY AS m (shard, run_id, hash, place)
CROSS JOIN LATERAL (
  SELECT b.data FROM continuum.blobs b
  WHERE b.shard = m.shard AND b.ns = $1::integer AND b.run_id = m.run_id AND b.hash = m.hash OFFSET 0) b
"""


def _refers(payload: str) -> str:
    """The condition that a payload is a reference. A length is told without reading what is stored apart."""
    begins = rf"substr({payload}, 1, {len(REFERENCE)}) = '\x{REFERENCE.hex()}'::bytea"
    return f"(octet_length({payload}) = {HASH_AT + 32} AND {begins})"


def _hash_in(reference: str) -> str:
    return f"substr({reference}, {HASH_AT + 1})"


_RUNS = "unnest($2::smallint[], $3::uuid[]) AS m (shard, run_id)"

# Whoever takes blobs away passes over those that somebody puts again at this moment: they stay, and nobody
# who puts several waits for who takes away several, in a circle.

# Of runs: what was put for the snapshots of earlier versions than a run has, and is not its present one.
DROP_SUPERSEDED = f"""
DELETE FROM continuum.blobs b WHERE b.ctid = ANY (ARRAY(
  SELECT b.tid FROM {_RUNS} CROSS JOIN LATERAL (
    SELECT r.version, CASE WHEN {_refers("r.snapshot")} THEN {_hash_in("r.snapshot")} END AS present
    FROM continuum.runs r
    WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0) r
  CROSS JOIN LATERAL (
    SELECT b.ctid AS tid FROM continuum.blobs b
    WHERE b.shard = m.shard AND b.ns = $1::integer AND b.run_id = m.run_id
      AND b.snapshot > 0 AND b.snapshot < r.version AND b.hash IS DISTINCT FROM r.present
    FOR UPDATE SKIP LOCKED) b))
"""


# Of runs that have ended: what was put before.
def _of_ended(last: str) -> str:
    return f"""
FROM {_RUNS} CROSS JOIN LATERAL (
  SELECT r.ended FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0) r
CROSS JOIN LATERAL (
  SELECT b.ctid AS tid FROM continuum.blobs b
  WHERE b.shard = m.shard AND b.ns = $1::integer AND b.run_id = m.run_id AND b.at <= r.ended {last}) b
"""


COUNT_BLOBS_OF_ENDED = f"SELECT count(*) {_of_ended('OFFSET 0')}"
DROP_BLOBS_OF_ENDED = f"""
DELETE FROM continuum.blobs b WHERE b.ctid = ANY (ARRAY(SELECT b.tid {_of_ended("FOR UPDATE SKIP LOCKED")}))
"""

# Parameters: the time up to which blobs are looked at; time, run and hash of the last one; how many.
STALE = """
SELECT at, shard, run_id, hash FROM continuum.blobs
WHERE ns = $1::integer AND at <= $2::bigint AND (at, run_id, hash) > ($3::bigint, $4::uuid, $5::bytea)
ORDER BY at, run_id, hash LIMIT $6::bigint
"""

_RUN = "shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid"

# The hashes that rows of a run refer to, be the run there or not.
HELD = f"""
SELECT {_hash_in("payload")} FROM (
  SELECT snapshot AS payload FROM continuum.runs WHERE {_RUN}
  UNION ALL SELECT outcome FROM continuum.runs WHERE {_RUN}
  UNION ALL SELECT body FROM continuum.records WHERE {_RUN}
  UNION ALL SELECT payload FROM continuum.deliveries WHERE {_RUN}
  UNION ALL SELECT payload FROM continuum.tasks WHERE {_RUN}
  UNION ALL SELECT details FROM continuum.tasks WHERE {_RUN}
  UNION ALL SELECT failure FROM continuum.tasks WHERE {_RUN}
  UNION ALL SELECT payload FROM continuum.dead WHERE {_RUN}
  UNION ALL SELECT body FROM continuum.members WHERE {_RUN}) x
WHERE {_refers("payload")}
"""

# Parameters: shards, runs, hashes; the time up to which they were put. What was put again since stays.
_STALE_STILL = f"""
b.ctid = ANY (ARRAY(
  SELECT b.tid FROM {_NAMED} AS m (shard, run_id, hash) CROSS JOIN LATERAL (
    SELECT b.ctid AS tid FROM continuum.blobs b
    WHERE b.shard = m.shard AND b.ns = $1::integer AND b.run_id = m.run_id AND b.hash = m.hash
      AND b.at <= $5::bigint FOR UPDATE SKIP LOCKED) b))
"""
DROP_BLOBS = f"DELETE FROM continuum.blobs b WHERE {_STALE_STILL}"

LOOKED = f"UPDATE continuum.blobs b SET at = $6::bigint WHERE {_STALE_STILL}"
