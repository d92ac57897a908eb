"""The journal on Redis and Valkey: every verb is one script, and so one atomic call.

``redis://host:6379/0``, ``rediss://…``, ``unix:///path``. Options of ours in the query: ``prefix`` (of all
keys, default ``continuum``) and ``durability`` (``always``, ``everysec``, ``ephemeral``), which is asked of
the server where it tells its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.wakeups import Topic
from continuum_redis.capabilities import CAPABILITIES

if TYPE_CHECKING or find_spec("redis") is not None:
    from continuum_redis.journal import RedisJournal
    from continuum_redis.place import parse
    from continuum_redis.transport import Transport, channel_of
else:
    MISSING = 'the driver is missing: pip install "continuum-core[redis]"'

__all__ = ["CAPABILITIES", "PORT_VERSION", "connect", "wakeups"]

PORT_VERSION = 1


def connect(
    url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros] | None = None
) -> Journal:
    """An unopened handle. Raises IncompatibleJournal for a URL that is wrong.

    :param clock: microseconds since the Unix epoch, in the place of the server's time: for tests.
    """
    return RedisJournal(parse(url), namespace, limits, clock)


def wakeups(url: str) -> Callable[[Topic], Transport]:
    """What carries the hints of other backends' journals. Raises IncompatibleJournal for a URL that is wrong.

    :param url: as for a journal; of our options, `prefix` keeps apart those who share a server.
    """
    place = parse(url)
    return lambda topic: Transport(place, channel_of(place, topic))
