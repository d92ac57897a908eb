"""What is counted to tell how much waits; each reads so many rows at most."""

from __future__ import annotations

__all__ = ["DUE", "IN_STATUS", "TASKS"]

DUE = """
SELECT due FROM continuum_deliveries INDEXED BY continuum_deliveries_due
WHERE namespace = ?1 AND held = 0 AND due <= ?2 ORDER BY due LIMIT ?3 + 0
"""

IN_STATUS = """
SELECT count(*) FROM (
  SELECT 1 FROM continuum_runs INDEXED BY continuum_runs_status
  WHERE namespace = ?1 AND status = ?2 LIMIT ?3 + 0
)
"""

TASKS = """
SELECT queue, activity, due, lease_until FROM continuum_tasks WHERE namespace = ?1 LIMIT ?2 + 0
"""
