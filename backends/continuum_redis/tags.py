"""Hash tags: the parts a namespace's keys fall into, each one slot of a cluster and each atomic in itself.

Rule: a run and all it has is in one tag, told by a hash of its id; a keyed result and a queue's permits are
in the tag of their name. The number of tags is written when a journal is created and never changes: a copy
into another journal does that. The names of the tags are frozen: they follow from prefix, namespace and
number.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from attrs import field, frozen
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

__all__ = ["HOME", "MOST", "Tags", "result_name"]

HOME = -1
"""In the place of a tag: where the layout and the definitions of a namespace are."""

MOST = 1024


def result_name(activity: str, key: str) -> bytes:
    """By which a keyed result is known; `results` in `scripts/` makes the same."""
    name = activity.encode()
    return len(name).to_bytes(2, "big") + name + key.encode()


def _spread(base: str, count: int) -> list[bytes]:
    """Names whose slots lie one in each of `count` equal ranges: a node serves a range, and so its share."""
    width = REDIS_CLUSTER_HASH_SLOTS // count
    found: dict[int, bytes] = {}
    number = 0
    while len(found) < count:
        name = f"{{{base}/{number}}}:".encode()
        found.setdefault(key_slot(name) // width, name)
        number += 1
    return [found[place] for place in range(count)]


@frozen
class Tags:
    """The tags of one namespace.

    :param base: text of the home tag, without braces.
    :param count: how many, a power of two; one is the home tag itself.
    """

    base: str
    count: int
    prefixes: list[bytes] = field(init=False)
    slots: list[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        home = f"{{{self.base}}}:".encode()
        names = [home] if self.count == 1 else _spread(self.base, self.count)
        object.__setattr__(self, "prefixes", [*names, home])  # HOME is -1, and so the last
        object.__setattr__(self, "slots", [key_slot(name) for name in self.prefixes])

    def of(self, name: bytes) -> int:
        """The tag of what has that name; `tag_of` in `scripts/00_frame.lua` tells the same."""
        if self.count == 1:
            return 0
        return int.from_bytes(hashlib.sha1(name, usedforsecurity=False).digest()[:4], "big") % self.count

    def of_run(self, run: UUID) -> int:
        return 0 if self.count == 1 else self.of(run.bytes)

    def all(self) -> range:
        return range(self.count)
