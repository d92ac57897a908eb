"""Whole runs: what an image has beside what `reading` tells, and how one is written back."""

from __future__ import annotations

__all__ = [
    "ARRIVED",
    "COPY_DEAD",
    "COPY_DELIVERY",
    "COPY_GENERATION",
    "COPY_RUN",
    "COPY_SEEN",
    "COPY_TASK",
    "DEPART_RUN",
    "DROP_DEAD",
    "DROP_LETTER",
    "DROP_TASKS",
    "FORGET_ARRIVAL",
    "FORGET_PAST",
    "GENERATIONS_OF_RUN",
    "KEEP_ARRIVAL",
    "KEEP_RESULT",
    "RECORDS_OF_RUN",
    "REPORTED",
    "RESULTS",
    "SEEN_OF_RUN",
    "SETTLE_RUN",
    "STRAYS",
    "TALLY",
]

_OF_RUN = "namespace = ?1 AND run_id = ?2"

RECORDS_OF_RUN = f"SELECT count(*) FROM continuum_records WHERE {_OF_RUN}"

GENERATIONS_OF_RUN = f"SELECT below, over FROM continuum_generations WHERE {_OF_RUN} ORDER BY below"

COPY_GENERATION = "INSERT INTO continuum_generations (namespace, run_id, below, over) VALUES (?1, ?2, ?3, ?4)"

# What stays here of a run that has left only says where it went.
FORGET_PAST = (
    f"DELETE FROM continuum_generations WHERE {_OF_RUN}",
    f"DELETE FROM continuum_eternal WHERE {_OF_RUN}",
    f"UPDATE continuum_runs SET eternal = NULL WHERE {_OF_RUN} AND eternal = 1",
)

REPORTED = f"SELECT reported FROM continuum_tasks WHERE {_OF_RUN} ORDER BY token, slot"

SEEN_OF_RUN = f"SELECT dedupe, consumed, reply FROM continuum_seen WHERE {_OF_RUN} ORDER BY dedupe"

# --- out

DEPART_RUN = f"""
UPDATE continuum_runs SET version = ?3, status = 4, cause = ?4, outcome = ?5, commit_id = ?6,
  fence = max(fence + 1, ?7), updated = ?7, tries = min(tries, 2), lease_until = NULL, claim_id = NULL
WHERE {_OF_RUN}
"""

DROP_TASKS = f"DELETE FROM continuum_tasks WHERE {_OF_RUN}"

DROP_DEAD = f"DELETE FROM continuum_dead WHERE {_OF_RUN}"

SETTLE_RUN = f"""
UPDATE continuum_runs SET cause = CASE WHEN cause = ?3 AND NOT ?4 THEN '' ELSE cause END
WHERE {_OF_RUN} AND status = 4 RETURNING status
"""

DROP_LETTER = f"DELETE FROM continuum_dead WHERE {_OF_RUN} AND id = ?3"

# --- in

ARRIVED = f"SELECT 1 FROM continuum_arrivals WHERE {_OF_RUN} AND departure = ?3"

KEEP_ARRIVAL = "INSERT INTO continuum_arrivals (namespace, run_id, departure) VALUES (?1, ?2, ?3)"

FORGET_ARRIVAL = f"DELETE FROM continuum_arrivals WHERE {_OF_RUN} AND departure = ?3"

COPY_RUN = """
INSERT INTO continuum_runs (
  namespace, run_id, machine, fingerprint, key, digest, generation, version, status, cause, snapshot, outcome,
  fence, commit_id, tries, parent, root, created, updated
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
"""

COPY_DELIVERY = """
INSERT INTO continuum_deliveries (
  namespace, run_id, id, due, kind, held, token, slot, dedupe, cause, payload
) VALUES (?1, ?2, ?3, ?4, ?5, ?11, ?6, ?7, ?8, ?9, ?10)
"""

COPY_TASK = """
INSERT INTO continuum_tasks (
  namespace, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt,
  losses, fence, cancel, details, failure, fairness, reported
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
"""

COPY_SEEN = """
INSERT INTO continuum_seen (namespace, run_id, dedupe, consumed, reply) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET consumed = excluded.consumed, reply = excluded.reply
"""

COPY_DEAD = """
INSERT INTO continuum_dead (
  namespace, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason, at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT DO UPDATE SET reason = excluded.reason, at = excluded.at
"""

# Dead letters of a run that was not here: taken out, to be delivered.
STRAYS = f"""
DELETE FROM continuum_dead WHERE {_OF_RUN} AND reason = ?3
RETURNING id, run_id, kind, payload, due, token, slot, dedupe, 0, cause
"""

# --- keyed results

RESULTS = """
SELECT activity, key, run_id, token, slot, until, result FROM continuum_results
WHERE namespace = ?1 AND (activity, key) > (?2, ?3) AND until > ?4 AND result IS NOT NULL
ORDER BY activity, key LIMIT ?5 + 0
"""

# A result that is here within its window stays.
KEEP_RESULT = """
INSERT INTO continuum_results (namespace, activity, key, run_id, token, slot, until, result)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO UPDATE SET run_id = excluded.run_id, token = excluded.token, slot = excluded.slot,
  until = excluded.until, result = excluded.result
WHERE result IS NULL OR until <= ?9
"""

# --- what is stored

# `length` of a blob reads its header, not what it holds.
TALLY = """
SELECT machine, status, day, count(*), sum(records), sum(size) FROM (
  SELECT machine, status,
    (SELECT count(*) FROM continuum_records AS e WHERE e.namespace = ?1 AND e.run_id = r.run_id) AS records,
    (created - ((created % ?2) + ?2) % ?2) / ?2 AS day,
    length(snapshot) + coalesce(length(outcome), 0)
    + coalesce((SELECT sum(length(e.body)) FROM continuum_records AS e
                WHERE e.namespace = ?1 AND e.run_id = r.run_id), 0)
    + coalesce((SELECT sum(length(d.payload)) FROM continuum_deliveries AS d
                WHERE d.namespace = ?1 AND d.run_id = r.run_id), 0)
    + coalesce((SELECT sum(length(t.payload)) FROM continuum_tasks AS t
                WHERE t.namespace = ?1 AND t.run_id = r.run_id), 0)
    + coalesce((SELECT sum(length(m.body)) FROM continuum_members AS m
                WHERE m.namespace = ?1 AND m.run_id = r.run_id), 0)
    + coalesce((SELECT sum(length(b.data)) FROM continuum_blob_data AS b
                WHERE b.namespace = ?1 AND b.run_id = r.run_id), 0) AS size
  FROM continuum_runs AS r WHERE namespace = ?1
) GROUP BY machine, status, day ORDER BY machine, status, day
"""
