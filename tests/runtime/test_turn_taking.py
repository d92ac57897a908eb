"""Who gets a slot that comes free: runs that go on, and tasks that wait for one."""

from __future__ import annotations

from datetime import timedelta

from continuum_core import Machine, activity, root
from continuum_core.testing import Engine
from tests.runtime.machines import Ctx


@activity()
async def spin(name: str) -> str:
    return name


class Spinning(Machine[Ctx, str, str], name="spinning"):
    """Goes from one activity to the next for ever."""

    s = root(Ctx)
    here = s.state(initial=True)
    there = s.state()
    over = s.final()

    @staticmethod
    def init(name: str) -> Ctx:
        return Ctx(name)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    here.invoke(spin, lambda c: c.name, done=there, error={Exception: there})
    there.invoke(spin, lambda c: c.name, done=here, error={Exception: over})


class Once(Machine[Ctx, str, str], name="once"):
    s = root(Ctx)
    here = s.state(initial=True)
    over = s.final()

    @staticmethod
    def init(name: str) -> Ctx:
        return Ctx(name)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    here.invoke(spin, lambda c: c.name, done=over, error={Exception: over})


async def test_runs_that_go_on_for_ever_leave_slots_to_others(journal: str) -> None:
    """They hold every slot, and their next tasks could be born into it each time: the line moves."""
    async with Engine([Spinning, Once], journal=journal, queues={"default": 2}) as engine:

        async def takes_a_while(name: str) -> str:
            await engine.sleep(timedelta(milliseconds=10))
            return name

        engine.stub(spin, calls=takes_a_while)
        spinning = [await engine.client.start(Spinning, f"spin-{n}") for n in range(2)]
        await engine.sleep(timedelta(seconds=1))
        waiting = [await engine.client.start(Once, f"once-{n}") for n in range(3)]
        assert [await handle.result(timeout=60) for handle in waiting] == [f"once-{n}" for n in range(3)]
        for handle in spinning:
            await engine.client.terminate(handle)
