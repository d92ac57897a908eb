"""Claims of runs."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = [
    "CLAIMED_RUNS",
    "DUE_PAGE",
    "FORGET_CLAIMS",
    "LEASED_DUE",
    "LEASED_RUNS",
    "LEASE_RUNS",
    "NOTE_CLAIM",
    "PAUSE",
    "WAKE_RUNS",
]

CLAIMED_RUNS = "SELECT shards, runs FROM continuum.claims WHERE ns = $1::integer AND claim_id = $2::uuid"

# One page of the index of due deliveries, in its order; of it what a claim may take or has to put away, each
# with the entry behind it, from which the next page reads on if it ends this one. Before these the first
# entry of the page, and the first one behind it. A delivery whose run is gone (it raced the pruning) shows up
# without a status. The next due time by ORDER BY and LIMIT: `min` reads all that waits where the planner,
# whose statistics are old, expects one row.
DUE_PAGE = f"""
WITH c AS MATERIALIZED (SELECT {CLOCK} AS now), q AS MATERIALIZED (
  SELECT d.due, d.id, d.shard, d.run_id FROM continuum.deliveries d
  WHERE d.ns = $1::integer AND d.held = 0 AND (d.due, d.id) >= ($2::bigint, $3::uuid)
    AND d.due <= (SELECT now FROM c)
  ORDER BY d.due, d.id LIMIT $4::bigint + 1
), p AS MATERIALIZED (
  SELECT q.*, row_number() OVER w AS pos, lead(q.due) OVER w AS due_behind, lead(q.id) OVER w AS id_behind
  FROM q WINDOW w AS (ORDER BY q.due, q.id, q.run_id)
), e AS (
  SELECT p.*, r.status, r.tries, r.version, r.fence,
    CASE WHEN r.status IN (5, 6) THEN (
      SELECT d.kind = 2 AND d.token = 0 FROM continuum.deliveries d
      WHERE d.shard = p.shard AND d.ns = $1::integer AND d.run_id = p.run_id AND d.id = p.id
    ) END AS wakes,
    CASE WHEN r.status IN (5, 6) THEN r.fingerprint = ANY ($5::text[]) END AS taken
  FROM p
  LEFT JOIN LATERAL (
    SELECT * FROM continuum.runs r
    WHERE r.shard = p.shard AND r.ns = $1::integer AND r.run_id = p.run_id OFFSET 0
  ) r ON true
  WHERE p.pos <= $4::bigint AND (r.status IS DISTINCT FROM 0
    OR ((r.lease_until IS NULL OR r.lease_until <= (SELECT now FROM c)) AND r.fingerprint = ANY ($5::text[])))
)
SELECT c.now,
  (SELECT d.due FROM continuum.deliveries d
   WHERE d.ns = $1::integer AND d.held = 0 AND d.due > (SELECT now FROM c) ORDER BY d.due LIMIT 1),
  f.due, f.id, b.due, b.id,
  e.due, e.id, e.run_id, e.status, e.tries, e.version, e.fence, e.due_behind, e.id_behind, e.wakes, e.taken
FROM c LEFT JOIN p f ON f.pos = 1 LEFT JOIN p b ON b.pos = $4::bigint + 1 LEFT JOIN e ON true ORDER BY e.pos
"""

# A timer of the run itself is due: it ends the rest, before the lease, of those that rest still as they did.
WAKE_RUNS = """
WITH l AS MATERIALIZED (
  SELECT r.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::bigint[]) AS m (shard, run_id, version, fence)
  CROSS JOIN LATERAL (
    SELECT r.ctid AS tid FROM continuum.runs r
    WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id AND r.version = m.version
      AND r.fence = m.fence AND r.status IN (5, 6)
    FOR UPDATE SKIP LOCKED
  ) r
)
UPDATE continuum.runs r SET status = 0, cause = '', tries = least(r.tries, 2)
WHERE r.ctid = ANY (ARRAY(SELECT tid FROM l))
"""

# The second reading: locked, and only where version and fence are those of the first, for another worker
# may have claimed and committed between the two; the lease again, for its holder may have renewed it.
LEASE_RUNS = f"""
WITH l AS MATERIALIZED (
  SELECT r.tid
  FROM unnest($5::smallint[], $6::uuid[], $7::bigint[], $8::bigint[]) AS m (shard, run_id, version, fence)
  CROSS JOIN LATERAL (
    SELECT r.ctid AS tid FROM continuum.runs r
    WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id AND r.version = m.version
      AND r.fence = m.fence AND r.status = 0 AND (r.lease_until IS NULL OR r.lease_until <= {CLOCK})
    FOR UPDATE SKIP LOCKED
  ) r
)
UPDATE continuum.runs r SET fence = greatest(r.fence + 1, $2::bigint), lease_until = $3::bigint,
  claim_id = $4::uuid, tries = r.tries + 1
WHERE r.ctid = ANY (ARRAY(SELECT tid FROM l))
"""

NOTE_CLAIM = """
INSERT INTO continuum.claims (ns, claim_id, at, shards, runs)
VALUES ($1::integer, $2::uuid, $3::bigint, $4::smallint[], $5::uuid[])
ON CONFLICT (ns, claim_id) DO UPDATE SET at = excluded.at, shards = excluded.shards, runs = excluded.runs
"""

# Parameters: the time up to which claims are looked at; how many; now. Of the oldest, those go whose runs are
# all on under others' ids. One that holds something still is put behind the others: what holders left that
# are dead, and nobody takes over, would else be read again by every claim.
FORGET_CLAIMS = """
WITH o AS MATERIALIZED (
  SELECT c.tid, EXISTS (
    SELECT 1 FROM unnest(c.shards, c.runs) AS m (shard, run_id) CROSS JOIN LATERAL (
      SELECT 1 FROM continuum.runs r
      WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id
        AND r.claim_id = c.claim_id OFFSET 0) r) AS holds
  FROM (
    SELECT c.ctid AS tid, c.claim_id, c.shards, c.runs FROM continuum.claims c
    WHERE c.ns = $1::integer AND c.at <= $2::bigint
    ORDER BY c.at LIMIT $3::bigint FOR UPDATE SKIP LOCKED) c
), d AS (
  DELETE FROM continuum.claims WHERE ctid = ANY (ARRAY(SELECT tid FROM o WHERE NOT holds))
)
UPDATE continuum.claims SET at = $4::bigint WHERE ctid = ANY (ARRAY(SELECT tid FROM o WHERE holds))
"""

_LEASED = """
unnest($3::smallint[], $4::uuid[]) WITH ORDINALITY AS m (shard, run_id, ord)
CROSS JOIN LATERAL (
  SELECT * FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id AND r.claim_id = $2::uuid OFFSET 0
) r"""

LEASED_RUNS = f"""
SELECT m.ord, r.run_id, r.machine, r.fingerprint, r.generation, r.version, r.fence, r.commit_id, r.snapshot,
  r.tries, r.lease_until, r.parent, r.root, d.there IS NOT NULL
FROM {_LEASED} LEFT JOIN LATERAL (
  SELECT true AS there FROM continuum.deliveries d
  WHERE d.shard = m.shard AND d.ns = $1::integer AND d.run_id = m.run_id AND d.held > 0 AND d.held < 2 LIMIT 1
) d ON true
ORDER BY m.ord
"""

# In a statement after the lease: its snapshot sees what the one who was before us has consumed.
LEASED_DUE = f"""
SELECT m.ord, d.id, d.run_id, d.kind, d.payload, d.due, d.token, d.slot, d.dedupe, d.held, d.cause
FROM {_LEASED} CROSS JOIN LATERAL (
  SELECT * FROM continuum.deliveries d
  WHERE d.shard = m.shard AND d.ns = $1::integer AND d.run_id = m.run_id AND d.held < 1
    AND d.due <= $5::bigint
  ORDER BY d.due, d.id LIMIT 65
) d
ORDER BY m.ord, d.due, d.id
"""

# Under the lock of the run, its status asked again: one that was resumed meanwhile keeps what is due.
PAUSE = """
WITH l AS MATERIALIZED (
  SELECT m.shard, m.run_id, m.id
  FROM unnest($2::smallint[], $3::uuid[], $4::uuid[]) AS m (shard, run_id, id)
  CROSS JOIN LATERAL (
    SELECT 1 FROM continuum.runs r
    WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id AND r.status IN (5, 6)
    FOR UPDATE SKIP LOCKED
  ) r
)
UPDATE continuum.deliveries d SET held = 2
WHERE d.ctid = ANY (ARRAY(
  SELECT d.tid FROM l CROSS JOIN LATERAL (
    SELECT d.ctid AS tid FROM continuum.deliveries d
    WHERE d.shard = l.shard AND d.ns = $1::integer AND d.run_id = l.run_id AND d.id = l.id AND d.held < 1
    OFFSET 0) d))
"""
