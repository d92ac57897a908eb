"""The driver's part of a URL: its options, as they make a connection, checked before any is made.

Rule: what is wrong with a URL is told when it is read, by its name. A connection that is made later, by a
task that tries again and again, would tell it as an outage.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, parse_url

from continuum_core.errors import IncompatibleJournal

__all__ = ["KIND", "checked", "options_of"]

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

_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


def options_of(url: str) -> dict[str, Any]:
    """What the driver makes of the URL, and `KIND`. Raises IncompatibleJournal."""
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError as error:
        raise IncompatibleJournal(f"the URL is not one that the driver understands: {error}") from None
    if str(options.pop("protocol", 2)) != "2":
        raise IncompatibleJournal("protocol: this journal speaks RESP2; RESP3 is not to be had; leave it out")
    return {KIND: Connection, **options}


def checked(url: str) -> dict[str, Any]:
    """The same, where the driver can make a connection of it. Raises IncompatibleJournal where it cannot."""
    parts = urlsplit(url)
    if parts.scheme != "unix" and not _DATABASE.match(parts.path):
        raise IncompatibleJournal(
            f"{parts.path[1:]!r} is no number of a database: write redis://host:6379/0, or leave it out"
        )
    options = options_of(url)
    named = isinstance(options[KIND], str)  # by somebody: it is a class otherwise
    untellable = sorted(_OBJECTS & (options.keys() - {KIND})) or ([KIND] if named else [])
    if untellable:
        raise IncompatibleJournal(f"{untellable[0]}: no URL can tell the driver this; leave it out")
    if not 0 <= options.get("db", 0) <= _MOST:
        raise IncompatibleJournal(f"db={options['db']} is no number of a database: the first one is 0")
    kind = options.pop(KIND)
    try:
        kind(**options, protocol=2)
    except Exception as error:  # whatever it raises for a value that it cannot use
        raise IncompatibleJournal(_reason(error)) from None
    return options


def _reason(error: Exception) -> str:
    unknown = _UNKNOWN.search(str(error))
    if unknown is None:
        return f"the driver cannot use the URL's options: {error}"
    return (
        f"{unknown.group(1)}: is no option of this journal, nor of the driver's connections; correct the URL"
    )
