"""Runs and their records."""

from __future__ import annotations

__all__ = [
    "ADD_RECORD",
    "ADD_RUN",
    "BEGIN_GENERATION",
    "CLAIMED_RUNS",
    "END_RUN",
    "ETERNAL",
    "EXISTING_START",
    "HEAD",
    "HISTORY",
    "LAST_RECORD_AT",
    "LEASE_RUN",
    "MAKE_ETERNAL",
    "NOTE_GENERATION",
    "ORDER_RUN",
    "RECORD_COMMIT",
    "RELEASE_RUN",
    "RENEW_RUN",
    "RUN",
    "RUN_COLUMNS",
    "SET_DIGEST",
    "TURN_RUN",
    "WAKE_RUN",
]

RUN_COLUMNS = (
    "run_id, machine, fingerprint, key, digest, generation, version, status, cause, snapshot, outcome, "
    "fence, lease_until, claim_id, commit_id, tries, parent, root, created, updated"
)

RUN = f"SELECT {RUN_COLUMNS} FROM continuum_runs WHERE namespace = ?1 AND run_id = ?2"

HEAD = """
SELECT version, status, fence, lease_until, commit_id, tries, machine
FROM continuum_runs WHERE namespace = ?1 AND run_id = ?2
"""

# --- start

EXISTING_START = "SELECT digest, status FROM continuum_runs WHERE namespace = ?1 AND run_id = ?2"

ADD_RUN = """
INSERT INTO continuum_runs (
  namespace, run_id, machine, fingerprint, key, digest, parent, root, created, updated,
  generation, version, status, cause, fence, tries, snapshot
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 0, 0, 0, '', 0, 0, x'')
"""

# --- commit

# A run that goes on: `status` stays out of SET, so that its index is left alone.
TURN_RUN = """
UPDATE continuum_runs SET version = ?3, fingerprint = ?4, cause = ?5, snapshot = ?6, outcome = ?7,
  commit_id = ?8, updated = ?9, tries = 0, lease_until = NULL, claim_id = NULL
WHERE namespace = ?1 AND run_id = ?2
"""

END_RUN = """
UPDATE continuum_runs SET version = ?3, fingerprint = ?4, cause = ?5, snapshot = ?6, outcome = ?7,
  commit_id = ?8, updated = ?9, tries = ?10, status = ?11, fence = ?12, lease_until = NULL, claim_id = NULL
WHERE namespace = ?1 AND run_id = ?2
"""

BEGIN_GENERATION = """
UPDATE continuum_runs SET generation = generation + 1 WHERE namespace = ?1 AND run_id = ?2
"""

# Of an eternal run no past generation is ever pruned.
NOTE_GENERATION = """
INSERT INTO continuum_generations (namespace, run_id, below, over)
SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
  SELECT 1 FROM continuum_eternal WHERE namespace = ?1 AND run_id = ?2)
"""

ETERNAL = "SELECT 1 FROM continuum_eternal WHERE namespace = ?1 AND run_id = ?2"

MAKE_ETERNAL = (
    "INSERT INTO continuum_eternal (namespace, run_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    # its row says so too, for the indexes that pruning goes by
    "UPDATE continuum_runs SET eternal = 1 WHERE namespace = ?1 AND run_id = ?2",
    "DELETE FROM continuum_generations WHERE namespace = ?1 AND run_id = ?2",
)

ADD_RECORD = """
INSERT INTO continuum_records (namespace, run_id, version, kind, at, cause, commit_id, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
"""

RECORD_COMMIT = """
SELECT commit_id FROM continuum_records WHERE namespace = ?1 AND run_id = ?2 AND version = ?3
"""

LAST_RECORD_AT = """
SELECT at FROM continuum_records WHERE namespace = ?1 AND run_id = ?2 AND version <= ?3
ORDER BY version DESC LIMIT 1
"""

HISTORY = """
SELECT run_id, version, kind, at, cause, commit_id, body FROM continuum_records
WHERE namespace = ?1 AND run_id = ?2 AND version > ?3 ORDER BY version LIMIT ?4 + 0
"""

# --- claims and leases

_CLAIM_COLUMNS = (
    "run_id, machine, fingerprint, generation, version, fence, commit_id, snapshot, tries, lease_until, "
    "parent, root"
)

CLAIMED_RUNS = f"""
SELECT {_CLAIM_COLUMNS} FROM continuum_runs INDEXED BY continuum_runs_claimed
WHERE namespace = ?1 AND claim_id = ?2
"""

LEASE_RUN = f"""
UPDATE continuum_runs SET fence = max(fence + 1, ?3), lease_until = ?4, claim_id = ?5, tries = tries + 1
WHERE namespace = ?1 AND run_id = ?2 RETURNING {_CLAIM_COLUMNS}
"""

WAKE_RUN = """
UPDATE continuum_runs SET status = 0, cause = '', tries = min(tries, 2) WHERE namespace = ?1 AND run_id = ?2
"""

RENEW_RUN = """
UPDATE continuum_runs SET lease_until = ?4
WHERE namespace = ?1 AND run_id = ?2 AND fence = ?3 AND lease_until IS NOT NULL
"""

RELEASE_RUN = """
UPDATE continuum_runs SET lease_until = NULL, claim_id = NULL, tries = max(tries - 1, 0)
WHERE namespace = ?1 AND run_id = ?2 AND fence = ?3 AND lease_until IS NOT NULL
"""

# --- orders

SET_DIGEST = "UPDATE continuum_runs SET digest = ?3 WHERE namespace = ?1 AND run_id = ?2"

ORDER_RUN = """
UPDATE continuum_runs SET version = ?3, status = ?4, cause = coalesce(?5, cause), outcome = ?6,
  commit_id = ?7,
  fence = max(fence + 1, ?8), updated = ?8, tries = min(tries, 2), lease_until = NULL, claim_id = NULL
WHERE namespace = ?1 AND run_id = ?2
"""
