"""A private throw-away cluster of Redis or Valkey: servers, each with an equal range of slots.

No node has a replica: one that is killed is away with its slots until it is started again, and the others
serve theirs meanwhile.
"""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import BinaryIO, TypeAlias

from continuum_core.testing.private_server import NoServer, free_port
from continuum_core.testing.redis_server import Redis

__all__ = ["SLOTS", "RedisCluster", "ask"]

SLOTS = 16_384

_PATIENCE = 60.0  # seconds

Reply: TypeAlias = "bytes | int | list[Reply] | None"


def ask(port: int, *words: str | bytes) -> Reply:
    """The reply of a server on this host to one command. Raises NoServer for a refusal."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as asked:
        asked.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))
        with asked.makefile("rb") as answer:
            return _read(answer)


def _read(answer: BinaryIO) -> Reply:
    kind, told = answer.read(1), answer.readline().rstrip(b"\r\n")
    if kind == b"-":
        raise NoServer(f"the server refused: {told.decode()}")
    if kind == b":":
        return int(told)
    if kind == b"$":
        return None if told == b"-1" else answer.read(int(told) + 2)[:-2]
    if kind == b"*":
        return [_read(answer) for _ in range(int(told))]
    return told


class RedisCluster:
    """Private nodes. Use it as a context manager.

    :param count: of nodes, each with an equal range of slots.
    :ivar nodes: the servers, in the order of their slots.
    """

    def __init__(self, count: int = 3, **settings: str) -> None:
        self.nodes = [
            Redis(
                **{
                    "cluster-enabled": "yes",
                    "cluster-port": str(free_port()),
                    "cluster-node-timeout": "2000",  # milliseconds
                    "cluster-require-full-coverage": "no",
                    **settings,
                }
            )
            for _ in range(count)
        ]

    def __enter__(self) -> RedisCluster:
        try:
            for node in self.nodes:
                node.start()
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self) -> str:
        """Of its first node, which knows the others."""
        return self.nodes[0].url()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def owner(self, slot: int) -> int:
        """Which of `nodes` serves a slot."""
        served = ask(self.nodes[0].port, "CLUSTER", "SLOTS")
        assert isinstance(served, list)
        for each in served:
            assert isinstance(each, list)
            first, last, primary = each[:3]
            assert isinstance(first, int)
            assert isinstance(last, int)
            assert isinstance(primary, list)
            if first <= slot <= last:
                return next(place for place, node in enumerate(self.nodes) if node.port == primary[1])
        raise NoServer(f"no node serves slot {slot}")

    def migrate(self, slot: int, target: int, keys_at_once: int = 5) -> int:
        """Move a slot to another node key by key while both serve, as an operator would. How many keys."""
        source = self.nodes[self.owner(slot)].port
        to = self.nodes[target].port
        ask(to, "CLUSTER", "SETSLOT", str(slot), "IMPORTING", self._id(source))
        ask(source, "CLUSTER", "SETSLOT", str(slot), "MIGRATING", self._id(to))
        moved = 0
        while True:
            keys = ask(source, "CLUSTER", "GETKEYSINSLOT", str(slot), str(keys_at_once))
            assert isinstance(keys, list)
            if not keys:
                break
            moved += len(keys)
            names = [key for key in keys if isinstance(key, bytes)]
            ask(source, "MIGRATE", "127.0.0.1", str(to), "", "0", "60000", "KEYS", *names)
        for port in (to, source):
            ask(port, "CLUSTER", "SETSLOT", str(slot), "NODE", self._id(to))
        return moved

    def _id(self, port: int) -> bytes:
        told = ask(port, "CLUSTER", "MYID")
        assert isinstance(told, bytes)
        return told

    def _join(self) -> None:
        first = self.nodes[0]
        width = -(-SLOTS // len(self.nodes))
        for place, node in enumerate(self.nodes):
            last = min((place + 1) * width, SLOTS) - 1
            ask(node.port, "CLUSTER", "ADDSLOTSRANGE", str(place * width), str(last))
            ask(node.port, "CLUSTER", "SET-CONFIG-EPOCH", str(place + 1))
        for node in self.nodes[1:]:
            ask(node.port, "CLUSTER", "MEET", "127.0.0.1", str(first.port), node_bus(first))
        self.settled()

    def settled(self) -> None:
        """Return when every node knows all slots and all others. Raises NoServer."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            told = [ask(node.port, "CLUSTER", "INFO") for node in self.nodes]
            wanted = (b"cluster_state:ok", b"cluster_slots_ok:16384", b"cluster_known_nodes:%d" % len(told))
            if all(isinstance(each, bytes) and all(word in each for word in wanted) for each in told):
                return
            time.sleep(0.05)
        raise NoServer("the nodes did not become a cluster")


def node_bus(node: Redis) -> str:
    """The port on which other nodes reach one."""
    return node.setting("cluster-port")
