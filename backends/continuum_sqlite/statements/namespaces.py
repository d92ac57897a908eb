"""Namespaces: their names, and the numbers that stand for them in every other table."""

from __future__ import annotations

__all__ = ["ADD_NAMESPACE", "NAMESPACE"]

NAMESPACE = "SELECT id FROM continuum_namespaces WHERE name = ?1"

ADD_NAMESPACE = "INSERT INTO continuum_namespaces (name) VALUES (?1) ON CONFLICT DO NOTHING"
