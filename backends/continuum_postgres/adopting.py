"""Tells pools and engines from other objects, without importing what may not be installed.

Rule: whoever hands one in has imported its library, and a class names its module. So nothing of
psycopg_pool or SQLAlchemy is loaded for those who use neither.
"""

from __future__ import annotations

import importlib
from typing import Any

from continuum_core.errors import UsageError
from continuum_postgres.source import Engine, Pool, Source

__all__ = ["source_of"]

_POOLS = {("psycopg_pool", "ConnectionPool"), ("psycopg_pool", "AsyncConnectionPool")}
_ENGINES = {("sqlalchemy", "Engine"), ("sqlalchemy", "AsyncEngine")}


def source_of(target: Any) -> Source | None:
    """How a pool or an engine makes connections; None for any other object.

    Raises UsageError for an engine whose driver is not psycopg: its connections are of no use here.
    """
    classes = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(target).__mro__}
    if classes & _POOLS:
        return Pool(target)
    if not classes & _ENGINES:
        return None
    dialect = target.dialect
    if (dialect.name, dialect.driver) not in {("postgresql", "psycopg"), ("postgresql", "psycopg_async")}:
        raise UsageError(
            f"the engine is on {dialect.name}+{dialect.driver}; a journal takes one on postgresql+psycopg "
            "(as create_engine or create_async_engine make it), a psycopg_pool, or a URL"
        )
    if ("sqlalchemy", "AsyncEngine") in classes:
        return Engine(target, importlib.import_module("sqlalchemy.util").greenlet_spawn)
    return Engine(target)
