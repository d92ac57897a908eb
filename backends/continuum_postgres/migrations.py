"""Every version of the schema, as plain SQL: the authority over what is in the database.

Rule: a published migration is never edited; the next one is appended. It expands first (new tables,
columns with defaults) and keeps `min_reader`, so that the release before may go on using the schema; only
a later one, when nobody needs the old shape, contracts and raises `min_reader`.

Shapes: `shard` leads every key of what belongs to a run, `ns` is the number of the namespace, times are
microseconds. Columns that change often (leases, versions, snapshots, heartbeats) are in no index, so that
changing them rewrites no index entry (HOT); hence `ended` beside `updated`, and `wake` beside `lease_until`.
"""

from __future__ import annotations

from attrs import frozen

from continuum_postgres.statements import CLOCK

__all__ = ["MIGRATIONS", "Migration"]


@frozen
class Migration:
    """One step of the schema.

    :ivar version: of the schema after it.
    :ivar min_reader: the oldest schema version whose code may use the database afterwards.
    """

    version: int
    min_reader: int
    statements: tuple[str, ...]


_NAMESPACES = """
CREATE TABLE continuum.namespaces (
  name text PRIMARY KEY,
  ns integer NOT NULL UNIQUE
)
"""

# Fillfactor: room for the next version of a row on its own page.
_RUNS = """
CREATE TABLE continuum.runs (
  shard smallint NOT NULL,
  status smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  version bigint NOT NULL,
  fence bigint NOT NULL,
  lease_until bigint,
  claim_id uuid,
  commit_id uuid,
  created bigint NOT NULL,
  updated bigint NOT NULL,
  ended bigint,
  tries integer NOT NULL,
  generation integer NOT NULL,
  parent uuid,
  root uuid,
  machine text NOT NULL,
  fingerprint text NOT NULL,
  cause text NOT NULL,
  digest bytea NOT NULL,
  key text,
  snapshot bytea NOT NULL,
  outcome bytea,
  PRIMARY KEY (shard, ns, run_id)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05)
"""

_RUNS_INDEXES = (
    # each run is in one of these two: one entry a run, and neither kind is looked for among the other
    "CREATE INDEX runs_open ON continuum.runs (ns, created, run_id) WHERE ended IS NULL",
    "CREATE INDEX runs_closed ON continuum.runs (ns, created, run_id) WHERE ended IS NOT NULL",
    # running and completed runs, which are most, are not in it
    "CREATE INDEX runs_status ON continuum.runs (ns, status, created, run_id) WHERE status > 1",
    "CREATE INDEX runs_parent ON continuum.runs (ns, parent, created, run_id) WHERE parent IS NOT NULL",
    "CREATE INDEX runs_ended ON continuum.runs (ns, ended, run_id) WHERE ended IS NOT NULL",
)

_RECORDS = """
CREATE TABLE continuum.records (
  shard smallint NOT NULL,
  kind smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  version bigint NOT NULL,
  at bigint NOT NULL,
  cause uuid NOT NULL,
  commit_id uuid NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, version)
)
"""

_DELIVERIES = """
CREATE TABLE continuum.deliveries (
  shard smallint NOT NULL,
  kind smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  id uuid NOT NULL,
  due bigint NOT NULL,
  token bigint NOT NULL,
  slot integer NOT NULL,
  held smallint NOT NULL,
  cause uuid,
  dedupe text,
  payload bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05)
"""

_DELIVERIES_DUE = "CREATE INDEX deliveries_due ON continuum.deliveries (ns, due) WHERE held = 0"

_SEEN = """
CREATE TABLE continuum.seen (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  consumed bigint,
  dedupe text NOT NULL,
  PRIMARY KEY (shard, ns, run_id, dedupe)
)
"""

_DEAD = """
CREATE TABLE continuum.dead (
  shard smallint NOT NULL,
  kind smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  id uuid NOT NULL,
  due bigint NOT NULL,
  token bigint NOT NULL,
  slot integer NOT NULL,
  cause uuid,
  at bigint NOT NULL,
  dedupe text,
  reason text NOT NULL,
  payload bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, id)
)
"""

# `wake`: when a claim should look at a leased task: its lease's end as it was when somebody last looked.
_TASKS = """
CREATE TABLE continuum.tasks (
  shard smallint NOT NULL,
  leased boolean NOT NULL,
  cancel boolean NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  token bigint NOT NULL,
  slot integer NOT NULL,
  priority integer NOT NULL,
  due bigint NOT NULL,
  scheduled bigint NOT NULL,
  wake bigint,
  lease_until bigint,
  fence bigint NOT NULL,
  reported bigint NOT NULL,
  claim_id uuid,
  attempt integer NOT NULL,
  losses integer NOT NULL,
  undo boolean NOT NULL,
  activity text NOT NULL,
  queue text NOT NULL,
  key text,
  payload bytea NOT NULL,
  details bytea,
  failure bytea,
  PRIMARY KEY (shard, ns, run_id, token, slot)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)
"""

_TASKS_INDEXES = (
    "CREATE INDEX tasks_ready ON continuum.tasks (ns, queue, activity, priority, due) WHERE NOT leased",
    "CREATE INDEX tasks_leased ON continuum.tasks (ns, queue, activity, wake) WHERE leased",
    "CREATE INDEX tasks_claimed ON continuum.tasks (ns, claim_id) WHERE claim_id IS NOT NULL",
    # what was asked to stop while nobody had it: few, and put away when met
    "CREATE INDEX tasks_unneeded ON continuum.tasks (ns, queue, activity, due) "
    "WHERE NOT leased AND cancel AND NOT undo",
)

# What a claim of runs got, so that its repeat can be answered: one row a claim, not an index over runs.
_CLAIMS = """
CREATE TABLE continuum.claims (
  ns integer NOT NULL,
  claim_id uuid NOT NULL,
  at bigint NOT NULL,
  shards smallint[] NOT NULL,
  runs uuid[] NOT NULL,
  PRIMARY KEY (ns, claim_id)
)
"""

_RESULTS = """
CREATE TABLE continuum.results (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  slot integer NOT NULL,
  run_id uuid NOT NULL,
  token bigint NOT NULL,
  until bigint NOT NULL,
  activity text NOT NULL,
  key text NOT NULL,
  result bytea,
  PRIMARY KEY (ns, activity, key)
)
"""

_ORDERS = """
CREATE TABLE continuum.orders (
  ns integer NOT NULL,
  status smallint NOT NULL,
  id uuid NOT NULL,
  given bigint NOT NULL,
  outcome text NOT NULL,
  PRIMARY KEY (ns, id)
)
"""

_DEFINITIONS = """
CREATE TABLE continuum.definitions (
  ns integer NOT NULL,
  version integer NOT NULL,
  fingerprint text NOT NULL,
  machine text NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (ns, fingerprint)
)
"""

_WINDOWS = (
    "CREATE INDEX seen_consumed ON continuum.seen (ns, consumed) WHERE consumed IS NOT NULL",
    "CREATE INDEX dead_at ON continuum.dead (ns, at)",
    "CREATE INDEX results_until ON continuum.results (ns, until)",
    "CREATE INDEX orders_given ON continuum.orders (ns, given)",
    "CREATE INDEX claims_at ON continuum.claims (ns, at)",
)

# --- 2: limits, rates and fairness of queues

# `wake` now also says of a task that nobody has when it is due, while that is to come: one that is put off
# is in no index that claims seek in, however many keys it has. A task without `wake` is ready.
_FAIRNESS = (
    """ALTER TABLE continuum.tasks ADD COLUMN fairness text COLLATE "C" NOT NULL DEFAULT ''""",
    f"UPDATE continuum.tasks SET wake = due WHERE NOT leased AND due > {CLOCK}",
    "DROP INDEX continuum.tasks_ready",
    "CREATE INDEX tasks_ready ON continuum.tasks (ns, queue, activity, priority, fairness, due) "
    "WHERE wake IS NULL",
    "CREATE INDEX tasks_later ON continuum.tasks (ns, queue, activity, wake) "
    "WHERE NOT leased AND wake IS NOT NULL",
)

# Of each queue whose claims come one after the other: the row they lock, and the bucket of its rate.
_QUEUES = """
CREATE TABLE continuum.queues (
  ns integer NOT NULL,
  level bigint,
  at bigint,
  per bigint,
  queue text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, queue)
) WITH (fillfactor = 50)
"""

# Whose turn it was. None: nobody's, or that of the key "".
_DEALT = """
CREATE TABLE continuum.dealt (
  ns integer NOT NULL,
  priority integer NOT NULL,
  queue text COLLATE "C" NOT NULL,
  last text COLLATE "C" NOT NULL,
  PRIMARY KEY (ns, queue, priority)
) WITH (fillfactor = 50)
"""

# --- 3: what a run costs that waits

# Without the run's id: runs of one batch have one `created`, and the entries of one value are stored as one
# (70 bytes a run were 9). Pages, which are in the order of (created, run id), sort what is of one time: a
# batch at most. No room is kept in the pages of runs: a waiting run paid for it (90 bytes), and of runs that
# take turns together, few found any.
_NARROW = (
    "DROP INDEX continuum.runs_open",
    "CREATE INDEX runs_open ON continuum.runs (ns, created) WHERE ended IS NULL",
    "DROP INDEX continuum.runs_closed",
    "CREATE INDEX runs_closed ON continuum.runs (ns, created) WHERE ended IS NOT NULL",
    "ALTER TABLE continuum.runs SET (fillfactor = 100)",
)

# --- 4: what runs are found by

# Keys are bytes that sort as their values do (`journal.attributes`). Read by run, and by key.
_ATTRIBUTES = (
    """
CREATE TABLE continuum.attributes (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  key bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, name, key)
)
""",
    # The condition always holds. Only searches state it, so that nothing else can go by this index, whatever
    # the planner believes.
    "CREATE INDEX attributes_keys ON continuum.attributes (ns, name, key, run_id) INCLUDE (shard) "
    "WHERE name <> ''",
)

# --- 5: past generations whose records are still there, and runs that are never pruned

_GENERATIONS = (
    """
CREATE TABLE continuum.generations (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  below bigint NOT NULL,
  over bigint NOT NULL,
  PRIMARY KEY (shard, ns, run_id, below)
)
""",
    "CREATE INDEX generations_over ON continuum.generations (ns, over, run_id, below)",
)

_ETERNAL = """
CREATE TABLE continuum.eternal (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  PRIMARY KEY (shard, ns, run_id)
)
"""

# --- 6: what came of members of crews

# Each by its number: no row that all of them would write.
_MEMBERS = """
CREATE TABLE continuum.members (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  token bigint NOT NULL,
  number integer NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, token, number)
)
"""

# --- 8: payloads that are kept apart

_BLOBS = (
    """
CREATE TABLE continuum.blobs (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  hash bytea NOT NULL,
  at bigint NOT NULL,
  snapshot bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (shard, ns, run_id, hash)
)
""",
    "CREATE INDEX blobs_at ON continuum.blobs (ns, at, run_id, hash)",
)

# --- 9: what pruning looks for, by machine, status and time, and eternal runs apart from it

# Pruning neither passes by what it is not asked for nor reads what it counts. Of most runs the column is
# NULL, which takes no room. The table above stays the authority: the release before writes it alone.
_APART = (
    "ALTER TABLE continuum.runs ADD COLUMN eternal boolean",
    "UPDATE continuum.runs r SET eternal = true FROM continuum.eternal e "
    "WHERE r.shard = e.shard AND r.ns = e.ns AND r.run_id = e.run_id",
    "DROP INDEX continuum.runs_ended",
    "CREATE INDEX runs_ended ON continuum.runs (ns, machine, status, ended, run_id) "
    "WHERE ended IS NOT NULL AND eternal IS NULL",
    "CREATE INDEX runs_eternal ON continuum.runs (ns, machine, status, ended) "
    "WHERE ended IS NOT NULL AND eternal",
)

# --- 10: departures by which runs came from other journals

# Known whatever became of the run, until it is forgotten.
_ARRIVALS = """
CREATE TABLE continuum.arrivals (
  shard smallint NOT NULL,
  ns integer NOT NULL,
  run_id uuid NOT NULL,
  departure uuid NOT NULL,
  PRIMARY KEY (shard, ns, run_id, departure)
)
"""

# --- 11: what is due at one time

# Claims read both in pages that end among ties, so ties have to have an order in the index: without it a
# claim would read and sort all of them.
_TIES = (
    "DROP INDEX continuum.deliveries_due",
    "CREATE INDEX deliveries_due ON continuum.deliveries (ns, due, id) WHERE held = 0",
    "DROP INDEX continuum.tasks_ready",
    "CREATE INDEX tasks_ready ON continuum.tasks "
    "(ns, queue, activity, priority, fairness, due, run_id, token, slot) WHERE wake IS NULL",
)

# --- 12: workers that are there

# A row is believed as long as a session holds the advisory lock of its number.
_WORKERS = """
CREATE TABLE continuum.workers (
  ns integer NOT NULL,
  lock bigint NOT NULL,
  at bigint NOT NULL,
  worker uuid NOT NULL,
  keys text[] NOT NULL,
  PRIMARY KEY (ns, worker)
)
"""

MIGRATIONS = (
    Migration(
        version=1,
        min_reader=1,
        statements=(
            _NAMESPACES,
            _RUNS,
            *_RUNS_INDEXES,
            _RECORDS,
            _DELIVERIES,
            _DELIVERIES_DUE,
            _SEEN,
            _DEAD,
            _TASKS,
            *_TASKS_INDEXES,
            _CLAIMS,
            _RESULTS,
            _ORDERS,
            _DEFINITIONS,
            *_WINDOWS,
        ),
    ),
    # The release before goes on: what it creates has the key "", what it puts off is passed over where it
    # is met. Its own claims keep to no limit, and sort what waits in the order of due times.
    Migration(version=2, min_reader=1, statements=(*_FAIRNESS, _QUEUES, _DEALT)),
    Migration(version=3, min_reader=1, statements=_NARROW),
    # The release before leaves attributes as they are: its turns change none.
    Migration(version=4, min_reader=1, statements=_ATTRIBUTES),
    # A release that does not know them writes none; it must not prune, for it would take what is eternal.
    Migration(version=5, min_reader=1, statements=(*_GENERATIONS, _ETERNAL)),
    # The release before writes no replies, and drops them with their ids.
    Migration(version=6, min_reader=1, statements=("ALTER TABLE continuum.seen ADD COLUMN reply bytea",)),
    # A release that knows no crews takes none of the machines that have them.
    Migration(version=7, min_reader=1, statements=(_MEMBERS,)),
    # A release that does not know blobs parks a run on the first reference that it meets, as on a payload of
    # a newer format; what it prunes leaves blobs behind, which a later pruning finds without a run.
    Migration(version=8, min_reader=1, statements=_BLOBS),
    # The release before prunes as it did, by no index. What it makes eternal is passed by one by one, and not
    # counted; where it lets an eternal run leave for another journal, the row that stays is never pruned.
    Migration(version=9, min_reader=1, statements=_APART),
    # The release before keeps no departure in mind: what it restores is known again by its records alone.
    Migration(version=10, min_reader=1, statements=(_ARRIVALS,)),
    # The release before reads them as it did, with ties: it finds its way in them by what they begin with.
    Migration(version=11, min_reader=1, statements=_TIES),
    # The release before goes on with reservations, which this one sees; those that only look do not see this
    # one's workers: `continuum health` of it may call their runs unclaimable.
    Migration(version=12, min_reader=1, statements=(_WORKERS,)),
)
"""Ascending by version, without gaps."""
