"""Whole verbs as one statement, which commits by itself: for the members that nothing stands in the way of.

Rule: a member is taken entirely or not at all, and nobody waits for what it decides. It is decided by one
snapshot, which is older than the locks. That is enough, because

- a run's row is changed only where, under its lock, version, commit id, status and lease still are what the
  snapshot said; else the member is passed over. The conditions are stated again beside the row's place: of
  a row that was changed meanwhile older servers take the newest version whatever its place, newer ones none;
- a run's tasks and timers are made only by those who move its version, so under an unchanged version there
  are none that the snapshot did not see;
- what others deliver is inserted without the run's lock, before or after ours: a delivery that the snapshot
  did not see came later;
- the task's row is asked again as well. Where it was claimed or finished meanwhile, which its own
  lock allows, the run has been changed already: dividing by zero then fails the statement, nothing of it
  has happened, and its members go the long way.

Locks are had in everybody's order: the members' runs, sorted, then their tasks. A member comes as one
element of each array, which `unnest` in the list of a SELECT puts side by side without storing them.
"""

from __future__ import annotations

import re

from continuum_postgres.statements import CLOCK

__all__ = ["FUSE_FINISH", "FUSE_FINISHES", "FUSE_START", "FUSE_STARTS"]

_NOW = f"c AS MATERIALIZED (SELECT greatest({CLOCK}, $2::bigint) AS now)"

_OF_RUN = "shard = m.shard AND {0}.ns = $1::integer AND {0}.run_id = m.run_id"
_THE_RUN = "r." + _OF_RUN.format("r")
_ITS_TASKS = "t." + _OF_RUN.format("t")
_ITS_DELIVERIES = "d." + _OF_RUN.format("d")

_UNMOVED = (
    "r.version = {0}.version AND r.commit_id = {0}.base AND r.status = 0 "
    "AND (r.lease_until IS NULL OR r.lease_until <= {1}.now)"
)
_HELD = "t.fence = {0}.fence AND t.reported < t.fence AND t.key IS NULL"

_ADD_TASKS = """
INSERT INTO continuum.tasks (
  shard, ns, run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt,
  losses, fence, reported, leased, lease_until, wake, claim_id, cancel, fairness
)
SELECT m.shard, $1::integer, m.run_id, m.new_token, m.new_slot, m.activity, m.queue, m.priority, m.now, m.now,
  m.payload, m.key, m.undo, 0, 0, CASE WHEN m.lease IS NULL THEN 0 ELSE greatest(1, m.now) END, 0,
  m.lease IS NOT NULL, m.now + m.lease, m.now + m.lease, m.claim_id, false, m.fairness
FROM {0} m WHERE m.new_token IS NOT NULL"""

_ADD_RECORDS = """
INSERT INTO continuum.records (shard, ns, run_id, version, kind, at, cause, commit_id, body)
SELECT m.shard, $1::integer, m.run_id, m.version + 1, m.kind, m.at, m.cause, m.commit_id, m.body
FROM {0} m"""

# Of a turn: one record and at most one task, without token where there is none.
_TURNS = """
    unnest($3::smallint[]) AS shard, unnest($4::uuid[]) AS run_id, unnest($5::bigint[]) AS version,
    unnest($6::bigint[]) AS at, unnest($7::smallint[]) AS status, unnest($8::text[]) AS fingerprint,
    unnest($9::text[]) AS reason, unnest($10::bytea[]) AS snapshot, unnest($11::bytea[]) AS outcome,
    unnest($12::uuid[]) AS commit_id, unnest($13::smallint[]) AS kind, unnest($14::uuid[]) AS cause,
    unnest($15::bytea[]) AS body, unnest($16::bigint[]) AS new_token, unnest($17::integer[]) AS new_slot,
    unnest($18::text[]) AS activity, unnest($19::text[]) AS queue, unnest($20::integer[]) AS priority,
    unnest($21::bytea[]) AS payload, unnest($22::text[]) AS key, unnest($23::boolean[]) AS undo,
    unnest($24::bigint[]) AS lease, unnest($25::uuid[]) AS claim_id, unnest($26::text[]) AS fairness,
    generate_subscripts($3::smallint[], 1) AS ord"""

# What closing would have to look after: other tasks of the token, of an ended run any; what is due, what
# the turn has consumed without its being stored, timers of the token, of an ended run all. LIMIT, not
# EXISTS, which the planner may answer from one reading of the whole table.
_STANDING = f"""
  CROSS JOIN LATERAL (
    SELECT r.ctid AS tid, r.machine FROM continuum.runs r
    WHERE {_THE_RUN} AND {_UNMOVED.format("m", "c")} OFFSET 0
  ) r
  CROSS JOIN LATERAL (
    SELECT t.ctid AS tid FROM continuum.tasks t
    WHERE {_ITS_TASKS} AND t.token = m.token AND t.slot = m.slot AND {_HELD.format("m")} OFFSET 0
  ) t
  LEFT JOIN LATERAL (
    SELECT true AS there FROM continuum.tasks t
    WHERE {_ITS_TASKS} AND (t.token <> m.token OR t.slot <> m.slot)
      AND (m.status > 0 OR (m.closes AND t.token = m.token)) LIMIT 1
  ) o ON true
  LEFT JOIN LATERAL (
    SELECT true AS there FROM continuum.deliveries d
    WHERE {_ITS_DELIVERIES} AND (m.status > 0 OR (d.held < 1 AND d.due <= c.now) OR d.id = m.arrived
      OR (m.closes AND d.kind = 2 AND d.token = m.token)) LIMIT 1
  ) d ON true
  WHERE m.at <= c.now AND o.there IS NULL AND d.there IS NULL"""

# Finishes with the turn that rides on each: the outcome is consumed without having been stored. `$27…`:
# token, slot and fence of the task, the commit that the turn follows, whether it closes the token, and the
# id of the outcome.
FUSE_FINISHES = f"""
WITH {_NOW}, m AS MATERIALIZED (
  SELECT {_TURNS},
    unnest($27::bigint[]) AS token, unnest($28::integer[]) AS slot, unnest($29::bigint[]) AS fence,
    unnest($30::uuid[]) AS base, unnest($31::boolean[]) AS closes,
    unnest($32::uuid[]) AS arrived
), s AS MATERIALIZED (
  SELECT m.*, c.now, r.tid AS run_tid, r.machine, t.tid AS task_tid FROM c CROSS JOIN m {_STANDING}
), u AS (
  UPDATE continuum.runs r SET version = s.version + 1, status = s.status, fingerprint = s.fingerprint,
    cause = s.reason, snapshot = s.snapshot, outcome = s.outcome, commit_id = s.commit_id, updated = s.now,
    ended = CASE WHEN s.status > 0 THEN s.now END, tries = 0, lease_until = NULL, claim_id = NULL
  FROM s WHERE r.ctid = s.run_tid AND {_UNMOVED.format("s", "s")}
  RETURNING s.*
), f AS (
  DELETE FROM continuum.tasks t USING u
  WHERE (SELECT count(*) FROM u) > 0 AND t.ctid = u.task_tid AND {_HELD.format("u")}
  RETURNING 1
), e AS ({_ADD_RECORDS.format("u")}
), n AS ({_ADD_TASKS.format("u")}
)
SELECT c.now, u.ord, u.machine, 1 / ((SELECT count(*) FROM f) = (SELECT count(*) FROM u))::integer
FROM c LEFT JOIN u ON true
"""

# New runs with their first turn: the first delivery is consumed without having been stored. A run that
# somebody else makes at the same moment fails the statement, and its members go the long way. So does one
# whose id an earlier run had, of which a delivery is left.
FUSE_STARTS = f"""
WITH {_NOW}, m AS MATERIALIZED (
  SELECT {_TURNS},
    unnest($27::text[]) AS machine, unnest($28::text[]) AS run_key, unnest($29::bytea[]) AS digest,
    unnest($30::uuid[]) AS parent, unnest($31::uuid[]) AS root
), s AS MATERIALIZED (
  SELECT m.*, c.now FROM c CROSS JOIN m
  LEFT JOIN LATERAL (SELECT true AS there FROM continuum.runs r WHERE {_THE_RUN} LIMIT 1) r ON true
  LEFT JOIN LATERAL (
    SELECT true AS there FROM continuum.deliveries d WHERE {_ITS_DELIVERIES} LIMIT 1) d ON true
  WHERE m.at <= c.now AND r.there IS NULL AND d.there IS NULL
), a AS (
  INSERT INTO continuum.runs (
    shard, ns, run_id, machine, fingerprint, key, digest, parent, root, created, updated,
    generation, version, status, cause, fence, tries, snapshot, outcome, commit_id
  )
  SELECT s.shard, $1::integer, s.run_id, s.machine, s.fingerprint, s.run_key, s.digest, s.parent, s.root,
    s.now, s.now, 0, s.version + 1, s.status, s.reason, 0, 0, s.snapshot, s.outcome, s.commit_id
  FROM s
), e AS ({_ADD_RECORDS.format("s")}
), n AS ({_ADD_TASKS.format("s")}
)
SELECT c.now, s.ord FROM c LEFT JOIN s ON true
"""

_COLUMN = re.compile(r"unnest\((\$\d+::\w+)\[\]\) AS (\w+)")
_MEMBERS = re.compile(r", m AS MATERIALIZED \(.*?\n\), s AS", re.DOTALL)
_NAMED = re.compile(r"\b[msu]\.(\w+)\b")


def _alone(statement: str, found: str) -> str:
    """The statement about a single member: what were its columns are plain values, wherever they are named.

    Made from the text for many, so that there is one place where it is said what a turn does. The server has
    nothing to unpack, and forty columns less to hand from each part of the statement to the next.

    :param found: what is left of the members' columns: those that were read.
    """
    values = {name: value for value, name in _COLUMN.findall(statement)}
    text = _MEMBERS.sub(", s AS", statement).replace(" CROSS JOIN m", "")
    text = text.replace("m.*", "1 AS ord").replace("s.*", found)
    return _NAMED.sub(lambda named: values.get(named[1], named[0]), text)


FUSE_FINISH = _alone(FUSE_FINISHES, "s.ord, s.now, s.run_tid, s.machine, s.task_tid")
FUSE_START = _alone(FUSE_STARTS, "s.ord, s.now")
