"""Payloads that are kept apart: their bytes, and beside them when they were put and what for."""

from __future__ import annotations

from continuum_core.journal.blobs import HASH_AT, REFERENCE

__all__ = [
    "BLOB",
    "COUNT_BLOBS_OF_ENDED",
    "DROP_BLOB",
    "DROP_BLOBS_OF_ENDED",
    "DROP_SUPERSEDED",
    "HELD",
    "KEEP_BLOB",
    "KEEP_DATA",
    "LOOKED",
    "STALE",
]

# Bytes that are there are not written again.
KEEP_DATA = """
INSERT INTO continuum_blob_data (namespace, run_id, hash, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING
"""

KEEP_BLOB = """
INSERT INTO continuum_blobs (namespace, run_id, hash, at, snapshot) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET at = excluded.at, snapshot =
  CASE WHEN snapshot = 0 OR excluded.snapshot = 0 THEN 0 ELSE max(snapshot, excluded.snapshot) END
"""

BLOB = "SELECT data FROM continuum_blob_data WHERE namespace = ?1 AND run_id = ?2 AND hash = ?3"

_OF_RUN = "namespace = ?1 AND run_id = ?2"


def _refers(payload: str) -> str:
    """The condition that a payload is a reference."""
    begins = f"substr({payload}, 1, {len(REFERENCE)}) = x'{REFERENCE.hex()}'"
    return f"(length({payload}) = {HASH_AT + 32} AND {begins})"


def _hash_in(reference: str) -> str:
    return f"substr({reference}, {HASH_AT + 1})"


def _drop(condition: str) -> tuple[str, str]:
    """The two deletions: bytes first, for what stands beside them says which."""
    found = (
        f"SELECT b.hash FROM continuum_blobs AS b WHERE b.namespace = ?1 AND b.run_id = ?2 AND {condition}"
    )
    return (
        f"DELETE FROM continuum_blob_data WHERE {_OF_RUN} AND hash IN ({found})",
        f"DELETE FROM continuum_blobs WHERE {_OF_RUN} AND hash IN ({found})",
    )


# Of a run: what was put for the snapshots of earlier versions than it has, and is not its present one.
DROP_SUPERSEDED = _drop(f"""
b.snapshot > 0 AND EXISTS (
  SELECT 1 FROM continuum_runs AS r WHERE r.namespace = ?1 AND r.run_id = ?2 AND b.snapshot < r.version
    AND NOT ({_refers("r.snapshot")} AND {_hash_in("r.snapshot")} = b.hash))
""")

# Of a run that has ended: what was put before.
_OF_ENDED = """
b.at <= (SELECT r.updated FROM continuum_runs AS r WHERE r.namespace = ?1 AND r.run_id = ?2)
"""
COUNT_BLOBS_OF_ENDED = f"""
SELECT count(*) FROM continuum_blobs AS b WHERE b.namespace = ?1 AND b.run_id = ?2 AND {_OF_ENDED}
"""
DROP_BLOBS_OF_ENDED = _drop(_OF_ENDED)

# Parameters: namespace; the time up to which blobs are looked at; time, run, hash of the last one; how many.
STALE = """
SELECT at, run_id, hash FROM continuum_blobs INDEXED BY continuum_blobs_at
WHERE namespace = ?1 AND at <= ?2 AND (at, run_id, hash) > (?3, ?4, ?5)
ORDER BY at, run_id, hash LIMIT ?6 + 0
"""

# The hashes that rows of a run refer to, be the run there or not.
HELD = f"""
SELECT {_hash_in("payload")} FROM (
  SELECT snapshot AS payload FROM continuum_runs WHERE {_OF_RUN}
  UNION ALL SELECT outcome FROM continuum_runs WHERE {_OF_RUN}
  UNION ALL SELECT body FROM continuum_records WHERE {_OF_RUN}
  UNION ALL SELECT payload FROM continuum_deliveries WHERE {_OF_RUN}
  UNION ALL SELECT payload FROM continuum_tasks WHERE {_OF_RUN}
  UNION ALL SELECT details FROM continuum_tasks WHERE {_OF_RUN}
  UNION ALL SELECT failure FROM continuum_tasks WHERE {_OF_RUN}
  UNION ALL SELECT payload FROM continuum_dead WHERE {_OF_RUN}
  UNION ALL SELECT body FROM continuum_members WHERE {_OF_RUN}
) WHERE {_refers("payload")}
"""

DROP_BLOB = (
    f"DELETE FROM continuum_blob_data WHERE {_OF_RUN} AND hash = ?3",
    f"DELETE FROM continuum_blobs WHERE {_OF_RUN} AND hash = ?3",
)

LOOKED = f"UPDATE continuum_blobs SET at = ?4 WHERE {_OF_RUN} AND hash = ?3"
