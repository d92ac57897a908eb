"""What people and tools look at: pages of runs, all that one run has open, definitions, namespaces."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK, REACHED
from continuum_postgres.statements.runs import RUN_COLUMNS
from continuum_postgres.statements.tasks import TASK_COLUMNS

__all__ = [
    "ADD_DEFINITIONS",
    "ADD_NAMESPACE",
    "BEGIN_READING",
    "CHILDREN",
    "DEAD_OF_RUN",
    "DEFINITIONS",
    "DELIVERIES_OF_RUN",
    "LOOK_REACHED",
    "NAMESPACE",
    "NOTIFY",
    "NOTIFY_REACHED",
    "NOW",
    "RUNS",
    "RUNS_COMPLETED",
    "RUNS_IN_STATUS",
    "RUNS_RUNNING",
    "TASKS_OF_RUN",
]

NOW = f"SELECT {CLOCK}, $1::integer"

BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

# Outside any transaction that writes: it takes a lock of the whole server when it commits.
NOTIFY = "SELECT pg_notify($1::text, $2::text)"

# The same, and how far the log is then on the disk: what was told to be written is before it.
NOTIFY_REACHED = f"{NOTIFY}, {REACHED}"

LOOK_REACHED = f"SELECT {REACHED}, $1::integer"

NAMESPACE = "SELECT ns FROM continuum.namespaces WHERE name = $1::text"

ADD_NAMESPACE = """
INSERT INTO continuum.namespaces (name, ns)
SELECT $1::text, coalesce(max(ns), 0) + 1 FROM continuum.namespaces ON CONFLICT DO NOTHING
"""

# Parameters: created from, to (exclusive); created and run id of the last row of the page before; how
# many; then machine, status and parent, where NULL means any.
_WHERE = """
WHERE r.ns = $1::integer AND r.created >= $2::bigint AND r.created < $3::bigint
  AND (r.created, r.run_id) < ($4::bigint, $5::uuid) AND ($7::text IS NULL OR r.machine = $7::text)"""
_TAIL = "ORDER BY r.created DESC, r.run_id DESC LIMIT $6::bigint"
_ANY_STATUS = "($8::smallint IS NULL OR r.status = $8::smallint)"
_ONE = f"SELECT {RUN_COLUMNS} FROM continuum.runs r {_WHERE} AND $9::uuid IS NULL"

# In one statement, so in one snapshot: a run that ends meanwhile is in one half or the other.
RUNS = f"""
SELECT * FROM (
  ({_ONE} AND {_ANY_STATUS} AND r.ended IS NULL {_TAIL})
  UNION ALL
  ({_ONE} AND {_ANY_STATUS} AND r.ended IS NOT NULL {_TAIL})
) r {_TAIL}
"""

RUNS_RUNNING = f"{_ONE} AND r.status = $8::smallint AND r.ended IS NULL {_TAIL}"

RUNS_COMPLETED = f"{_ONE} AND r.status = $8::smallint AND r.ended IS NOT NULL {_TAIL}"

# The rarer ones have an index of their own.
RUNS_IN_STATUS = f"{_ONE} AND r.status > 1 AND r.status = $8::smallint {_TAIL}"

CHILDREN = (
    f"SELECT {RUN_COLUMNS} FROM continuum.runs r {_WHERE} AND {_ANY_STATUS} AND r.parent = $9::uuid {_TAIL}"
)

_RUN = "shard = $2::smallint AND ns = $1::integer AND run_id = $3::uuid"

DELIVERIES_OF_RUN = f"""
SELECT id, run_id, kind, payload, due, token, slot, dedupe, held, cause FROM continuum.deliveries
WHERE {_RUN} ORDER BY due, id
"""

TASKS_OF_RUN = f"SELECT {TASK_COLUMNS} FROM continuum.tasks t WHERE {_RUN} ORDER BY token, slot"

DEAD_OF_RUN = f"""
SELECT id, run_id, kind, payload, due, token, slot, dedupe, 0::smallint, cause, reason, at FROM continuum.dead
WHERE {_RUN} ORDER BY at, id
"""

ADD_DEFINITIONS = """
INSERT INTO continuum.definitions (ns, fingerprint, machine, version, body)
SELECT $1::integer, m.fingerprint, m.machine, m.version, m.body
FROM unnest($2::text[], $3::text[], $4::integer[], $5::bytea[]) AS m (fingerprint, machine, version, body)
ORDER BY m.fingerprint ON CONFLICT DO NOTHING
"""

DEFINITIONS = """
SELECT fingerprint, machine, version, body FROM continuum.definitions WHERE ns = $1::integer
ORDER BY machine COLLATE "C", version, fingerprint COLLATE "C"
"""
