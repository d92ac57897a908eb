"""What rows and index entries take: how they are laid down decides how full the pages are."""

from __future__ import annotations

from msgspec.structs import replace
from psycopg import sql

from continuum_core.journal.commit import NewRun
from continuum_core.testing.conformance.given import first_turn, new_id, new_run, timer
from continuum_postgres.place import parse
from tests.postgres.handles import opened, raw


async def test_timers_are_laid_down_in_the_order_in_which_they_fall_due(empty_url: str) -> None:
    """Runs of one batch are locked in an order that is not that of their timers.

    The table is new: into a used one the first rows may go where others were deleted, behind the next.
    """
    async with opened(empty_url, "room") as journal:
        now = await journal.now()

        def waits(number: int) -> NewRun:
            new = new_run(new_id())
            return replace(
                new, turn=first_turn(new, now, deliveries=(timer(new.run_id, now + 10**9 + number),))
            )

        await journal.start([waits(number) for number in range(40)])
        async with raw(empty_url) as looking:
            deliveries = sql.Identifier(parse(empty_url).schema, "deliveries")
            rows = await (
                await looking.execute(sql.SQL("SELECT due FROM {} ORDER BY ctid").format(deliveries))
            ).fetchall()
    laid = [row[0] for row in rows]
    assert len(laid) == 40
    assert laid == sorted(laid)
