"""The demo's orders on encrypted journals: no word of theirs is in any byte of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import psycopg
import redis

from continuum_compress import Compress
from continuum_core import Worker
from continuum_core.hooks import Plugins
from continuum_core.journal.records import RunStatus
from continuum_crypto import Crypto, Key
from continuum_demo.carrier import Carrier
from continuum_demo.machine import Approved, Authorised, Order
from continuum_demo.order import Item, PlaceOrder, Receipt
from continuum_demo.services import Mail, Payments, Stock

CUSTOMER, SKU, REVIEWER, CARD = "zq-customer-7d41", "zq-sku-7d41", "zq-reviewer-7d41", "zq-card-7d41"
MARKERS = (CUSTOMER, SKU, REVIEWER, CARD)


async def sell(url: str, directory: Path, plugins: Plugins) -> None:
    """One order that is paid and shipped, one that waits for its payment, one that fails."""
    services = {kind: lambda kind=kind: kind(directory) for kind in (Carrier, Mail, Payments, Stock)}
    async with Worker(url, [Order], resources=services, plugins=plugins) as worker:
        client = worker.client
        paid = await client.start(Order, order("paid"), key="order-1")
        await paid.send(Authorised(CARD))
        await paid.send(Approved(REVIEWER))
        assert isinstance(await paid.result(60), Receipt)
        waits = await client.start(Order, order("waits"), key="order-2")
        assert (await waits.view()).status is RunStatus.RUNNING
        history = await paid.history()
        assert CUSTOMER in str(history[0].data), "with the key everything is there"


def order(order_id: str) -> PlaceOrder:
    return PlaceOrder(order_id, CUSTOMER, "DE", "EUR", (Item(SKU, 2, 100_00),))


async def stored(url: str) -> bytes:
    """Every byte of the store, as its own tools read it."""
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        directory = Path(url.removeprefix("sqlite:///")).parent
        return b"".join(path.read_bytes() for path in sorted(directory.glob("journal.db*")))
    if scheme == "redis":
        return b"".join(_redis(url))
    return b"".join(_postgres(url))


def _redis(url: str) -> Iterator[bytes]:
    parts = urlsplit(url)
    [prefix] = parse_qs(parts.query)["prefix"]
    with redis.Redis.from_url(urlunsplit(parts._replace(query=""))) as server:
        for key in server.scan_iter(f"*{prefix}*"):
            yield key + (server.dump(key) or b"")
            yield from _members(server, key)


def _members(server: Any, key: bytes) -> Iterator[bytes]:
    """A dump compresses long texts: the members are read as well."""
    kind = server.type(key)
    if kind == b"hash":
        yield from (each for pair in server.hgetall(key).items() for each in pair)
    elif kind == b"string":
        yield server.get(key)
    elif kind == b"zset":
        yield from server.zrange(key, 0, -1)
    elif kind == b"list":
        yield from server.lrange(key, 0, -1)
    elif kind == b"set":
        yield from server.smembers(key)
    elif kind == b"stream":
        yield repr(server.xrange(key)).encode()


def _postgres(url: str) -> Iterator[bytes]:
    parts = urlsplit(url)
    [schema] = parse_qs(parts.query)["schema"]
    with psycopg.connect(urlunsplit(parts._replace(query=""))) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)
        ).fetchall()
        assert tables
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{schema}"."{table}"'):
                for value in row:
                    yield bytes(value) if isinstance(value, bytes) else str(value).encode()


async def test_an_encrypted_journal_holds_no_word_of_the_orders(shared_journal: str, tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    key = Key("demo", b"k" * 32)
    await sell(shared_journal, books, Plugins(Crypto(lambda: [key]), Compress()))
    kept = await stored(shared_journal)
    assert b"order-1" in kept, "keys are in the clear: the scan sees what is there"
    found = [word for word in MARKERS if word.encode() in kept]
    assert found == []


async def test_without_encryption_the_same_scan_finds_them_all(shared_journal: str, tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    await sell(shared_journal, books, Plugins())
    kept = await stored(shared_journal)
    assert [word for word in MARKERS if word.encode() not in kept] == []
