"""Definitions of machines, as data."""

from __future__ import annotations

__all__ = ["ADD_DEFINITION", "DEFINITIONS"]

ADD_DEFINITION = """
INSERT INTO continuum_definitions (namespace, fingerprint, machine, version, body)
VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING
"""

DEFINITIONS = """
SELECT fingerprint, machine, version, body FROM continuum_definitions
WHERE namespace = ?1 ORDER BY machine, version, fingerprint
"""
