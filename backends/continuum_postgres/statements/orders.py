"""Operators' orders that were answered."""

from __future__ import annotations

__all__ = ["ANSWERED_ORDERS", "NOTE_ORDERS", "SET_DIGESTS"]

ANSWERED_ORDERS = """
SELECT id, outcome, status FROM continuum.orders
WHERE ns = $1::integer AND id = ANY ($2::uuid[]) AND given > $3::bigint
"""

NOTE_ORDERS = """
INSERT INTO continuum.orders (ns, id, given, outcome, status)
SELECT $1::integer, m.id, $2::bigint, m.outcome, m.status
FROM unnest($3::uuid[], $4::text[], $5::smallint[]) AS m (id, outcome, status)
ON CONFLICT (ns, id) DO UPDATE SET given = excluded.given, outcome = excluded.outcome,
  status = excluded.status
"""

# Whoever sets it has locked the run.
SET_DIGESTS = """
UPDATE continuum.runs r SET digest = m.digest
FROM (
  SELECT m.digest, r.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::bytea[]) AS m (shard, run_id, digest)
  CROSS JOIN LATERAL (
    SELECT r.ctid AS tid FROM continuum.runs r
    WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0
  ) r
) m
WHERE r.ctid = m.tid
"""
