"""Operators' orders that were answered."""

from __future__ import annotations

__all__ = ["ANSWERED_ORDER", "NOTE_ORDER"]

ANSWERED_ORDER = """
SELECT outcome, status FROM continuum_orders WHERE namespace = ?1 AND id = ?2 AND given > ?3
"""

NOTE_ORDER = """
INSERT INTO continuum_orders (namespace, id, given, outcome, status) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET given = excluded.given, outcome = excluded.outcome, status = excluded.status
"""
