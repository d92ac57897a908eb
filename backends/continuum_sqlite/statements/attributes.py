"""Attributes of runs: written beside what carried them, read by run and by key."""

from __future__ import annotations

__all__ = ["ADD_ATTRIBUTE", "ATTRIBUTES_OF_RUN", "DROP_ATTRIBUTE", "DROP_ATTRIBUTES"]

ADD_ATTRIBUTE = "INSERT INTO continuum_attributes (namespace, run_id, name, key) VALUES (?1, ?2, ?3, ?4)"

DROP_ATTRIBUTE = "DELETE FROM continuum_attributes WHERE namespace = ?1 AND run_id = ?2 AND name = ?3"

DROP_ATTRIBUTES = "DELETE FROM continuum_attributes WHERE namespace = ?1 AND run_id = ?2"

ATTRIBUTES_OF_RUN = """
SELECT name, key FROM continuum_attributes WHERE namespace = ?1 AND run_id = ?2 ORDER BY name, key
"""
