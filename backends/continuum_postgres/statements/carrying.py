"""Whole runs: what an image has beside what `reading` tells, and how one is written back; what is stored."""

from __future__ import annotations

__all__ = [
    "ADD_RUN",
    "ADD_SEEN",
    "COPY_DEAD",
    "COPY_DELIVERIES",
    "COPY_TASKS",
    "DEPART_RUN",
    "DROP_ATTRIBUTES",
    "DROP_DEAD",
    "DROP_LETTERS",
    "DROP_MEMBERS",
    "DROP_TASKS",
    "FORGET_ARRIVALS",
    "FORGET_PAST",
    "GENERATIONS_OF_RUN",
    "KEEP_ARRIVAL",
    "KEEP_RESULTS",
    "LOCK_PAST",
    "LOCK_TASKS",
    "PAST_OF_RUN",
    "REPORTED",
    "RESULTS",
    "SEEN_OF_RUN",
    "SETTLE_RUN",
    "STRAYS",
    "TALLY",
]

_RUN = "shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid"

PAST_OF_RUN = f"""
SELECT (SELECT count(*) FROM continuum.records WHERE {_RUN}),
  (SELECT count(*) FROM continuum.eternal WHERE {_RUN})
"""

GENERATIONS_OF_RUN = f"SELECT below, over FROM continuum.generations WHERE {_RUN} ORDER BY below"

# What stays here of a run that has left only says where it went.
FORGET_PAST = (
    f"DELETE FROM continuum.generations WHERE {_RUN}",
    f"DELETE FROM continuum.eternal WHERE {_RUN}",
    f"UPDATE continuum.runs SET eternal = NULL WHERE {_RUN} AND eternal",
)

REPORTED = f"SELECT reported FROM continuum.tasks WHERE {_RUN} ORDER BY token, slot"

SEEN_OF_RUN = (
    f"""SELECT dedupe, consumed, reply FROM continuum.seen WHERE {_RUN} ORDER BY dedupe COLLATE "C" """
)

# --- out

# After the run's own lock, as whoever ends a run does: a claim that was before us is over then, and one after
# us waits for what we decide.
LOCK_TASKS = f"SELECT 1 FROM continuum.tasks WHERE {_RUN} ORDER BY token, slot FOR UPDATE"

# And so whoever prunes its past is over, or finds nothing of it: what is compared in the next statement is
# what leaves.
LOCK_PAST = f"SELECT 1 FROM continuum.generations WHERE {_RUN} ORDER BY below FOR UPDATE"

DEPART_RUN = f"""
UPDATE continuum.runs SET version = $5::bigint, status = 4, cause = $6::text, outcome = $7::bytea,
  commit_id = $8::uuid, ended = $4::bigint, updated = $4::bigint, fence = greatest(fence + 1, $4::bigint),
  tries = least(tries, 2), lease_until = NULL, claim_id = NULL
WHERE {_RUN}
"""

DROP_TASKS = f"DELETE FROM continuum.tasks WHERE {_RUN}"

DROP_DEAD = f"DELETE FROM continuum.dead WHERE {_RUN}"

DROP_ATTRIBUTES = f"DELETE FROM continuum.attributes WHERE {_RUN}"

DROP_MEMBERS = f"DELETE FROM continuum.members WHERE {_RUN}"

SETTLE_RUN = f"""
UPDATE continuum.runs SET cause = '' WHERE {_RUN} AND status = 4 AND cause = $4::text
"""

DROP_LETTERS = """
DELETE FROM continuum.dead d
WHERE d.ctid = ANY (ARRAY(
  SELECT d.tid FROM unnest($2::smallint[], $3::uuid[], $4::uuid[]) AS m (shard, run_id, id)
  CROSS JOIN LATERAL (
    SELECT d.ctid AS tid FROM continuum.dead d
    WHERE d.shard = m.shard AND d.ns = $1::integer AND d.run_id = m.run_id AND d.id = m.id OFFSET 0) d))
"""

# --- in

# No row comes back where a run came by this departure before, be it at this moment.
KEEP_ARRIVAL = """
INSERT INTO continuum.arrivals (shard, ns, run_id, departure)
VALUES ($2::smallint, $1::integer, $3::uuid, $4::uuid) ON CONFLICT DO NOTHING RETURNING run_id
"""

FORGET_ARRIVALS = """
DELETE FROM continuum.arrivals a USING unnest($2::smallint[], $3::uuid[], $4::uuid[])
  AS m (shard, run_id, departure)
WHERE a.shard = m.shard AND a.ns = $1::integer AND a.run_id = m.run_id AND a.departure = m.departure
"""

# No row comes back where another run has the id, be it one that was created at this moment.
ADD_RUN = """
INSERT INTO continuum.runs (
  shard, ns, run_id, machine, fingerprint, key, digest, generation, version, status, cause, snapshot, outcome,
  fence, commit_id, tries, parent, root, created, updated, ended
) VALUES (
  $2::smallint, $1::integer, $3::uuid, $4::text, $5::text, $6::text, $7::bytea, $8::integer, $9::bigint,
  $10::smallint, $11::text, $12::bytea, $13::bytea, $14::bigint, $15::uuid, $16::integer, $17::uuid,
  $18::uuid, $19::bigint, $20::bigint, CASE WHEN $10::smallint BETWEEN 1 AND 4 THEN $20::bigint END
) ON CONFLICT DO NOTHING RETURNING run_id
"""

ADD_SEEN = """
INSERT INTO continuum.seen (shard, ns, run_id, dedupe, consumed, reply)
SELECT $2::smallint, $1::integer, $3::uuid, m.dedupe, m.consumed, m.reply
FROM unnest($4::text[], $5::bigint[], $6::bytea[]) AS m (dedupe, consumed, reply)
ON CONFLICT (shard, ns, run_id, dedupe) DO UPDATE SET consumed = excluded.consumed, reply = excluded.reply
"""

_NEW = """
unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::smallint[], $7::bigint[], $8::integer[],
       $9::text[], $10::uuid[], $11::bytea[], """

COPY_DELIVERIES = f"""
INSERT INTO continuum.deliveries (
  shard, ns, run_id, id, due, kind, held, token, slot, dedupe, cause, payload
)
SELECT m.shard, $1::integer, m.run_id, m.id, m.due, m.kind, m.held, m.token, m.slot, m.dedupe, m.cause,
  m.payload
FROM {_NEW} $12::smallint[])
  AS m (shard, run_id, id, due, kind, token, slot, dedupe, cause, payload, held)
"""

COPY_DEAD = f"""
INSERT INTO continuum.dead (
  shard, ns, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason, at
)
SELECT m.shard, $1::integer, m.run_id, m.id, m.due, m.kind, m.token, m.slot, m.dedupe, m.cause, m.payload,
  m.reason, m.at
FROM {_NEW} $12::text[], $13::bigint[])
  AS m (shard, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason, at)
ON CONFLICT (shard, ns, run_id, id) DO UPDATE SET reason = excluded.reason, at = excluded.at
"""

# `wake` tells of a task that is put off when it is due; of one that is ready, nothing.
COPY_TASKS = """
INSERT INTO continuum.tasks (
  shard, ns, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt,
  losses, fence, cancel, details, failure, fairness, reported, leased, wake
)
SELECT m.shard, $1::integer, m.run_id, m.token, m.slot, m.activity, m.queue, m.priority, m.due, m.scheduled,
  m.payload, m.key, m.undo, m.attempt, m.losses, m.fence, m.cancel, m.details, m.failure, m.fairness,
  m.reported, false, CASE WHEN m.due > $22::bigint THEN m.due END
FROM unnest(
  $2::smallint[], $3::uuid[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::integer[],
  $9::bigint[], $10::bigint[], $11::bytea[], $12::text[], $13::boolean[], $14::integer[], $15::integer[],
  $16::bigint[], $17::boolean[], $18::bytea[], $19::bytea[], $20::text[], $21::bigint[]
) AS m (shard, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt,
        losses, fence, cancel, details, failure, fairness, reported)
"""

# Dead letters of a run that was not here: taken out, to be delivered.
STRAYS = f"""
DELETE FROM continuum.dead WHERE {_RUN} AND reason = $4::text
RETURNING id, run_id, kind, payload, due, token, slot, dedupe, 0::smallint, cause
"""

# --- keyed results

RESULTS = """
SELECT activity, key, run_id, token, slot, until, result FROM continuum.results
WHERE ns = $1::integer AND (activity, key) > ($2::text, $3::text) AND until > $4::bigint
  AND result IS NOT NULL
ORDER BY activity, key LIMIT $5::bigint
"""

# A result that is here within its window stays.
KEEP_RESULTS = """
INSERT INTO continuum.results (ns, activity, key, shard, run_id, token, slot, until, result)
SELECT $1::integer, m.activity, m.key, m.shard, m.run_id, m.token, m.slot, m.until, m.result
FROM unnest($2::text[], $3::text[], $4::smallint[], $5::uuid[], $6::bigint[], $7::integer[], $8::bigint[],
  $9::bytea[]) AS m (activity, key, shard, run_id, token, slot, until, result)
WHERE m.until > $10::bigint
ORDER BY m.activity, m.key
ON CONFLICT (ns, activity, key) DO UPDATE SET shard = excluded.shard, run_id = excluded.run_id,
  token = excluded.token, slot = excluded.slot, until = excluded.until, result = excluded.result
WHERE results.result IS NULL OR results.until <= $10::bigint
"""

# --- what is stored

# Each table is read once, and all rows are summed up by run together: tables joined by run would be compared
# row by row where the planner takes them for empty. `octet_length` of what is stored apart reads its header.
TALLY = """
WITH x AS (
  SELECT run_id, machine, status, created, 0 AS records,
    (octet_length(snapshot) + coalesce(octet_length(outcome), 0))::bigint AS size
  FROM continuum.runs WHERE ns = $1::integer
  UNION ALL
  SELECT run_id, NULL, NULL, NULL, 1, octet_length(body) FROM continuum.records WHERE ns = $1::integer
  UNION ALL
  SELECT run_id, NULL, NULL, NULL, 0, octet_length(payload) FROM continuum.deliveries WHERE ns = $1::integer
  UNION ALL
  SELECT run_id, NULL, NULL, NULL, 0, octet_length(payload) FROM continuum.tasks WHERE ns = $1::integer
  UNION ALL
  SELECT run_id, NULL, NULL, NULL, 0, octet_length(body) FROM continuum.members WHERE ns = $1::integer
  UNION ALL
  SELECT run_id, NULL, NULL, NULL, 0, octet_length(data) FROM continuum.blobs WHERE ns = $1::integer
), r AS (
  SELECT max(machine) AS machine, max(status) AS status, max(created) AS created, sum(records) AS records,
    sum(size) AS size
  FROM x GROUP BY run_id
)
SELECT machine, status, floor(created / $2::numeric)::bigint AS day, count(*), sum(records)::bigint,
  sum(size)::bigint
FROM r WHERE machine IS NOT NULL
GROUP BY machine, status, day ORDER BY machine COLLATE "C", status, day
"""
