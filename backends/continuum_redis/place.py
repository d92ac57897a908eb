"""What a URL says: which server, under which names, and what durability is asked of it.

Rule: options that are ours are taken out of the query; all others are the driver's.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from attrs import frozen

from continuum_core.errors import IncompatibleJournal
from continuum_redis.options import checked
from continuum_redis.tags import MOST

__all__ = ["Place", "parse"]

_SCHEMES = ("redis", "rediss", "unix")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_LEVELS = ("", "ephemeral", "everysec", "always")


@frozen
class Place:
    """A server, and the names of our keys on it.

    :ivar durability: what the URL says of it; "" leaves it to the server's configuration.
    :ivar tags: how many hash tags the URL asks for; 0 leaves it to what the journal has, or will have.
    :ivar shown: the place as people may see it, without a password.
    :ivar user: of the server's ACL.
    """

    url: str
    prefix: str
    durability: str
    shown: str
    host: str
    tags: int = 0
    user: str = "default"

    def base(self, namespace: str) -> str:
        """What the hash tags of a namespace begin with."""
        return f"{self.prefix}:{quote(namespace, safe='')}"

    def channel(self, namespace: str) -> bytes:
        return f"{{{self.base(namespace)}}}:hints".encode()


def parse(url: str) -> Place:
    """Raises IncompatibleJournal for a URL that is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise IncompatibleJournal(f"{parts.scheme}: is not a URL of Redis; write redis://host:6379/0")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", "continuum")
    if not _PREFIX.match(prefix):
        raise IncompatibleJournal(f"prefix={prefix!r} is not a plain name; use letters, digits and . _ -")
    durability = query.pop("durability", "")
    if durability not in _LEVELS:
        raise IncompatibleJournal(f"durability={durability!r} is none of always, everysec, ephemeral")
    tags = _tags(query.pop("tags", "0"))
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
    options = checked(plain)
    host = str(options.get("host", "localhost"))
    where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    shown = f"database {options.get('db', 0)} on {where}, prefix {prefix}"
    return Place(plain, prefix, durability, shown, host, tags, str(options.get("username") or "default"))


def _tags(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) <= 4 else -1
    if count < 0 or count > MOST or count & (count - 1):
        raise IncompatibleJournal(f"tags={text!r} is no power of two up to {MOST}")
    return count
