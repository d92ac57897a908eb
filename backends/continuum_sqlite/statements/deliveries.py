"""Deliveries, the ids they were seen under, and dead letters."""

from __future__ import annotations

__all__ = [
    "ADD_DEAD",
    "ADD_DELIVERY",
    "CANCEL_PENDING",
    "CLOSE_TIMERS",
    "CONSUME",
    "DEFERRED",
    "DUE_ENTRIES",
    "DUE_IDS",
    "DUE_OF_RUN",
    "EMPTY_RUN",
    "HAS_DUE",
    "HOLD",
    "NEXT_DUE",
    "NOTE_SEEN",
    "PENDING_COUNT",
    "PENDING_DUE",
    "PENDING_START",
    "REPLIED",
    "REPLY",
    "SEEN",
    "SEE_CONSUMED",
    "UNHOLD",
]

_COLUMNS = "id, run_id, kind, payload, due, token, slot, dedupe, held, cause"

# --- in

ADD_DELIVERY = """
INSERT INTO continuum_deliveries (
  namespace, run_id, id, due, kind, held, token, slot, dedupe, cause, payload
) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING
"""

PENDING_DUE = "SELECT due FROM continuum_deliveries WHERE namespace = ?1 AND run_id = ?2 AND id = ?3"

# Two covering indexes rather than the rows, whose payloads may be large.
PENDING_COUNT = """
SELECT (SELECT count(*) FROM continuum_deliveries INDEXED BY continuum_deliveries_free
        WHERE namespace = ?1 AND run_id = ?2 AND held = 0)
     + (SELECT count(*) FROM continuum_deliveries INDEXED BY continuum_deliveries_held
        WHERE namespace = ?1 AND run_id = ?2 AND held <> 0)
"""

# `consumed` is NULL while the delivery is pending: its window has not begun.
SEEN = """
SELECT 1 FROM continuum_seen
WHERE namespace = ?1 AND run_id = ?2 AND dedupe = ?3 AND (consumed IS NULL OR consumed > ?4)
"""

NOTE_SEEN = """
INSERT INTO continuum_seen (namespace, run_id, dedupe, consumed) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET consumed = excluded.consumed, reply = NULL
"""

SEE_CONSUMED = """
UPDATE continuum_seen SET consumed = ?4 WHERE namespace = ?1 AND run_id = ?2 AND dedupe = ?3
"""

REPLY = "UPDATE continuum_seen SET reply = ?4 WHERE namespace = ?1 AND run_id = ?2 AND dedupe = ?3"

REPLIED = """
SELECT consumed, reply FROM continuum_seen
WHERE namespace = ?1 AND run_id = ?2 AND dedupe = ?3 AND (consumed IS NULL OR consumed > ?4)
"""

# --- claims

# CROSS JOIN fixes the order: from the index of due deliveries to their runs, row by row as it is read.
DUE_ENTRIES = """
SELECT d.due, d.id, d.run_id, r.status, r.lease_until, r.tries, r.fingerprint, d.kind, d.token
FROM continuum_deliveries AS d INDEXED BY continuum_deliveries_due
CROSS JOIN continuum_runs AS r ON r.namespace = ?1 AND r.run_id = d.run_id
WHERE d.namespace = ?1 AND d.held = 0 AND (d.due, d.id) >= (?2, ?4) AND d.due <= ?3
ORDER BY d.due, d.id
"""

NEXT_DUE = """
SELECT min(due) FROM continuum_deliveries INDEXED BY continuum_deliveries_due
WHERE namespace = ?1 AND held = 0 AND due > ?2
"""

DUE_OF_RUN = f"""
SELECT {_COLUMNS} FROM continuum_deliveries INDEXED BY continuum_deliveries_free
WHERE namespace = ?1 AND run_id = ?2 AND held = 0 AND due <= ?3 ORDER BY due, id LIMIT ?4 + 0
"""

# How many are asked for depends on what a turn consumes; what tells is in the index, but for the ids.
DUE_IDS = """
SELECT id FROM continuum_deliveries INDEXED BY continuum_deliveries_free
WHERE namespace = ?1 AND run_id = ?2 AND held = 0 AND due <= ?3 LIMIT ?4 + 0
"""

HAS_DUE = """
SELECT 1 FROM continuum_deliveries INDEXED BY continuum_deliveries_free
WHERE namespace = ?1 AND run_id = ?2 AND held = 0 AND due <= ?3 LIMIT 1
"""

DEFERRED = """
SELECT 1 FROM continuum_deliveries INDEXED BY continuum_deliveries_held
WHERE namespace = ?1 AND run_id = ?2 AND held <> 0 AND held = 1 LIMIT 1
"""

# --- out, and held

CONSUME = """
DELETE FROM continuum_deliveries WHERE namespace = ?1 AND run_id = ?2 AND id = ?3 RETURNING dedupe
"""

HOLD = "UPDATE continuum_deliveries SET held = ?4 WHERE namespace = ?1 AND run_id = ?2 AND id = ?3"

UNHOLD = """
UPDATE continuum_deliveries INDEXED BY continuum_deliveries_held SET held = 0
WHERE namespace = ?1 AND run_id = ?2 AND held <> 0 AND held = ?3
"""

CLOSE_TIMERS = """
DELETE FROM continuum_deliveries INDEXED BY continuum_deliveries_timers
WHERE namespace = ?1 AND run_id = ?2 AND token = ?3 AND kind = 2 RETURNING dedupe
"""

CANCEL_PENDING = """
SELECT 1 FROM continuum_deliveries INDEXED BY continuum_deliveries_free
WHERE namespace = ?1 AND run_id = ?2 AND held = 0 AND kind = 4 LIMIT 1
"""

PENDING_START = "SELECT id FROM continuum_deliveries WHERE namespace = ?1 AND run_id = ?2 AND kind = 0"

EMPTY_RUN = f"DELETE FROM continuum_deliveries WHERE namespace = ?1 AND run_id = ?2 RETURNING {_COLUMNS}"

ADD_DEAD = """
INSERT INTO continuum_dead (
  namespace, run_id, id, due, kind, token, slot, dedupe, cause, payload, reason, at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING
"""
