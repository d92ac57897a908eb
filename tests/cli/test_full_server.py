"""A Redis that is full: whoever is called to it can look, and prune."""

from __future__ import annotations

import asyncio

import pytest

from continuum_core.testing.redis_server import Redis
from tests.cli.conftest import Command
from tests.redis.handles import asked, raw

SHOP = ("--app", "tests.cli.shop")


async def _full(url: str) -> None:
    async with raw(url) as wire:
        await asked(wire, b"CONFIG", b"SET", b"maxmemory", b"1")


def test_it_can_be_looked_at_and_pruned(continuum: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with Redis() as server:
        monkeypatch.setenv("CONTINUUM_JOURNAL", server.url())
        order = ("order", "-k", "old", "-i", '{"order_id": "old", "total": 100}', *SHOP)
        assert continuum("start", *order).code == 0
        assert continuum("terminate", "order/old", "--yes").code == 0
        asyncio.run(_full(server.url()))
        listed = continuum("list", "--json")
        assert (listed.code, len(listed.jsons())) == (0, 1)
        assert continuum("health").code == 0
        told = continuum("prune", "--older-than", "0", "--json").json()
        assert (told["runs"], told["deleted"]) == (1, False)
        assert continuum("prune", "--older-than", "0", "--yes", "--json").json()["runs"] == 1
        assert continuum("list", "--json").out == ""
