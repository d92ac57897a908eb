"""Tasks as commits make and close them and as workers keep and finish them; keyed results."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = [
    "ADD_TASKS",
    "BEAT_TASKS",
    "CANCEL_TASKS",
    "DROP_TASKS",
    "DROP_UNSTARTED",
    "FREE_RESULTS",
    "LOCK_AHEAD",
    "LOCK_CLOSED",
    "LOCK_RESULTS",
    "LOCK_TASKS",
    "OTHER_TASKS",
    "PUT_RESULTS",
    "REOPEN_TASKS",
    "RESERVED_RESULTS",
    "RESERVE_RESULTS",
    "TASKS_BY_NAME",
    "TASK_COLUMNS",
]

TASK_COLUMNS = (
    "t.run_id, t.token, t.slot, t.activity, t.queue, t.priority, t.due, t.scheduled, t.payload, t.key, "
    "t.undo, t.attempt, t.losses, t.fence, t.lease_until, t.claim_id, t.cancel, t.details, t.failure, "
    "t.fairness"
)

_NAMES = (
    "unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[]) "
    "WITH ORDINALITY AS m (shard, run_id, token, slot, ord)"
)
_THE_TASK = (
    "t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id AND t.token = m.token "
    "AND t.slot = m.slot"
)
_ITS_RUN = """
CROSS JOIN LATERAL (
  SELECT r.machine, r.fingerprint, r.status FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0
) r"""

TASKS_BY_NAME = f"""
SELECT m.ord, r.machine, r.fingerprint, {TASK_COLUMNS} FROM {_NAMES}
CROSS JOIN LATERAL (SELECT * FROM continuum.tasks t WHERE {_THE_TASK} OFFSET 0) t {_ITS_RUN}
ORDER BY m.ord
"""

# --- made and closed by commits

ADD_TASKS = """
INSERT INTO continuum.tasks (
  shard, ns, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt,
  losses, fence, reported, leased, lease_until, wake, claim_id, cancel, fairness
)
SELECT m.shard, $1::integer, m.run_id, m.token, m.slot, m.activity, m.queue, m.priority, $2::bigint,
  $2::bigint,
  m.payload, m.key, m.undo, 0, 0, m.fence, 0, m.lease_until IS NOT NULL, m.lease_until, m.lease_until,
  m.claim_id, false, m.fairness
FROM unnest(
  $3::smallint[], $4::uuid[], $5::bigint[], $6::integer[], $7::text[], $8::text[], $9::integer[],
  $10::bytea[], $11::text[], $12::boolean[], $13::bigint[], $14::bigint[], $15::uuid[],
  $16::text[]
) AS m (shard, run_id, token, slot, activity, queue, priority, payload, key, undo, fence, lease_until,
        claim_id, fairness)
ON CONFLICT DO NOTHING RETURNING run_id, token, slot
"""

# Runs that have a task besides the one named (token NULL: none). Asked under the run's lock, without which
# nobody makes one: where there is none, there is nothing to close.
OTHER_TASKS = """
SELECT m.ord FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[])
  WITH ORDINALITY AS m (shard, run_id, token, slot, ord)
CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.tasks t
  WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id
    AND (m.token IS NULL OR t.token <> m.token OR t.slot <> m.slot) LIMIT 1
) t
"""

# A token of NULL is all of the run's: it has ended.
_CLOSED = "unnest($2::smallint[], $3::uuid[], $4::bigint[]) AS m (shard, run_id, token)"
_OF_TOKEN = (
    "t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id "
    "AND (m.token IS NULL OR t.token = m.token)"
)

# All that a batch will finish and close, in the order of tasks: entries come sorted, and of one that names a
# token, or none, the tasks come in their order.
LOCK_AHEAD = """
SELECT m.run_id, t.token, t.slot, t.fence, t.reported, t.activity, t.key
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::bigint[]) AS m (shard, run_id, token, slot)
CROSS JOIN LATERAL (
  SELECT t.token, t.slot, t.fence, t.reported, t.activity, t.key FROM continuum.tasks t
  WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id
    AND (m.token IS NULL OR t.token = m.token) AND (m.slot IS NULL OR t.slot = m.slot)
  ORDER BY t.token, t.slot FOR UPDATE
) t
"""

# First of three: a claim that was before us is over then, and one after us waits for what we decide.
LOCK_CLOSED = f"""
SELECT 1 FROM {_CLOSED}
CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.tasks t WHERE {_OF_TOKEN} ORDER BY t.token, t.slot FOR UPDATE
) t
"""

# Unstarted: nobody can be carrying it out, for it was never claimed, or every claim was reported.
DROP_UNSTARTED = f"""
DELETE FROM continuum.tasks t
WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM {_CLOSED} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_OF_TOKEN} AND (m.token IS NULL OR NOT t.undo)
      AND (t.fence = 0 OR (t.lease_until IS NULL AND t.losses = 0)) OFFSET 0) t))
"""

CANCEL_TASKS = f"""
UPDATE continuum.tasks t SET cancel = true
WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM {_CLOSED} CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t WHERE {_OF_TOKEN} AND NOT t.cancel OFFSET 0) t))
"""

# --- heartbeat, finish

# `wake` stays behind, so that a heartbeat touches no index; only a lease made shorter moves it.
BEAT_TASKS = f"""
WITH m AS MATERIALIZED (
  SELECT m.*, t.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[], $7::bytea[])
    WITH ORDINALITY AS m (shard, run_id, token, slot, fence, details, ord)
  CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_THE_TASK} AND t.fence = m.fence AND t.lease_until IS NOT NULL FOR UPDATE) t
)
UPDATE continuum.tasks t SET lease_until = {CLOCK} + $8::bigint, wake = least(t.wake, {CLOCK} + $8::bigint),
  details = coalesce(m.details, t.details)
FROM m WHERE t.ctid = m.tid RETURNING m.ord, t.cancel
"""

LOCK_TASKS = f"""
SELECT {CLOCK}, t.fence, t.reported, t.losses, t.cancel, t.undo, t.activity, t.key, r.status
FROM {_NAMES}
LEFT JOIN LATERAL (SELECT * FROM continuum.tasks t WHERE {_THE_TASK} FOR UPDATE) t ON true
LEFT JOIN LATERAL (
  SELECT r.status FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0
) r ON true
ORDER BY m.ord
"""

REOPEN_TASKS = f"""
UPDATE continuum.tasks t SET due = m.due, attempt = t.attempt + m.counts,
  failure = CASE WHEN m.counts = 1 THEN m.failure ELSE t.failure END,
  reported = t.fence, leased = false, lease_until = NULL, claim_id = NULL,
  wake = CASE WHEN m.due > {CLOCK} THEN m.due END
FROM (
  SELECT m.*, t.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[],
    $7::integer[], $8::bytea[])
    AS m (shard, run_id, token, slot, due, counts, failure)
  CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE t.shard = m.shard AND t.ns = $1::integer AND t.run_id = m.run_id AND t.token = m.token
      AND t.slot = m.slot OFFSET 0) t
) m
WHERE t.ctid = m.tid
"""

DROP_TASKS = f"""
DELETE FROM continuum.tasks t
WHERE t.ctid = ANY (ARRAY(
  SELECT t.tid FROM {_NAMES}
  CROSS JOIN LATERAL (SELECT t.ctid AS tid FROM continuum.tasks t WHERE {_THE_TASK} OFFSET 0) t))
"""

# --- keyed results: `result` is NULL while the row is a reservation

_OWNERS = (
    "unnest($2::text[], $3::text[], $4::smallint[], $5::uuid[], $6::bigint[], $7::integer[], $8::bigint[], "
    "$9::bytea[]) AS m (activity, key, shard, run_id, token, slot, until, result)"
)
_PUT = f"""
INSERT INTO continuum.results (ns, activity, key, shard, run_id, token, slot, until, result)
SELECT $1::integer, m.activity, m.key, m.shard, m.run_id, m.token, m.slot, m.until, m.result FROM {_OWNERS}
ORDER BY m.activity, m.key
ON CONFLICT (ns, activity, key) DO UPDATE SET shard = excluded.shard, run_id = excluded.run_id,
  token = excluded.token, slot = excluded.slot, until = excluded.until, result = excluded.result"""

# Whatever a row says it is locked, and not written; one that is missing is made, for two that make it at once
# have to meet in this order too.
LOCK_RESULTS = f"{_PUT} WHERE false"

# The first result within its window stays: what was told once is told again.
PUT_RESULTS = f"{_PUT} WHERE results.result IS NULL OR results.until <= $10::bigint"

RESERVE_RESULTS = f"""
{_PUT} WHERE results.until <= $10::bigint OR (results.result IS NULL
  AND (results.run_id, results.token, results.slot) = (excluded.run_id, excluded.token, excluded.slot))
RETURNING activity, key
"""

RESERVED_RESULTS = """
SELECT e.result, e.until
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS m (activity, key, ord)
LEFT JOIN LATERAL (
  SELECT e.result, e.until FROM continuum.results e
  WHERE e.ns = $1::integer AND e.activity = m.activity AND e.key = m.key OFFSET 0
) e ON true
ORDER BY m.ord
"""

FREE_RESULTS = """
DELETE FROM continuum.results e
WHERE e.ctid = ANY (ARRAY(
  SELECT e.tid FROM unnest($2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::integer[])
    AS m (activity, key, run_id, token, slot)
  CROSS JOIN LATERAL (
    SELECT e.ctid AS tid FROM continuum.results e
    WHERE e.ns = $1::integer AND e.activity = m.activity AND e.key = m.key AND e.run_id = m.run_id
      AND e.token = m.token AND e.slot = m.slot AND e.result IS NULL FOR UPDATE) e))
"""
