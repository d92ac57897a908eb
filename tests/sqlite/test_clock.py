"""The journal's clock is the host's, and never goes back."""

from __future__ import annotations

from pathlib import Path

from continuum_core.journal.commit import OrderKind
from continuum_core.testing.conformance.given import new_run, order, signal
from continuum_sqlite.clock import HostClock
from tests.sqlite.handles import Clock, claim, opened


def test_a_clock_that_is_set_back_stands_still() -> None:
    host = Clock(1_000)
    clock = HostClock(host)
    assert clock.now() == 1_000
    host.at = 400
    assert clock.now() == 1_000
    host.at = 1_001
    assert clock.now() == 1_001


async def test_fences_and_orders_stay_ahead_of_a_clock_that_restarted_earlier(tmp_path: Path) -> None:
    """After a restart the handle knows nothing of the time that is stored; the rows do."""
    path = tmp_path / "x.db"
    run = new_run()
    async with opened(path, clock=Clock(5_000_000)) as journal:
        await journal.start([run])
        (first,) = await claim(journal)
        await journal.control([order(OrderKind.SUSPEND, run.run_id)])
    async with opened(path, clock=Clock(6_000)) as journal:
        await journal.control([order(OrderKind.RESUME, run.run_id)])
        row = (await journal.load([run.run_id]))[0]
        assert row is not None
        assert row.fence > first.fence
        times = [record.at for record in await journal.history(run.run_id)]
        assert times == sorted(times)


async def test_nothing_is_claimed_before_the_injected_clock_says_so(tmp_path: Path) -> None:
    clock = Clock(1_000)
    async with opened(tmp_path / "x.db", clock=clock) as journal:
        run = new_run()
        await journal.start([run])
        (first,) = await claim(journal)
        assert len(first.deliveries) == 1
        other = new_run(delivery=signal(run.run_id))
        await journal.start([other])
        await journal.deliver([signal(other.run_id, due=2_000)])
        clock.at = 1_999
        assert await claim(journal) == ()
        clock.at = 2_000
        assert len(await claim(journal)) == 1
