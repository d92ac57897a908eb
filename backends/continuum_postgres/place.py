"""What a URL says: which server and database, which schema, and how we behave there.

Rule: options that are ours are taken out of the query; all others are libpq's and reach it untouched. A
pool or an engine that is handed in is a place as well, whose options are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from attrs import frozen
from psycopg import conninfo

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.connect import wakeups
from continuum_core.journal.wakeups import Topic, Wakeups
from continuum_postgres.source import BOUNDED, LASTING, STEADY, Conninfo, Source

__all__ = ["OPTIONS", "Place", "parse", "place_of"]

OPTIONS = frozenset({"schema", "pgbouncer", "listen", "migrate", "history", "wakeups"})
"""What is ours in a URL's query."""

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

_DEFAULTS = {
    "application_name": "continuum",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
}


@frozen
class Place:
    """A schema of a database.

    :ivar source: makes connections.
    :ivar schema: a plain identifier.
    :ivar pooled: a transaction-pooling proxy is in between: nothing is set per session.
    :ivar prepares: statements may be prepared: no such proxy is in between, or one that keeps them for each
        of its clients.
    :ivar listen: makes connections for LISTEN, which needs a session; None where none can be had.
    :ivar migrates: opening brings the schema to this release's version.
    :ivar accepts: a server that has forgotten what it acknowledged is gone on with.
    :ivar hints: makes what carries hints in the place of NOTIFY.
    """

    source: Source
    schema: str
    pooled: bool = False
    prepares: bool = True
    listen: Source | None = None
    migrates: bool = True
    accepts: bool = False
    hints: Callable[[Topic], Wakeups] | None = None

    @property
    def shown(self) -> str:
        """The place as people may see it, without a password."""
        return f"{self.source.shown}, schema {self.schema}"

    @property
    def conninfo(self) -> str:
        """libpq's connection string, of a place that a URL named; it may hold a password."""
        assert isinstance(self.source, Conninfo), "a pool or an engine has no connection string"
        return self.source.text


def parse(url: str) -> Place:
    """Raises IncompatibleJournal for a URL that is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise IncompatibleJournal(
            f"{parts.scheme}: is not a URL of PostgreSQL; write postgresql://host/database"
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    ours = {name: query.pop(name) for name in OPTIONS & query.keys()}
    plain = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, quote_via=quote), ""))
    pooled, _ = _proxy(ours)
    return place_of(Conninfo(_conninfo(plain, pooled), _conninfo(plain, pooled=True)), ours)


def place_of(source: Source, options: Mapping[str, str]) -> Place:
    """A place with our options, as a URL's query spells them. Raises IncompatibleJournal."""
    schema = options.get("schema", "continuum")
    if not _IDENTIFIER.match(schema):
        raise IncompatibleJournal(
            f"schema={schema!r} is not a plain name; use small letters, digits and underscores"
        )
    history = options.get("history", "refuse")
    if history not in ("refuse", "accept"):
        raise IncompatibleJournal(f"history={history!r} is neither refuse nor accept")
    pooled, prepares = _proxy(options)
    direct: Source | None = None if pooled else source
    if "listen" in options:
        direct = Conninfo(_conninfo(options["listen"], pooled=False))
    migrates = _switch("migrate", options.get("migrate", "yes"))
    hints = wakeups(options["wakeups"]) if "wakeups" in options else None
    return Place(source, schema, pooled, prepares, direct, migrates, history == "accept", hints)


def _proxy(options: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether a proxy pools by transaction, and whether statements may be prepared."""
    value = options.get("pgbouncer", "no").lower()
    if value == "prepared":
        return True, True
    if value not in _YES:
        raise IncompatibleJournal(f"pgbouncer={value!r} is none of yes, prepared, no")
    return _YES[value], not _YES[value]


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _YES:
        raise IncompatibleJournal(f"{name}={value!r} is neither yes nor no")
    return _YES[value.lower()]


def _conninfo(url: str, pooled: bool) -> str:
    try:
        given = conninfo.conninfo_to_dict(url)
        settings = {**_DEFAULTS, **given, "client_encoding": "UTF8"}
        if "," in str(given.get("host") or given.get("hostaddr") or ""):  # one of them is the primary
            settings.setdefault("target_session_attrs", "read-write")
        if not pooled:  # a pooling proxy refuses options at startup, and would share what is set later
            steady = " ".join(
                f"-c {name}={value}" for name, value in {**STEADY, **LASTING, **BOUNDED}.items()
            )
            settings["options"] = f"{steady} {given.get('options') or ''}".strip()
        return conninfo.make_conninfo("", **settings)
    except Exception as error:  # libpq's own sentence, which names the option
        raise IncompatibleJournal(f"the URL is not one that libpq understands: {error}") from None
