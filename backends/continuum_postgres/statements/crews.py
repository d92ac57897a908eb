"""What came of members of crews: written beside the turns that counted them, read in their order."""

from __future__ import annotations

__all__ = ["ADD_MEMBERS", "ALL_MEMBERS", "MEMBERS"]

ADD_MEMBERS = """
INSERT INTO continuum.members (shard, ns, run_id, token, number, body)
SELECT m.shard, $1::integer, m.run_id, m.token, m.number, m.body
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::bytea[])
  AS m (shard, run_id, token, number, body)
ON CONFLICT DO NOTHING
"""

MEMBERS = """
SELECT number, body FROM continuum.members
WHERE shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid AND token = $4::bigint
  AND number > $5::integer
ORDER BY number LIMIT $6::bigint
"""

ALL_MEMBERS = """
SELECT token, number, body FROM continuum.members
WHERE shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid ORDER BY token, number
"""
