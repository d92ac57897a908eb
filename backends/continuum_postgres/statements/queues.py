"""What waits in a queue, by priority and fairness key, and what limits who takes it.

Rule: a lane is one (queue, activity). A task without `wake` is ready and in the index `tasks_ready`; one
with it is leased, or put off until then. Claims seek from one priority to the next and from one key to
the next: what waits behind them, is leased or put off costs nothing. No arithmetic of limits and no dealing
is done here, only locking, seeking and counting.
"""

from __future__ import annotations

from continuum_postgres.statements import CLOCK, NEEDED

__all__ = [
    "ADD_QUEUES",
    "DEALT_TASKS",
    "LIMITS",
    "LOCK_QUEUES",
    "NEXT_TASKS",
    "READY_TASKS",
    "SET_BUCKETS",
    "SET_TURNS",
    "TURNS",
]

_LANES = "unnest($2::text[], $3::text[]) WITH ORDINALITY AS m (queue, activity, ord)"
_ROOMY = "unnest($2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY AS m (queue, activity, room, ord)"
_OF_LANE = "t.ns = $1::integer AND t.queue = m.queue AND t.activity = m.activity"
_NOW = f"(SELECT {CLOCK})"
_FOUND = "t.priority, t.fairness, t.due, t.run_id, t.token, t.slot, t.losses, t.fence, t.wake"

# The priorities that a lane has ready tasks of, by seeking from one to the next.
_PRIORITIES = f"""(
  WITH RECURSIVE p AS (
    (SELECT t.priority FROM continuum.tasks t WHERE {_OF_LANE} AND t.wake IS NULL
     ORDER BY t.priority LIMIT 1)
    UNION ALL
    SELECT (SELECT t.priority FROM continuum.tasks t
            WHERE {_OF_LANE} AND t.wake IS NULL AND t.priority > p.priority ORDER BY t.priority LIMIT 1)
    FROM p WHERE p.priority IS NOT NULL
  ) SELECT p.priority FROM p WHERE p.priority IS NOT NULL OFFSET 0
) p"""
# In which a claim takes what is of one key; that of the index, so that no ties are ever sorted.
_ORDER = "t.due, t.run_id, t.token, t.slot"
_READY = f"{_OF_LANE} AND t.priority = p.priority AND t.wake IS NULL AND t.due <= {_NOW} AND {NEEDED}"

# What was put off until now. The claim that finds such tasks makes them ready, so they are few; after a
# long rest they are found page by page.
_PUT_OFF = f"""(
  SELECT {_FOUND} FROM continuum.tasks t
  WHERE {_OF_LANE} AND NOT t.leased AND t.wake <= {_NOW} AND {NEEDED} ORDER BY t.wake LIMIT 1000
)"""

# What a queue without keys needs, and whether this one has any: one task with a key tells, or that it was
# another key's turn than that of "".
READY_TASKS = f"""
SELECT m.ord, {_FOUND}, k.keyed OR t.fairness > ''
FROM {_ROOMY}
CROSS JOIN LATERAL (
  SELECT EXISTS (SELECT 1 FROM continuum.dealt d
    WHERE d.ns = $1::integer AND d.queue = m.queue AND d.last > '') AS keyed OFFSET 0
) k
CROSS JOIN LATERAL (
  SELECT {_FOUND} FROM {_PRIORITIES} CROSS JOIN LATERAL (
    (SELECT {_FOUND} FROM continuum.tasks t
     WHERE {_READY} AND t.fairness = '' ORDER BY {_ORDER} LIMIT m.room)
    UNION ALL
    (SELECT {_FOUND} FROM continuum.tasks t
     WHERE {_READY} AND t.fairness > '' ORDER BY t.fairness LIMIT 1)
  ) t
  UNION ALL {_PUT_OFF}
) t
"""

_AFTER = f"(SELECT t.fairness FROM continuum.tasks t WHERE {_READY} AND t.fairness > {{}} " + (
    "ORDER BY t.fairness LIMIT 1)"
)
_AGAIN = f"(SELECT t.fairness FROM continuum.tasks t WHERE {_READY} AND t.fairness <= c.last " + (
    "ORDER BY t.fairness LIMIT 1)"
)
_WRAPPED = f"(SELECT t.fairness FROM continuum.tasks t WHERE {_READY} AND t.fairness > k.key " + (
    "AND t.fairness <= c.last ORDER BY t.fairness LIMIT 1)"
)

# Of each priority the keys in turn, by seeking from one to the next, as many as there is room for (those up
# to `last` come once there are no more behind it); of each an equal share; and where others have less, of
# those that have more what is missing. At most a quarter of the square of the room, most often the room.
DEALT_TASKS = f"""
SELECT m.ord, {_FOUND}, true
FROM {_ROOMY}
CROSS JOIN LATERAL (
  SELECT {_FOUND} FROM {_PRIORITIES}
  CROSS JOIN LATERAL (
    SELECT coalesce((SELECT d.last FROM continuum.dealt d
      WHERE d.ns = $1::integer AND d.queue = m.queue AND d.priority = p.priority), '') AS last OFFSET 0
  ) c
  CROSS JOIN LATERAL (
    WITH RECURSIVE k AS (
      SELECT 1 AS n, coalesce({_AFTER.format("c.last")}, {_AGAIN}) AS key
      UNION ALL
      SELECT k.n + 1, CASE WHEN k.key > c.last THEN coalesce({_AFTER.format("k.key")}, {_AGAIN})
        ELSE {_WRAPPED} END
      FROM k WHERE k.key IS NOT NULL AND k.n < m.room
    ), s AS MATERIALIZED (
      SELECT (m.room + count(k.key) - 1) / greatest(count(k.key), 1) AS share FROM k
    ), a AS MATERIALIZED (
      SELECT {_FOUND} FROM s CROSS JOIN k CROSS JOIN LATERAL (
        SELECT {_FOUND} FROM continuum.tasks t
        WHERE {_READY} AND t.fairness = k.key ORDER BY {_ORDER} LIMIT s.share
      ) t WHERE k.key IS NOT NULL
    ), g AS MATERIALIZED (
      SELECT t.fairness AS key, count(*) AS n FROM a t GROUP BY t.fairness
    ), l AS MATERIALIZED (
      SELECT s.share, m.room - (SELECT coalesce(sum(least(g.n, s.share)), 0) FROM g)::bigint AS missing FROM s
    )
    SELECT {_FOUND} FROM a t
    UNION ALL
    SELECT {_FOUND} FROM l CROSS JOIN g CROSS JOIN LATERAL (
      SELECT {_FOUND} FROM continuum.tasks t
      WHERE {_READY} AND t.fairness = g.key ORDER BY {_ORDER} LIMIT l.missing OFFSET l.share
    ) t WHERE l.missing > 0 AND g.n >= l.share
  ) t
  UNION ALL {_PUT_OFF}
) t
"""

# By ORDER BY and LIMIT: `min` reads all that waits where the planner expects one row.
NEXT_TASKS = f"""
SELECT {CLOCK}, least(
  (SELECT min(n.wake) FROM {_LANES} CROSS JOIN LATERAL (
     SELECT t.wake FROM continuum.tasks t WHERE {_OF_LANE} AND NOT t.leased AND t.wake > {_NOW}
     ORDER BY t.wake LIMIT 1) n),
  (SELECT min(n.wake) FROM {_LANES} CROSS JOIN LATERAL (
     SELECT t.wake FROM continuum.tasks t WHERE {_OF_LANE} AND t.leased ORDER BY t.wake LIMIT 1) n))
"""

# --- limits, rates and turns: read without a lock to see whether it is worth taking, and then under it

# Live leases are counted up to the cap, 0 for none.
LIMITS = f"""
SELECT {CLOCK}, (
  SELECT count(*) FROM (
    SELECT 1 FROM continuum.tasks t
    WHERE t.ns = $1::integer AND t.queue = m.queue AND t.leased AND t.lease_until > {_NOW} LIMIT m.cap) l
), q.level, q.at, q.per
FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS m (queue, cap, ord)
LEFT JOIN LATERAL (
  SELECT q.level, q.at, q.per FROM continuum.queues q WHERE q.ns = $1::integer AND q.queue = m.queue OFFSET 0
) q ON true
ORDER BY m.ord
"""

TURNS = """
SELECT m.ord, d.priority, d.last FROM unnest($2::text[]) WITH ORDINALITY AS m (queue, ord)
CROSS JOIN LATERAL (
  SELECT d.priority, d.last FROM continuum.dealt d WHERE d.ns = $1::integer AND d.queue = m.queue OFFSET 0
) d
"""

# Queues come in the order of their names, so that no two claims wait for one another.
ADD_QUEUES = """
INSERT INTO continuum.queues (ns, queue)
SELECT $1::integer, m.queue FROM unnest($2::text[]) AS m (queue) ON CONFLICT DO NOTHING
"""

LOCK_QUEUES = """
SELECT 1 FROM unnest($2::text[]) AS m (queue)
CROSS JOIN LATERAL (
  SELECT 1 FROM continuum.queues q WHERE q.ns = $1::integer AND q.queue = m.queue FOR UPDATE
) q
"""

SET_BUCKETS = """
UPDATE continuum.queues q SET level = m.level, at = m.at, per = m.per
FROM (
  SELECT m.*, q.tid
  FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS m (queue, level, at, per)
  CROSS JOIN LATERAL (
    SELECT q.ctid AS tid FROM continuum.queues q WHERE q.ns = $1::integer AND q.queue = m.queue OFFSET 0) q
) m
WHERE q.ctid = m.tid
"""

SET_TURNS = """
INSERT INTO continuum.dealt (ns, queue, priority, last)
SELECT $1::integer, m.queue, m.priority, m.last
FROM unnest($2::text[], $3::integer[], $4::text[]) AS m (queue, priority, last)
ON CONFLICT (ns, queue, priority) DO UPDATE SET last = excluded.last
"""
