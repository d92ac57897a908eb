"""Measuring a journal: what is called and left behind. No time is asserted."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.client import Client
from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.gauge.measure import VERBS, Figures, Measured, Plan, measure
from continuum_core.gauge.plot import plot
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from tests.cli.shop import Order, PlaceOrder

PLAN = Plan(sizes=(1, 3), rounds=2, payload=10)


async def test_every_verb_is_measured_and_nothing_is_left(journal: str) -> None:
    handle = connect(journal, "bench-here")
    opened = await handle.open()
    try:
        rounds: list[int] = []
        measured = await measure(handle, opened, AsyncioHost(), PLAN, rounds.append)
        assert [(one.verb, one.size, one.calls) for one in measured.figures] == [
            (verb, size, 2) for verb in VERBS for size in (1, 3)
        ]
        assert all(one.low <= one.median <= one.high for one in measured.figures)
        assert measured.conditions["backend"] == opened.backend
        assert rounds == [1, 2, 3, 4, 5, 6]
        assert (await handle.list(Query())).runs == ()
    finally:
        await handle.close()


async def test_a_namespace_that_is_used_is_not_touched(journal: str) -> None:
    async with Client(journal, [Order], namespace="used") as client:
        run = await client.start(Order, PlaceOrder("o", 1), key="o")
    handle = connect(journal, "used")
    opened = await handle.open()
    try:
        with pytest.raises(UsageError, match="holds runs"):
            await measure(handle, opened, AsyncioHost(), PLAN)
        assert [row.run_id for row in (await handle.list(Query())).runs] == [run.id]
    finally:
        await handle.close()


async def test_an_interrupted_measurement_leaves_nothing(journal: str) -> None:
    handle = connect(journal, "bench-cut")
    opened = await handle.open()

    async def away(*_: object) -> None:
        raise JournalUnavailable("away")

    handle.finish = away  # type: ignore[method-assign,assignment]  # in the middle of a round
    try:
        with pytest.raises(JournalUnavailable):
            await measure(handle, opened, AsyncioHost(), PLAN)
        assert (await handle.list(Query())).runs == ()
    finally:
        await handle.close()


def test_the_picture_shows_every_figure_and_escapes_what_it_is_told() -> None:
    figures = tuple(Figures(verb, size, 2, 0.001 * size, 0.0005, 0.01) for verb in VERBS for size in (1, 16))
    conditions = {"backend": "<b>", "rounds": 2, "payload_bytes": 10, "python": "3", "cores": 2}
    drawn = plot(Measured(figures, conditions))
    root = ElementTree.fromstring(drawn)
    texts = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(VERBS) <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == len(figures) + 2
    assert "<b>: members a second, one caller" in texts
    assert drawn == plot(Measured(figures, conditions))
