"""Deliveries, the ids they were seen under, and dead letters."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = [
    "ADD_DEAD",
    "ADD_DELIVERIES",
    "CANCELS",
    "CLOSE_TIMERS",
    "CONSUME",
    "DUE_OF_RUNS",
    "EMPTY_RUNS",
    "HOLD",
    "MORE",
    "PENDING",
    "REPLIED",
    "REPLY",
    "SEEN",
    "SEE_CONSUMED",
    "SEND",
    "SEND_UNLOCKED",
    "STARTS",
    "TARGETS",
    "UNHOLD",
]

_RUNS = "unnest($2::smallint[], $3::uuid[]) WITH ORDINALITY AS m (shard, run_id, ord)"
_OF_RUN = "d.shard = m.shard AND d.ns = $1::integer AND d.run_id = m.run_id"

# Not `held = 0`: that would let the planner read the index of all due deliveries for those of one run,
# which it does when its statistics were taken while nothing was due.
_FREE = "d.held < 1"

# --- looked at

TARGETS = f"""
SELECT {CLOCK}, r.status, d.pending FROM {_RUNS}
LEFT JOIN LATERAL (
  SELECT r.status FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0
) r ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS pending FROM (
    SELECT 1 FROM continuum.deliveries d WHERE {_OF_RUN} LIMIT $4::bigint) d
) d
ORDER BY m.ord
"""

PENDING = f"""
SELECT d.due FROM unnest($2::smallint[], $3::uuid[], $4::uuid[]) WITH ORDINALITY AS m (shard, run_id, id, ord)
LEFT JOIN LATERAL (
  SELECT d.due FROM continuum.deliveries d WHERE {_OF_RUN} AND d.id = m.id OFFSET 0
) d ON true
ORDER BY m.ord
"""

# `consumed` is NULL while the delivery is pending: its window has not begun.
SEEN = f"""
SELECT {CLOCK}, s.there IS NOT NULL, s.consumed
FROM unnest($2::smallint[], $3::uuid[], $4::text[]) WITH ORDINALITY AS m (shard, run_id, dedupe, ord)
LEFT JOIN LATERAL (
  SELECT true AS there, s.consumed FROM continuum.seen s
  WHERE s.shard = m.shard AND s.ns = $1::integer AND s.run_id = m.run_id AND s.dedupe = m.dedupe OFFSET 0
) s ON true
ORDER BY m.ord
"""

# What a fused turn may overtake nothing of.
DUE_OF_RUNS = f"""
SELECT m.ord, d.id, d.due FROM {_RUNS}
CROSS JOIN LATERAL (
  SELECT d.id, d.due FROM continuum.deliveries d
  WHERE {_OF_RUN} AND {_FREE} AND d.due <= (SELECT {CLOCK}) LIMIT $4::bigint
) d
"""

# LATERAL and LIMIT, not EXISTS, which the planner may answer from one reading of all that is due.
MORE = f"""
SELECT d.there IS NOT NULL FROM {_RUNS}
LEFT JOIN LATERAL (
  SELECT true AS there FROM continuum.deliveries d WHERE {_OF_RUN} AND {_FREE} AND d.due <= $4::bigint LIMIT 1
) d ON true
ORDER BY m.ord
"""

CANCELS = f"""
SELECT d.there IS NOT NULL FROM {_RUNS}
LEFT JOIN LATERAL (
  SELECT true AS there FROM continuum.deliveries d WHERE {_OF_RUN} AND {_FREE} AND d.kind = 4 LIMIT 1
) d ON true
ORDER BY m.ord
"""

# What starts a run, if it waits still.
STARTS = f"""
SELECT m.ord, d.id FROM {_RUNS}
CROSS JOIN LATERAL (
  SELECT d.id FROM continuum.deliveries d WHERE {_OF_RUN} AND d.kind = 0 OFFSET 0
) d
"""

# --- in

_NEW = """
unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::smallint[], $7::bigint[], $8::integer[],
       $9::text[], $10::uuid[], $11::bytea[])
  AS m (shard, run_id, id, due, kind, token, slot, dedupe, cause, payload)"""

_INSERT = """
INSERT INTO continuum.deliveries (
  shard, ns, run_id, id, due, kind, held, token, slot, dedupe, cause, payload
)
SELECT m.shard, $1::integer, m.run_id, m.id, m.due, m.kind, 0, m.token, m.slot, m.dedupe, m.cause,
  m.payload"""

# In the order of the index of what is due: what comes out of order splits its pages in the middle, and they
# stay half empty (18 bytes a timer). No two transactions wait for each other here, for each holds the runs.
ADD_DELIVERIES = f"{_INSERT} FROM {_NEW} ORDER BY m.due, m.id ON CONFLICT DO NOTHING"

# Of two that deliver under one dedupe id at once, the one whose row is there first is accepted; the
# other waits for it, gets no row back, and inserts nothing. `$12`: consumed up to then is forgotten.
SEND = f"""
WITH m AS MATERIALIZED (SELECT * FROM {_NEW}), s AS (
  INSERT INTO continuum.seen (shard, ns, run_id, dedupe)
  SELECT m.shard, $1::integer, m.run_id, m.dedupe FROM m WHERE m.dedupe IS NOT NULL
  ORDER BY m.shard, m.run_id, m.dedupe
  ON CONFLICT (shard, ns, run_id, dedupe) DO UPDATE SET consumed = NULL, reply = NULL
  WHERE seen.consumed <= $12::bigint
  RETURNING run_id, dedupe
)
{_INSERT} FROM m
WHERE m.dedupe IS NULL OR ((m.run_id, m.dedupe) IN (SELECT s.run_id, s.dedupe FROM s)) IS TRUE
ON CONFLICT DO NOTHING RETURNING run_id, id
"""

# The same in a caller's transaction, which may stay open for long: a row that is there is not locked, for
# the commit that consumes its delivery would wait for it. Only a forgotten id, which nobody needs, is.
# (Looked at once more, under the lock, in words that no index knows.)
SEND_UNLOCKED = f"""
WITH m AS MATERIALIZED (SELECT * FROM {_NEW}), f AS (
  UPDATE continuum.seen s SET consumed = NULL, reply = NULL
  WHERE s.ctid = ANY (ARRAY(
    SELECT s.tid FROM m
    CROSS JOIN LATERAL (
      SELECT s.ctid AS tid, s.consumed FROM continuum.seen s
      WHERE s.shard = m.shard AND s.ns = $1::integer AND s.run_id = m.run_id AND s.dedupe = m.dedupe OFFSET 0
    ) s
    WHERE s.consumed <= $12::bigint))
    AND coalesce(s.consumed, $12::bigint + 1) <= $12::bigint
  RETURNING s.run_id, s.dedupe
), s AS (
  INSERT INTO continuum.seen (shard, ns, run_id, dedupe)
  SELECT m.shard, $1::integer, m.run_id, m.dedupe FROM m WHERE m.dedupe IS NOT NULL
  ORDER BY m.shard, m.run_id, m.dedupe
  ON CONFLICT (shard, ns, run_id, dedupe) DO NOTHING
  RETURNING run_id, dedupe
), taken AS (SELECT * FROM f UNION ALL SELECT * FROM s)
{_INSERT} FROM m
WHERE m.dedupe IS NULL
  OR ((m.run_id, m.dedupe) IN (SELECT taken.run_id, taken.dedupe FROM taken)) IS TRUE
ON CONFLICT DO NOTHING RETURNING run_id, id
"""

# --- out: the window of a dedupe id begins when its delivery goes

_SEE_GONE = """
UPDATE continuum.seen s SET consumed = $2::bigint
WHERE s.ctid = ANY (ARRAY(
  SELECT s.tid FROM gone
  CROSS JOIN LATERAL (
    SELECT s.ctid AS tid FROM continuum.seen s
    WHERE s.shard = gone.shard AND s.ns = $1::integer AND s.run_id = gone.run_id AND s.dedupe = gone.dedupe
    OFFSET 0
  ) s
  WHERE gone.dedupe IS NOT NULL))"""

CONSUME = f"""
WITH gone AS (
  DELETE FROM continuum.deliveries d
  WHERE d.ctid = ANY (ARRAY(
    SELECT d.tid FROM unnest($3::smallint[], $4::uuid[], $5::uuid[]) AS m (shard, run_id, id)
    CROSS JOIN LATERAL (
      SELECT d.ctid AS tid FROM continuum.deliveries d WHERE {_OF_RUN} AND d.id = m.id OFFSET 0) d))
  RETURNING d.shard, d.run_id, d.dedupe
)
{_SEE_GONE}
"""

CLOSE_TIMERS = f"""
WITH gone AS (
  DELETE FROM continuum.deliveries d
  WHERE d.ctid = ANY (ARRAY(
    SELECT d.tid FROM unnest($3::smallint[], $4::uuid[], $5::bigint[]) AS m (shard, run_id, token)
    CROSS JOIN LATERAL (
      SELECT d.ctid AS tid FROM continuum.deliveries d
      WHERE {_OF_RUN} AND d.kind = 2 AND d.token = m.token OFFSET 0) d))
  RETURNING d.shard, d.run_id, d.dedupe
)
{_SEE_GONE}
"""

_DEAD = "(shard, ns, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason, at)"

# All that runs which have ended, or are gone, will never take; signals are kept as dead. Whether they are is
# asked by the snapshot that finds the deliveries: what was read before may be of another run that had the
# id, and a run that has begun since keeps what it was begun with.
EMPTY_RUNS = f"""
WITH gone AS (
  DELETE FROM continuum.deliveries d
  WHERE d.ctid = ANY (ARRAY(
    SELECT d.tid FROM unnest($3::smallint[], $4::uuid[]) AS m (shard, run_id)
    LEFT JOIN LATERAL (
      SELECT d.status FROM continuum.runs d WHERE {_OF_RUN} OFFSET 0) r ON true
    CROSS JOIN LATERAL (SELECT d.ctid AS tid FROM continuum.deliveries d WHERE {_OF_RUN} OFFSET 0) d
    WHERE coalesce(r.status, 4) BETWEEN 1 AND 4))
  RETURNING d.*
), buried AS (
  INSERT INTO continuum.dead {_DEAD}
  SELECT shard, ns, run_id, id, due, kind, token, slot, dedupe, cause, payload, 'run over', $2::bigint
  FROM gone WHERE kind = 1 ON CONFLICT DO NOTHING
)
{_SEE_GONE}
"""

ADD_DEAD = f"""
INSERT INTO continuum.dead {_DEAD}
SELECT m.shard, $1::integer, m.run_id, m.id, m.due, m.kind, m.token, m.slot, m.dedupe, m.cause, m.payload,
  m.reason, $12::bigint
FROM unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::smallint[], $7::bigint[], $8::integer[],
       $9::text[], $10::uuid[], $11::bytea[], $13::text[])
  AS m (shard, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason)
ON CONFLICT DO NOTHING
"""

# The first delivery of a run, or what its first turn consumed before it was ever stored.
SEE_CONSUMED = """
INSERT INTO continuum.seen (shard, ns, run_id, dedupe, consumed)
SELECT m.shard, $1::integer, m.run_id, m.dedupe, m.consumed
FROM unnest($2::smallint[], $3::uuid[], $4::text[], $5::bigint[]) AS m (shard, run_id, dedupe, consumed)
ON CONFLICT (shard, ns, run_id, dedupe) DO UPDATE SET consumed = excluded.consumed, reply = NULL
"""

# What a turn answers to what it consumes.
REPLY = """
UPDATE continuum.seen s SET reply = m.reply
FROM (
  SELECT m.reply, s.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::text[], $5::bytea[]) AS m (shard, run_id, dedupe, reply)
  CROSS JOIN LATERAL (
    SELECT s.ctid AS tid FROM continuum.seen s
    WHERE s.shard = m.shard AND s.ns = $1::integer AND s.run_id = m.run_id AND s.dedupe = m.dedupe OFFSET 0
  ) s
) m
WHERE s.ctid = m.tid
"""

REPLIED = f"""
SELECT {CLOCK}, s.there IS NOT NULL, s.consumed, s.reply
FROM unnest($2::smallint[], $3::uuid[], $4::text[]) WITH ORDINALITY AS m (shard, run_id, dedupe, ord)
LEFT JOIN LATERAL (
  SELECT true AS there, s.consumed, s.reply FROM continuum.seen s
  WHERE s.shard = m.shard AND s.ns = $1::integer AND s.run_id = m.run_id AND s.dedupe = m.dedupe OFFSET 0
) s ON true
ORDER BY m.ord
"""

# --- held

HOLD = f"""
UPDATE continuum.deliveries d SET held = m.held
FROM (
  SELECT m.held, d.tid
  FROM unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::smallint[]) AS m (shard, run_id, id, held)
  CROSS JOIN LATERAL (
    SELECT d.ctid AS tid FROM continuum.deliveries d WHERE {_OF_RUN} AND d.id = m.id OFFSET 0) d
) m
WHERE d.ctid = m.tid
"""

# `reasons`: one bit for each reason, 1 << held.
UNHOLD = f"""
UPDATE continuum.deliveries d SET held = 0
WHERE d.ctid = ANY (ARRAY(
  SELECT d.tid FROM unnest($2::smallint[], $3::uuid[], $4::smallint[]) AS m (shard, run_id, reasons)
  CROSS JOIN LATERAL (
    SELECT d.ctid AS tid FROM continuum.deliveries d
    WHERE {_OF_RUN} AND d.held > 0 AND (m.reasons::integer >> d.held::integer) & 1 = 1 OFFSET 0) d))
"""
