"""What rows and index entries take: how they are laid down decides how full the pages are."""

from __future__ import annotations

from msgspec.structs import replace

from continuum_core.journal.commit import NewRun
from continuum_core.testing.conformance.given import first_turn, new_id, new_run, timer
from tests.postgres.handles import opened, raw


async def test_timers_are_laid_down_in_the_order_in_which_they_fall_due(
    postgres_url: str, namespace: str
) -> None:
    """Runs of one batch are locked in an order that is not that of their timers."""
    async with opened(postgres_url, namespace) as journal:
        now = await journal.now()

        def waits(number: int) -> NewRun:
            new = new_run(new_id())
            return replace(
                new, turn=first_turn(new, now, deliveries=(timer(new.run_id, now + 10**9 + number),))
            )

        await journal.start([waits(number) for number in range(40)])
        async with raw(postgres_url) as looking:
            rows = await (
                await looking.execute(
                    "SELECT d.due FROM continuum.deliveries d JOIN continuum.namespaces n USING (ns) "
                    "WHERE n.name = %s ORDER BY d.ctid",
                    (namespace,),
                )
            ).fetchall()
    laid = [row[0] for row in rows]
    assert len(laid) == 40
    assert laid == sorted(laid)
