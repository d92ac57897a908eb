"""Attributes of runs: written beside what carried them, and read by run."""

from __future__ import annotations

__all__ = ["ADD_ATTRIBUTES", "ATTRIBUTES_OF_RUNS", "DROP_OTHERS"]

# What of these names a run has beside the keys it keeps: first the names, then the rows that stay or come.
DROP_OTHERS = """
DELETE FROM continuum.attributes a WHERE a.ctid = ANY (ARRAY(
  SELECT a.tid FROM unnest($2::smallint[], $3::uuid[], $4::text[]) AS m (shard, run_id, name)
  CROSS JOIN LATERAL (
    SELECT a.ctid AS tid, a.key FROM continuum.attributes a
    WHERE a.shard = m.shard AND a.ns = $1::integer AND a.run_id = m.run_id AND a.name = m.name OFFSET 0) a
  WHERE NOT EXISTS (
    SELECT 1 FROM unnest($5::smallint[], $6::uuid[], $7::text[], $8::bytea[]) AS k (shard, run_id, name, key)
    WHERE k.run_id = m.run_id AND k.name = m.name AND k.key = a.key)))
"""

ADD_ATTRIBUTES = """
INSERT INTO continuum.attributes (shard, ns, run_id, name, key)
SELECT m.shard, $1::integer, m.run_id, m.name, m.key
FROM unnest($2::smallint[], $3::uuid[], $4::text[], $5::bytea[]) AS m (shard, run_id, name, key)
ON CONFLICT DO NOTHING
"""

ATTRIBUTES_OF_RUNS = """
SELECT m.ord, a.name, a.key
FROM unnest($2::smallint[], $3::uuid[]) WITH ORDINALITY AS m (shard, run_id, ord)
CROSS JOIN LATERAL (
  SELECT a.name, a.key FROM continuum.attributes a
  WHERE a.shard = m.shard AND a.ns = $1::integer AND a.run_id = m.run_id OFFSET 0) a
ORDER BY m.ord, a.name COLLATE "C", a.key
"""
