"""Leases of tasks: given, found expired, put away; task by task, fenced, and passed over when locked."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK, NEEDED
from continuum_postgres.statements.tasks import TASK_COLUMNS

__all__ = [
    "CLAIMED_TASKS",
    "DROP_UNNEEDED",
    "EXPIRED_TASKS",
    "LEASE_TASKS",
    "LOSE_TASKS",
    "RIPEN_TASKS",
]

CLAIMED_TASKS = f"""
SELECT r.machine, r.fingerprint, {TASK_COLUMNS}
FROM (SELECT * FROM continuum.tasks t WHERE t.ns = $1::integer AND t.claim_id = $2::uuid OFFSET 0) t
CROSS JOIN LATERAL (
  SELECT r.machine, r.fingerprint FROM continuum.runs r
  WHERE r.shard = t.shard AND r.ns = $1::integer AND r.run_id = t.run_id OFFSET 0
) r
ORDER BY t.run_id, t.token, t.slot
"""

_LANES = "unnest($2::text[], $3::text[]) WITH ORDINALITY AS m (queue, activity, ord)"
_OF_LANE = "t.ns = $1::integer AND t.queue = m.queue AND t.activity = m.activity"

# What has to be put away before anything is claimed: leases whose end has come, as far as the index
# tells, and tasks that nobody needs any more.
EXPIRED_TASKS = f"""
SELECT {CLOCK}, t.run_id, t.token, t.slot, t.fence, t.lease_until, t.losses, t.cancel AND NOT t.undo
FROM {_LANES} CROSS JOIN LATERAL (
  (SELECT * FROM continuum.tasks t
   WHERE {_OF_LANE} AND t.leased AND t.wake <= (SELECT {CLOCK}) ORDER BY t.wake LIMIT 1000)
  UNION ALL
  (SELECT * FROM continuum.tasks t
   WHERE {_OF_LANE} AND NOT t.leased AND t.cancel AND NOT t.undo AND t.due <= (SELECT {CLOCK})
   ORDER BY t.due LIMIT 1000)
) t
"""

# Not `leased`: that would let the planner look for one task in the index of a whole queue.
_FENCED = (
    "unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[]) "
    "WITH ORDINALITY AS m (shard, run_id, token, slot, fence, ord)"
)
_THE_TASK = (
    "t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id AND t.token = m.token "
    "AND t.slot = m.slot"
)

# Of each want the first so many that nobody else was faster with, in the order given.
LEASE_TASKS = f"""
WITH l AS MATERIALIZED (
  SELECT t.tid FROM unnest($10::bigint[]) WITH ORDINALITY AS w (room, want)
  CROSS JOIN LATERAL (
    SELECT t.tid FROM unnest(
      $2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[], $11::bigint[]
    ) AS m (shard, run_id, token, slot, fence, want)
    CROSS JOIN LATERAL (
      SELECT t.ctid AS tid FROM continuum.tasks t
      WHERE {_THE_TASK} AND t.fence = m.fence AND t.lease_until IS NULL AND t.due <= $7::bigint
        AND {NEEDED}
      FOR UPDATE SKIP LOCKED) t
    WHERE m.want = w.want LIMIT w.room) t
)
UPDATE continuum.tasks t SET fence = greatest(t.fence + 1, $7::bigint), leased = true,
  lease_until = $8::bigint, wake = $8::bigint, claim_id = $9::uuid
WHERE t.ctid = ANY (ARRAY(SELECT tid FROM l))
"""

# What had been put off and is due: from now on among the ready ones.
RIPEN_TASKS = f"""
WITH l AS MATERIALIZED (
  SELECT t.tid FROM {_FENCED} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_THE_TASK} AND t.fence = m.fence AND t.lease_until IS NULL AND t.wake <= $7::bigint
    FOR UPDATE SKIP LOCKED) t
)
UPDATE continuum.tasks t SET wake = NULL WHERE t.ctid = ANY (ARRAY(SELECT tid FROM l))
"""

# Of what the index called expired: a lease that was renewed is looked at again when it ends now; the
# others are losses, which back off. `$8`: microseconds for each loss.
LOSE_TASKS = f"""
WITH l AS MATERIALIZED (
  SELECT t.tid FROM {_FENCED} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_THE_TASK} AND t.fence = m.fence AND t.lease_until IS NOT NULL
    FOR UPDATE SKIP LOCKED) t
), d AS (
  DELETE FROM continuum.tasks t
  WHERE t.ctid = ANY (ARRAY(SELECT tid FROM l)) AND t.lease_until <= $7::bigint AND t.cancel AND NOT t.undo
)
UPDATE continuum.tasks t SET
  losses = t.losses + (t.lease_until <= $7::bigint)::integer,
  due = CASE WHEN t.lease_until <= $7::bigint THEN $7::bigint + (t.losses + 1) * $8::bigint ELSE t.due END,
  leased = t.lease_until > $7::bigint,
  wake = CASE WHEN t.lease_until > $7::bigint THEN t.lease_until
    ELSE $7::bigint + (t.losses + 1) * $8::bigint END,
  claim_id = CASE WHEN t.lease_until > $7::bigint THEN t.claim_id END,
  lease_until = CASE WHEN t.lease_until > $7::bigint THEN t.lease_until END
WHERE t.ctid = ANY (ARRAY(SELECT tid FROM l))
  AND NOT (t.lease_until <= $7::bigint AND t.cancel AND NOT t.undo)
"""

DROP_UNNEEDED = f"""
DELETE FROM continuum.tasks t
WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM {_FENCED} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_THE_TASK} AND t.fence = m.fence AND t.lease_until IS NULL AND t.cancel AND NOT t.undo
    FOR UPDATE SKIP LOCKED) t))
"""
