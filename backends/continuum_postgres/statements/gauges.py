"""What is counted to tell how much waits; each reads so many rows at most."""

from __future__ import annotations

from continuum_postgres.statements import CLOCK

__all__ = ["DUE", "STATUSES", "TASKS"]

# The clock by itself is read for each row, and ends no stretch of an index: all that wait would be read.
DUE = f"""
SELECT due FROM continuum.deliveries WHERE ns = $1::integer AND held = 0 AND due <= (SELECT {CLOCK})
ORDER BY due LIMIT $2::bigint
"""

STATUSES = """
SELECT status, count(*) FROM (
  SELECT status FROM continuum.runs
  WHERE ns = $1::integer AND status > 1 AND status IN (5, 6) LIMIT $2::bigint
) r GROUP BY status
"""

TASKS = """
SELECT queue, activity, due, lease_until FROM continuum.tasks WHERE ns = $1::integer LIMIT $2::bigint
"""
