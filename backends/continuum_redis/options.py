"""The driver's part of a URL: its options, as they make a connection, checked before any is made.

Rule: what is wrong with a URL is told when it is read, by its name. A connection that is made later, by a
task that tries again and again, would tell it as an outage.
"""

from __future__ import annotations

import inspect
import re
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url

from continuum_core.errors import IncompatibleJournal

__all__ = ["KIND", "options_of"]

KIND = "connection_class"
"""The option that is the class of the connection; the URL's scheme tells it."""

_DATABASE = re.compile(r"/?[0-9]*/?\Z")
_MOST = 2**31 - 1  # a database's number, to the server

_OBJECTS = frozenset(
    {
        *(KIND, "parser_class", "encoder_class", "redis_connect_func", "socket_keepalive_options"),
        *("retry", "retry_on_error", "credential_provider", "event_dispatcher", "driver_info"),
        *("maintenance_state", "maint_notifications_config", "maint_notifications_pool_handler"),
        *("oss_cluster_maint_notifications_handler", "himport_registry", "ssl_min_version"),
        *("encoding", "encoding_errors", "decode_responses"),  # replies are read as bytes
    }
)
"""What only a program can hand the driver, or what would have it read replies otherwise than we do."""

_UNTELLABLE = "{}: no URL can tell the driver this; leave it out"


def options_of(url: str) -> dict[str, Any]:
    """What the driver makes of the URL, and `KIND`. Raises IncompatibleJournal for what it cannot use."""
    parts = urlsplit(url)
    if parts.scheme != "unix" and not _DATABASE.match(parts.path):
        raise IncompatibleJournal(
            f"{parts.path[1:]!r} is no number of a database: write redis://host:6379/0, or leave it out"
        )
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError as error:
        raise IncompatibleJournal(f"the URL is not one that the driver understands: {error}") from None
    kind: type[AbstractConnection] = options.pop(KIND, Connection)
    if isinstance(kind, str):  # the scheme tells it
        raise IncompatibleJournal(_UNTELLABLE.format(KIND))
    if not 0 <= options.get("db", 0) <= _MOST:
        raise IncompatibleJournal(f"db={options['db']} is no number of a database: the first one is 0")
    if str(options.pop("protocol", 2)) != "2":
        raise IncompatibleJournal("protocol: this journal speaks RESP2; RESP3 is not to be had; leave it out")
    for name in options:
        _check(name, kind)
    try:
        kind(**options, protocol=2)
    except Exception as error:  # whatever it raises for a value that it cannot use
        raise IncompatibleJournal(f"the driver cannot use the URL's options: {error}") from None
    return {**options, KIND: kind}


def _check(name: str, kind: type[AbstractConnection]) -> None:
    if name in _OBJECTS:
        raise IncompatibleJournal(_UNTELLABLE.format(name))
    bases: tuple[Any, ...] = kind.__mro__
    known = {known for base in bases for known in inspect.signature(base.__init__).parameters}
    if name not in known - {"self", "args", "kwargs"}:
        raise IncompatibleJournal(
            f"{name}: is no option of this journal, nor of the driver's connections; correct the URL"
        )
