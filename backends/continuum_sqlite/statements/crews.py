"""What came of members of crews: written beside the turns that counted them, read in their order."""

from __future__ import annotations

__all__ = ["ADD_MEMBER", "ALL_MEMBERS", "DROP_MEMBERS", "MEMBERS"]

ADD_MEMBER = """
INSERT INTO continuum_members (namespace, run_id, token, number, body) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO NOTHING
"""

MEMBERS = """
SELECT number, body FROM continuum_members
WHERE namespace = ?1 AND run_id = ?2 AND token = ?3 AND number > ?4 ORDER BY number LIMIT ?5 + 0
"""

ALL_MEMBERS = """
SELECT token, number, body FROM continuum_members WHERE namespace = ?1 AND run_id = ?2 ORDER BY token, number
"""

DROP_MEMBERS = "DELETE FROM continuum_members WHERE namespace = ?1 AND run_id = ?2"
