"""Every version of the schema, as plain SQL: the authority over what is in the file.

Rule: a published migration is never edited; the next one is appended. It expands first (new tables,
columns with defaults) and keeps `min_reader` where it was, so that the release before may go on using
the file; only a later one, when nobody needs the old shape, contracts and raises `min_reader`.

Shapes: ids are 16-byte blobs, times INTEGER microseconds, `namespace` a small number that every table
has and every predicate names. Wide rows that are updated in place (runs, records, results) are rowid
tables; narrow or short-lived ones are WITHOUT ROWID, one B-tree less.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["MIGRATIONS", "Migration"]


@frozen
class Migration:
    """One step of the schema.

    :ivar version: of the schema after it.
    :ivar min_reader: the oldest schema version whose code may use the file afterwards.
    """

    version: int
    min_reader: int
    statements: tuple[str, ...]


_NAMESPACES = """
CREATE TABLE continuum_namespaces (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT
"""

_RUNS = """
CREATE TABLE continuum_runs (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  machine TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  key TEXT,
  digest BLOB NOT NULL,
  generation INTEGER NOT NULL,
  version INTEGER NOT NULL,
  status INTEGER NOT NULL,
  cause TEXT NOT NULL,
  fence INTEGER NOT NULL,
  lease_until INTEGER,
  claim_id BLOB,
  commit_id BLOB,
  tries INTEGER NOT NULL,
  parent BLOB,
  root BLOB,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  snapshot BLOB NOT NULL,
  outcome BLOB,
  PRIMARY KEY (namespace, run_id)
) STRICT
"""

_RUNS_INDEXES = (
    "CREATE INDEX continuum_runs_created ON continuum_runs (namespace, created, run_id)",
    "CREATE INDEX continuum_runs_status ON continuum_runs (namespace, status, created, run_id)",
    "CREATE INDEX continuum_runs_parent ON continuum_runs (namespace, parent, created, run_id) "
    "WHERE parent IS NOT NULL",
    # for pruning: an entry is made once, when the run ends
    "CREATE INDEX continuum_runs_ended ON continuum_runs (namespace, updated, run_id) "
    "WHERE status BETWEEN 1 AND 4",
    # for a repeated claim: only leased runs are in it
    "CREATE INDEX continuum_runs_claimed ON continuum_runs (namespace, claim_id) WHERE claim_id IS NOT NULL",
)

_RECORDS = """
CREATE TABLE continuum_records (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  at INTEGER NOT NULL,
  cause BLOB NOT NULL,
  commit_id BLOB NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, version)
) STRICT
"""

_DELIVERIES = """
CREATE TABLE continuum_deliveries (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  id BLOB NOT NULL,
  due INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  held INTEGER NOT NULL,
  token INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  dedupe TEXT,
  cause BLOB,
  payload BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, id)
) STRICT, WITHOUT ROWID
"""

_DELIVERIES_INDEXES = (
    # what claims read: entries of (due, id, run id), of free deliveries alone
    "CREATE INDEX continuum_deliveries_due ON continuum_deliveries (namespace, due, id) WHERE held = 0",
    # a run's own queue, in (due, id) order
    "CREATE INDEX continuum_deliveries_free ON continuum_deliveries (namespace, run_id, due) WHERE held = 0",
    "CREATE INDEX continuum_deliveries_held ON continuum_deliveries (namespace, run_id) WHERE held <> 0",
    # timers of a token that closes; signals, however many wait, are not in it
    "CREATE INDEX continuum_deliveries_timers ON continuum_deliveries (namespace, run_id, token) "
    "WHERE kind = 2",
)

_SEEN = """
CREATE TABLE continuum_seen (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  dedupe TEXT NOT NULL,
  consumed INTEGER,
  PRIMARY KEY (namespace, run_id, dedupe)
) STRICT, WITHOUT ROWID
"""

_DEAD = """
CREATE TABLE continuum_dead (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  id BLOB NOT NULL,
  due INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  token INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  dedupe TEXT,
  cause BLOB,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, id)
) STRICT
"""

_TASKS = """
CREATE TABLE continuum_tasks (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  token INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  activity TEXT NOT NULL,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  due INTEGER NOT NULL,
  scheduled INTEGER NOT NULL,
  key TEXT,
  undo INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  reported INTEGER NOT NULL,
  lease_until INTEGER,
  claim_id BLOB,
  cancel INTEGER NOT NULL,
  payload BLOB NOT NULL,
  details BLOB,
  failure BLOB,
  PRIMARY KEY (namespace, run_id, token, slot)
) STRICT, WITHOUT ROWID
"""

_TASKS_INDEXES = (
    "CREATE INDEX continuum_tasks_ready ON continuum_tasks (namespace, queue, activity, priority, due) "
    "WHERE lease_until IS NULL",
    "CREATE INDEX continuum_tasks_leased ON continuum_tasks (namespace, queue, activity, lease_until) "
    "WHERE lease_until IS NOT NULL",
    "CREATE INDEX continuum_tasks_claimed ON continuum_tasks (namespace, claim_id) "
    "WHERE claim_id IS NOT NULL",
)

_RESULTS = """
CREATE TABLE continuum_results (
  namespace INTEGER NOT NULL,
  activity TEXT NOT NULL,
  key TEXT NOT NULL,
  run_id BLOB NOT NULL,
  token INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  until INTEGER NOT NULL,
  result BLOB,
  PRIMARY KEY (namespace, activity, key)
) STRICT
"""

_ORDERS = """
CREATE TABLE continuum_orders (
  namespace INTEGER NOT NULL,
  id BLOB NOT NULL,
  given INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER,
  PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID
"""

_DEFINITIONS = """
CREATE TABLE continuum_definitions (
  namespace INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  machine TEXT NOT NULL,
  version INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (namespace, fingerprint)
) STRICT
"""

_WINDOWS = (
    "CREATE INDEX continuum_seen_consumed ON continuum_seen (namespace, consumed) WHERE consumed IS NOT NULL",
    "CREATE INDEX continuum_dead_at ON continuum_dead (namespace, at)",
    "CREATE INDEX continuum_results_until ON continuum_results (namespace, until)",
    "CREATE INDEX continuum_orders_given ON continuum_orders (namespace, given)",
)

_FAIRNESS = "ALTER TABLE continuum_tasks ADD COLUMN fairness TEXT NOT NULL DEFAULT ''"

# Tasks are dealt by fairness key. `continuum_tasks_ready` stays beside it: it tells what is due at all,
# and when the next task will be, whatever their keys.
_TASKS_DEALT = (
    "CREATE INDEX continuum_tasks_dealt ON continuum_tasks "
    "(namespace, queue, activity, priority, fairness, due) WHERE lease_until IS NULL",
    # asked to stop while nobody had them: nearly always empty
    "CREATE INDEX continuum_tasks_unneeded ON continuum_tasks (namespace, queue, activity, due) "
    "WHERE lease_until IS NULL AND cancel = 1 AND undo = 0",
)

_BUCKETS = """
CREATE TABLE continuum_buckets (
  namespace INTEGER NOT NULL,
  queue TEXT NOT NULL,
  level INTEGER NOT NULL,
  at INTEGER NOT NULL,
  per INTEGER NOT NULL,
  PRIMARY KEY (namespace, queue)
) STRICT, WITHOUT ROWID
"""

_DEALT = """
CREATE TABLE continuum_dealt (
  namespace INTEGER NOT NULL,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  fairness TEXT NOT NULL,
  PRIMARY KEY (namespace, queue, priority)
) STRICT, WITHOUT ROWID
"""

# What runs are found by. Keys are bytes that sort as their values do (`journal.attributes`).
_ATTRIBUTES = (
    """
CREATE TABLE continuum_attributes (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  name TEXT NOT NULL,
  key BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, name, key)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX continuum_attributes_keys ON continuum_attributes (namespace, name, key, run_id)",
)

# Past generations whose records are still there, by the version below which they are.
_GENERATIONS = (
    """
CREATE TABLE continuum_generations (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  below INTEGER NOT NULL,
  over INTEGER NOT NULL,
  PRIMARY KEY (namespace, run_id, below)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX continuum_generations_over ON continuum_generations (namespace, over)",
)

# Runs that are never pruned.
_ETERNAL = """
CREATE TABLE continuum_eternal (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id)
) STRICT, WITHOUT ROWID
"""

# What came of members of crews, each by its number: no row that all of them would write.
_MEMBERS = """
CREATE TABLE continuum_members (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  token INTEGER NOT NULL,
  number INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, token, number)
) STRICT, WITHOUT ROWID
"""

# Payloads that are kept apart. What pruning writes (`at`) is in a table beside them: it is not to copy them.
_BLOBS = (
    """
CREATE TABLE continuum_blobs (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  hash BLOB NOT NULL,
  at INTEGER NOT NULL,
  snapshot INTEGER NOT NULL,
  PRIMARY KEY (namespace, run_id, hash)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX continuum_blobs_at ON continuum_blobs (namespace, at, run_id, hash)",
    """
CREATE TABLE continuum_blob_data (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  hash BLOB NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, hash)
) STRICT
""",
)

# What pruning looks for, by machine, status and time, and eternal runs apart from it: it neither passes by
# what it is not asked for nor reads what it counts. Of most runs the column is NULL. An entry of these
# indexes is made once, when the run ends. The table above stays the authority: the release before writes it
# alone.
_APART = (
    "ALTER TABLE continuum_runs ADD COLUMN eternal INTEGER",
    "UPDATE continuum_runs SET eternal = 1 WHERE (namespace, run_id) IN "
    "(SELECT namespace, run_id FROM continuum_eternal)",
    "DROP INDEX continuum_runs_ended",
    "CREATE INDEX continuum_runs_ended ON continuum_runs (namespace, machine, status, updated, run_id) "
    "WHERE status IN (1, 2, 3, 4) AND eternal IS NULL",
    "CREATE INDEX continuum_runs_eternal ON continuum_runs (namespace, machine, status, updated) "
    "WHERE status IN (1, 2, 3, 4) AND eternal = 1",
)

# By which departures runs came from other journals: known whatever became of the run, until it is forgotten.
_ARRIVALS = """
CREATE TABLE continuum_arrivals (
  namespace INTEGER NOT NULL,
  run_id BLOB NOT NULL,
  departure BLOB NOT NULL,
  PRIMARY KEY (namespace, run_id, departure)
) STRICT, WITHOUT ROWID
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
            *_DELIVERIES_INDEXES,
            _SEEN,
            _DEAD,
            _TASKS,
            *_TASKS_INDEXES,
            _RESULTS,
            _ORDERS,
            _DEFINITIONS,
            *_WINDOWS,
        ),
    ),
    # Limits and fairness of queues. A release that does not know them may go on using the file: what it
    # creates has the fairness key "", and its own claims keep to no limit.
    Migration(version=2, min_reader=1, statements=(_FAIRNESS, *_TASKS_DEALT, _BUCKETS, _DEALT)),
    # A release that does not know attributes leaves them as they are: its turns change none.
    Migration(version=3, min_reader=1, statements=_ATTRIBUTES),
    # Generations and eternal runs. A release that does not know them writes none; it must not prune, for it
    # would take what is eternal.
    Migration(version=4, min_reader=1, statements=(*_GENERATIONS, _ETERNAL)),
    # A release that does not know replies writes none, and drops them with their ids.
    Migration(version=5, min_reader=1, statements=("ALTER TABLE continuum_seen ADD COLUMN reply BLOB",)),
    # A release that knows no crews takes none of the machines that have them.
    Migration(version=6, min_reader=1, statements=(_MEMBERS,)),
    # A release that does not know blobs parks a run on the first reference that it meets, as on a payload of
    # a newer format; what it prunes leaves blobs behind, which a later pruning finds without a run.
    Migration(version=7, min_reader=1, statements=_BLOBS),
    # The release before prunes no runs any more: its statement asks for the index as it was, and fails. What
    # it makes eternal is passed by one by one, and not counted.
    Migration(version=8, min_reader=1, statements=_APART),
    # The release before keeps no departure in mind: what it restores is known again by its records alone.
    Migration(version=9, min_reader=1, statements=(_ARRIVALS,)),
)
"""Ascending by version, without gaps."""
