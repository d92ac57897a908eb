"""What a server must be to be opened as a journal, and what its settings make of an acknowledgement."""

from __future__ import annotations

import struct

import pytest

from continuum_core.errors import IncompatibleJournal, JournalUnavailable
from continuum_core.journal.protocol import Limits
from continuum_core.testing.private_server import free_port
from continuum_core.testing.redis_server import Redis
from continuum_redis.journal import RedisJournal
from continuum_redis.link import Call, Link, Space
from continuum_redis.options import KIND, options_of
from continuum_redis.place import parse
from continuum_redis.store import LAYOUT
from continuum_redis.tags import HOME
from tests.redis.handles import asked, opened, raw


async def _durability(url: str) -> str:
    journal = RedisJournal(parse(url), "shop", Limits())
    try:
        return (await journal.open()).durability
    finally:
        await journal.close()


async def test_the_settings_tell_the_level() -> None:
    with Redis(appendfsync="always") as server:
        assert "loss of power" in await _durability(server.url())
        assert "loss of power" in await _durability(f"{server.url()}?durability=always")
        async with raw(server.url()) as wire:
            await asked(wire, b"CONFIG", b"SET", b"appendfsync", b"everysec")
        assert "last two seconds" in await _durability(server.url())
        with pytest.raises(IncompatibleJournal, match=r"durability=always.*appendfsync is everysec"):
            await _durability(f"{server.url()}?durability=always")


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        (b"appendonly", b"no", "appendonly is not yes"),
        (b"appendfsync", b"no", "appendfsync is no"),
        (b"no-appendfsync-on-rewrite", b"yes", "no-appendfsync-on-rewrite is yes"),
        (b"maxmemory-policy", b"allkeys-lru", "drops keys"),
    ],
)
async def test_a_forgetful_server_is_refused(setting: bytes, value: bytes, fault: str) -> None:
    """Unless the URL says that this is wanted."""
    with Redis() as server:
        async with raw(server.url()) as wire:
            await asked(wire, b"CONFIG", b"SET", setting, value)
        with pytest.raises(IncompatibleJournal, match=fault):
            await _durability(server.url())
        assert "NOTHING" in await _durability(f"{server.url()}?durability=ephemeral")


async def test_a_server_that_hides_its_settings_must_be_vouched_for() -> None:
    with Redis() as server:
        async with raw(server.url()) as wire:
            await asked(
                wire, b"ACL", b"SETUSER", b"app", b"on", b">secret", b"~*", b"&*", b"+@all", b"-config"
            )
        url = server.url().replace("//", "//app:secret@")
        with pytest.raises(IncompatibleJournal, match="CONFIG is forbidden"):
            await _durability(url)
        assert "so says the URL" in await _durability(f"{url}?durability=always")


async def test_a_wrong_password_is_named() -> None:
    with Redis(requirepass="secret") as server:
        with pytest.raises(IncompatibleJournal, match="refuses the user or the password"):
            await _durability(server.url().replace("//", "//:wrong@"))
        assert await _durability(server.url().replace("//", "//:secret@"))


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(JournalUnavailable) as told:
        await _durability(f"redis://127.0.0.1:{free_port()}/0")
    assert not told.value.ambiguous


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis://h/0?durability=maybe", "none of always, everysec, ephemeral"),
        ("redis://h/0?prefix=a:b", "not a plain name"),
        ("redis://h/0?socket_timeout=soon", "not one that the driver understands"),
        ("http://h", "is not a URL of Redis"),
        ("redis://h/0?foo=1", "foo: is no option of this journal, nor of the driver's"),
        ("redis://h/0?ssl_ca_certs=/ca.pem", "ssl_ca_certs: is no option"),
        ("redis://h/0?protocol=3", "protocol: this journal speaks RESP2; RESP3 is not to be had"),
        ("redis://h/0?retry=3", "retry: no URL can tell the driver this"),
        ("redis://h/0?connection_class=Mine", "connection_class: no URL can tell the driver this"),
        ("rediss://h/0?ssl_cert_reqs=perhaps", "cannot use the URL's options: Invalid SSL.*perhaps"),
        ("redis://h/x", "'x' is no number of a database"),
        ("redis://h/-1", "'-1' is no number of a database"),
        ("redis://h/?db=-1", "db=-1 is no number of a database"),
        ("redis://h/99999999999", "db=99999999999 is no number of a database"),
    ],
)
def test_a_wrong_url_is_refused(url: str, fault: str) -> None:
    with pytest.raises(IncompatibleJournal, match=fault):
        parse(url)


def test_options_of_the_drivers_are_handed_to_it() -> None:
    options = options_of("rediss://app:secret@h:1/3?ssl_ca_certs=/ca.pem&socket_keepalive=no&protocol=2")
    assert options.pop(KIND).__name__ == "SSLConnection"
    assert (options["ssl_ca_certs"], options["socket_keepalive"], options["db"]) == ("/ca.pem", False, 3)
    assert "protocol" not in options, "it is ours to tell"


async def test_a_database_that_the_server_has_not_is_refused(redis_url: str) -> None:
    with pytest.raises(IncompatibleJournal, match=r"database 99 on .*has no such database.*`databases`"):
        await _durability(f"{redis_url.rpartition('/')[0]}/99")


async def test_a_password_is_never_shown() -> None:
    assert "secret" not in parse("redis://app:secret@h/0").shown


async def test_a_layout_that_needs_a_newer_release_is_refused(redis_url: str, namespace: str) -> None:
    """Its oldest reader is newer than this one; a newer layout that this one may use is used."""
    space = Space(parse(redis_url), namespace, Limits())
    for oldest, refused in ((LAYOUT, False), (LAYOUT + 1, True)):
        async with raw(redis_url) as wire:
            await asked(wire, b"DEL", space.tags.prefixes[HOME] + b"schema")
        link = Link(space)
        await link.ask([Call(HOME, b"open", struct.pack(">ddd", LAYOUT + 1, oldest, 1))])
        await link.drop()
        if refused:
            with pytest.raises(IncompatibleJournal, match=f"this one knows {LAYOUT}"):
                async with opened(redis_url, namespace):
                    pass
        else:
            async with opened(redis_url, namespace) as journal:
                assert await journal.definitions() == []
