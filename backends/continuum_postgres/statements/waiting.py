"""What waits before the tasks of one run: counted as far as anybody is told, ten thousand at most.

Rule: like a claim, it seeks from one activity and one key to the next, and reads no backlog to its end.
Unneeded tasks are read past, and not counted: they are few, for the next claim puts them away.
"""

from __future__ import annotations

from continuum_postgres.statements import CLOCK, NEEDED

__all__ = ["PUT_OFF_TASKS", "WAITING_TASKS"]

_NOW = f"(SELECT {CLOCK})"

# `most` is no constant: the planner would read all that waits where it expects fewer than that.
_OWN = f"""(
  SELECT *, 10000::bigint AS most FROM continuum.tasks w WHERE w.shard = $2::smallint AND w.ns = $1::integer
    AND w.run_id = $3::uuid AND w.lease_until IS NULL AND w.due <= {_NOW} AND (w.undo OR NOT w.cancel)
  OFFSET 0
) w"""


def _activities(which: str) -> str:
    """The activities that the queue of `w` has tasks of, in one of the two indexes."""
    of_queue = f"t.ns = $1::integer AND t.queue = w.queue AND {which}"
    return f"""ARRAY(
    WITH RECURSIVE x AS (
      (SELECT t.activity FROM continuum.tasks t WHERE {of_queue} ORDER BY t.activity LIMIT 1)
      UNION ALL
      SELECT (SELECT t.activity FROM continuum.tasks t
              WHERE {of_queue} AND t.activity > x.activity ORDER BY t.activity LIMIT 1)
      FROM x WHERE x.activity IS NOT NULL
    ) SELECT x.activity FROM x WHERE x.activity IS NOT NULL)"""


_LATER = "NOT t.leased AND t.wake IS NOT NULL"
_PUT_OFF = f"""unnest({_activities(_LATER)}) AS m (activity) CROSS JOIN LATERAL (
    SELECT t.priority, t.fairness, t.due, t.run_id, t.token, t.slot FROM continuum.tasks t
    WHERE t.ns = $1::integer AND t.queue = w.queue AND t.activity = m.activity
      AND NOT t.leased AND t.wake <= {_NOW} AND {NEEDED} ORDER BY t.wake LIMIT w.most
  ) t"""

# What was put off until now and not met by a claim since: nearly always nothing.
PUT_OFF_TASKS = f"""
SELECT w.queue, t.priority, t.fairness, t.due, t.run_id, t.token, t.slot
FROM (SELECT DISTINCT w.queue, w.most FROM {_OWN}) w
CROSS JOIN LATERAL (SELECT * FROM {_PUT_OFF} LIMIT w.most) t
"""

_OF_LANE = (
    "t.ns = $1::integer AND t.queue = w.queue AND t.activity = m.activity AND t.wake IS NULL "
    f"AND t.due <= {_NOW} AND {NEEDED}"
)
_EQUAL = f"{_OF_LANE} AND t.priority = w.priority"


def _key(where: str) -> str:
    """The first key of all activities, `where` holds."""
    return f"""(
        SELECT min(n.fairness) FROM unnest(a.names) AS m (activity) CROSS JOIN LATERAL (
          SELECT t.fairness FROM continuum.tasks t WHERE {_EQUAL} AND {where}
          ORDER BY t.fairness LIMIT 1) n
      )"""


# A row for each key that waits beside the task, in turn, with how many it has: of each only as many as
# could come before, and up to the task's own key where none of its own does.
WAITING_TASKS = f"""
SELECT w.token, w.slot, w.queue, w.priority, w.fairness, w.due, c.last, l.n, b.n, k.keys, k.counts
FROM {_OWN}
CROSS JOIN LATERAL (
  SELECT coalesce((SELECT d.last FROM continuum.dealt d
    WHERE d.ns = $1::integer AND d.queue = w.queue AND d.priority = w.priority), '') AS last OFFSET 0
) c
CROSS JOIN LATERAL (SELECT {_activities("t.wake IS NULL")} AS names OFFSET 0) a
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT 1 FROM {_PUT_OFF} LIMIT w.most) t) o
CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM (
    SELECT 1 FROM unnest(a.names) AS m (activity) CROSS JOIN LATERAL (
      SELECT 1 FROM continuum.tasks t WHERE {_OF_LANE} AND t.priority < w.priority
      ORDER BY t.priority LIMIT w.most
    ) t LIMIT w.most) t
) l
CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM (
    SELECT 1 FROM unnest(a.names) AS m (activity) CROSS JOIN LATERAL (
      SELECT 1 FROM continuum.tasks t WHERE {_EQUAL} AND t.fairness = w.fairness AND t.due <= w.due
        AND (t.due, t.run_id, t.token, t.slot) < (w.due, w.run_id, w.token, w.slot)
      ORDER BY t.due LIMIT w.most
    ) t LIMIT w.most) t
) b
CROSS JOIN LATERAL (
  WITH RECURSIVE k AS (
    SELECT 1 AS n, coalesce({_key("t.fairness > c.last")}, {_key("t.fairness <= c.last")}) AS key
    UNION ALL
    SELECT k.n + 1, CASE
      WHEN k.key > c.last THEN coalesce({_key("t.fairness > k.key")}, {_key("t.fairness <= c.last")})
      ELSE {_key("t.fairness > k.key AND t.fairness <= c.last")} END
    FROM k
    WHERE k.key IS NOT NULL AND k.n < 10000 AND NOT (k.key = w.fairness AND b.n + o.n = 0)
  )
  SELECT array_agg(x.key) AS keys, array_agg(x.n) AS counts FROM (
    SELECT y.key, count(*) AS n FROM (
      SELECT k.key FROM k CROSS JOIN LATERAL (
        SELECT 1 FROM unnest(a.names) AS m (activity) CROSS JOIN LATERAL (
          SELECT 1 FROM continuum.tasks t WHERE {_EQUAL} AND t.fairness = k.key
          ORDER BY t.due LIMIT b.n + o.n + 1
        ) t LIMIT b.n + o.n + 1
      ) t WHERE k.key IS NOT NULL LIMIT 20000) y
    GROUP BY y.key) x
) k
"""
