"""Which workers are there: rows, and the locks that show which of them still count.

A session holds the lock of a row's number, in this database; it goes with the session. Every role can read
which locks are held.
"""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = ["GONE", "KEYS", "PRESENT", "WITHDRAWN"]

# A number of 64 bits is shown as two of 32; the third tells that it is one (two that were given have 2).
_HELD = """
SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_catalog.pg_locks l
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.database =
  (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"""

# Not without the lock: it may be held where those who read do not see it, or by nobody any more.
PRESENT = f"""
INSERT INTO continuum.workers (ns, worker, lock, at, keys)
SELECT $1::integer, $2::uuid, $3::bigint, {CLOCK}, $4::text[] WHERE $3::bigint IN ({_HELD})
ON CONFLICT (ns, worker) DO UPDATE SET lock = excluded.lock, at = excluded.at, keys = excluded.keys
RETURNING worker
"""

WITHDRAWN = "DELETE FROM continuum.workers WHERE ns = $1::integer AND worker = $2::uuid AND lock = $3::bigint"

# Those of processes that ended without a word. A listener that was lost comes back within seconds, and its
# workers' rows with it: the time is for what nobody thought of.
GONE = f"""
DELETE FROM continuum.workers WHERE ctid = ANY (ARRAY (
  SELECT w.ctid FROM continuum.workers w
  WHERE w.ns = $1::integer AND w.at < (SELECT {CLOCK}) - 3600000000 AND w.lock NOT IN ({_HELD})
  ORDER BY w.worker FOR UPDATE SKIP LOCKED))
"""

KEYS = f"""
WITH held (lock) AS MATERIALIZED ({_HELD})
SELECT DISTINCT k.key FROM continuum.workers w CROSS JOIN LATERAL unnest(w.keys) AS k (key)
WHERE w.ns = $1::integer AND w.lock IN (SELECT h.lock FROM held h) AND k.key = ANY ($2::text[])
"""
