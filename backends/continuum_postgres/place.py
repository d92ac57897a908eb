"""What a URL says: which server and database, which schema, and how we behave there.

Rule: options that are ours are taken out of the query; all others are libpq's and reach it untouched.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from attrs import frozen
from psycopg import conninfo

from continuum_core.errors import IncompatibleJournal

__all__ = ["Place", "parse"]

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_YES = {
    "yes": True,
    "true": True,
    "1": True,
    "on": True,
    "no": False,
    "false": False,
    "0": False,
    "off": False,
}

_STEADY = "-c jit=off -c enable_seqscan=off"
"""Keeps the planner from scanning a table that its statistics, taken while it was empty, call small."""

_BOUNDED = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
"""Bounds every wait for a lock, and how long a worker that hangs may keep one."""

_DEFAULTS = {
    "application_name": "continuum",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
}


@frozen
class Place:
    """A schema of a database.

    :ivar conninfo: libpq's connection string; it may hold a password.
    :ivar schema: a plain identifier.
    :ivar pooled: a transaction-pooling proxy is in between: nothing is prepared or set per session.
    :ivar listen: libpq's connection string for LISTEN, which needs a session; None where none can be had.
    :ivar shown: the place as people may see it, without a password.
    """

    conninfo: str
    schema: str
    pooled: bool
    listen: str | None
    shown: str


def parse(url: str) -> Place:
    """Raises IncompatibleJournal for a URL that is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise IncompatibleJournal(
            f"{parts.scheme}: is not a URL of PostgreSQL; write postgresql://host/database"
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = query.pop("schema", "continuum")
    if not _IDENTIFIER.match(schema):
        raise IncompatibleJournal(
            f"schema={schema!r} is not a plain name; use small letters, digits and underscores"
        )
    pooled = _switch("pgbouncer", query.pop("pgbouncer", "no"))
    listen = query.pop("listen", None)
    plain = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, quote_via=quote), ""))
    target = _conninfo(plain, pooled)
    if listen is not None:
        direct: str | None = _conninfo(listen, pooled=False)
    else:
        direct = None if pooled else target
    return Place(target, schema, pooled, direct, _shown(target, schema))


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _YES:
        raise IncompatibleJournal(f"{name}={value!r} is neither yes nor no")
    return _YES[value.lower()]


def _conninfo(url: str, pooled: bool) -> str:
    try:
        given = conninfo.conninfo_to_dict(url)
        settings = {**_DEFAULTS, **given}
        if not pooled:  # a pooling proxy refuses options at startup, and would share what is set later
            settings["options"] = " ".join(filter(None, (_STEADY, _BOUNDED, str(given.get("options") or ""))))
        return conninfo.make_conninfo("", **settings)
    except Exception as error:  # libpq's own sentence, which names the option
        raise IncompatibleJournal(f"the URL is not one that libpq understands: {error}") from None


def _shown(target: str, schema: str) -> str:
    known = conninfo.conninfo_to_dict(target)
    host = known.get("host") or known.get("hostaddr") or "local socket"
    return f"{known.get('dbname') or 'the default database'} on {host}, schema {schema}"
