"""What reaches a run, in which order, and what becomes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from continuum_core import (
    AlreadyStarted,
    Client,
    Machine,
    Message,
    PayloadRefused,
    RunCancelled,
    RunFailed,
    RunNotFound,
    RunOver,
    RunTerminated,
    TooManyPending,
    UnexpectedEvent,
    UnknownMachine,
    UsageError,
    event,
    root,
)
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.runtime.machines import (
    Broken,
    Ctx,
    Finish,
    Gated,
    Go,
    Job,
    Mended,
    Note,
    Reason,
    Receiver,
    Sender,
    Waits,
    work,
)


@event
class Foreign:
    pass


class Stranger(Machine[Ctx, str, str], name="stranger"):
    """Sends what its target does not know."""

    s = root(Ctx)
    here = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    here.on(Go, done, send=lambda c, e: Message(Foreign(), machine="waits", key=c.name))


async def test_a_timer_fires_at_its_time_and_not_before(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.advance(timedelta(minutes=59, seconds=59))
        assert await engine.states(run) == {"waiting"}
        await engine.advance(timedelta(seconds=1))
        assert await engine.states(run) == {"late"}


async def test_a_timer_keeps_its_deadline_across_a_restart(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.advance(timedelta(minutes=50))
        await engine.crash()
        await engine.advance(timedelta(minutes=9, seconds=59))
        assert await engine.states(run) == {"waiting"}
        await engine.advance(timedelta(seconds=1))
        assert await engine.states(run) == {"late"}


async def test_a_deferred_event_is_kept_and_taken_when_the_state_changes(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.send(run, Note("early-1"))
        await engine.send(run, Note("early-2"))
        assert [w.held for w in (await engine.view(run)).waiting if w.what == "Note"] == ["deferred"] * 2
        await engine.send(run, Go())
        await engine.send(run, Note("late"))
        await engine.send(run, Finish())
        assert await run.result() == "go,early-1,early-2,late"
        await engine.check(run)


async def test_deferred_and_released_within_one_turn(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        for sent in (Note("1"), Go(), Note("2"), Finish()):
            await engine.client.send(run, sent)
        assert await run.result() == "go,1,2"
        await engine.check(run)


async def test_an_event_nobody_wants_is_recorded_and_harms_nothing(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.send(run, Finish())
        assert [(s.event, s.disposition) for s in await engine.history(run)][-1] == ("Finish", "unhandled")
        assert await engine.states(run) == {"waiting"}


async def test_one_dedupe_id_is_taken_once(journal: str) -> None:
    async with Engine([Receiver], journal=journal) as engine:
        run = await engine.start(Receiver, "a")
        for _ in range(3):
            await engine.client.send(run, Note("x"), dedupe="n-1")
            await engine.settle()
        await engine.send(run, Finish())
        assert await run.result() == "x"
        await engine.client.send(run, Note("x"), dedupe="n-1")  # a late repeat is no error


async def test_a_delayed_event_arrives_later(journal: str) -> None:
    async with Engine([Receiver], journal=journal) as engine:
        run = await engine.start(Receiver, "a")
        await engine.client.send(run, Note("later"), delay=timedelta(minutes=10))
        await engine.send(run, Note("sooner"))
        await engine.advance(timedelta(minutes=10))
        await engine.send(run, Finish())
        assert await run.result() == "sooner,later"


async def test_runs_send_to_runs_once_and_in_order(journal: str) -> None:
    async with Engine([Sender, Receiver], journal=journal) as engine:
        receiver = await engine.start(Receiver, "r", key="pair")
        sender = await engine.start(Sender, "pair")
        await engine.send(sender, Go("a"))
        await engine.send(sender, Go("b"))
        await engine.send(sender, Finish())
        assert await sender.result() == "pair"
        assert await receiver.result() == "a-1,a-2,b-1,b-2"
        await engine.check(receiver)
        await engine.check(sender)


async def test_a_message_to_a_run_that_is_not_there_becomes_a_dead_letter(journal: str) -> None:
    async with Engine([Sender, Receiver], journal=journal) as engine:
        sender = await engine.start(Sender, "nobody")
        await engine.send(sender, Go("a"))
        await engine.send(sender, Finish())
        assert await sender.result() == "nobody"
        missing = engine.client.get(Receiver, "nobody")
        with pytest.raises(RunNotFound):
            await missing.view()


async def test_starting_twice_with_a_key_is_one_run(journal: str) -> None:
    async with Engine([Receiver], journal=journal) as engine:
        one = await engine.start(Receiver, "a", key="k")
        two = await engine.start(Receiver, "a", key="k")
        assert one.id == two.id
        by_name = await engine.start("receiver", "a", key="k")
        assert by_name.id == one.id
        with pytest.raises(AlreadyStarted) as caught:
            await engine.start(Receiver, "another input", key="k")
        assert "'k'" in str(caught.value)
        assert len(await engine.history(one)) == 1


async def test_a_run_is_found_by_its_key(journal: str) -> None:
    async with Engine([Receiver], journal=journal) as engine:
        await engine.start(Receiver, "a", key="k")
        found = engine.client.get(Receiver, "k")
        await engine.send(found, Note("hello"))
        await engine.send(engine.client.get("receiver", "k"), "Note", {"word": "by name"})
        await engine.send(found, Finish())
        assert await found.result() == "hello,by name"


async def test_what_a_caller_does_wrong_is_said_and_changes_nothing(journal: str) -> None:
    async with Engine([Receiver, Waits], journal=journal) as engine:
        run = await engine.start(Receiver, "a")
        with pytest.raises(UnexpectedEvent, match="Foreign"):
            await run.send(Foreign())
        with pytest.raises(UnexpectedEvent, match="Nothing"):
            await run.send("Nothing", {})
        with pytest.raises(PayloadRefused, match="wrd"):
            await run.send("Note", {"wrd": "x"})
        with pytest.raises(UsageError, match="instance"):
            await run.send(Note)
        with pytest.raises(RunNotFound):
            await engine.client.send("00000000-0000-0000-0000-000000000000", Note("x"))
        with pytest.raises(UsageError, match="'nonsense' names no run; give its id, or MACHINE/KEY"):
            await engine.client.send("nonsense", Note("x"))
        with pytest.raises(UnknownMachine, match="recieve"):
            await engine.start("recieve", "a")
        with pytest.raises(PayloadRefused):
            await engine.start(Receiver, 5)  # type: ignore[misc]  # the fault under test
        assert len(await engine.history(run)) == 1
        await engine.send(run, Finish())
        with pytest.raises(RunOver):
            await run.send(Note("too late"))


async def test_a_run_holds_only_so_many_events(journal: str) -> None:
    async with Engine([Waits], journal=journal, limits=Limits(pending=5)) as engine:
        run = await engine.start(Waits, "a")
        for n in range(4):  # its timer is the fifth
            await engine.client.send(run, Note(str(n)))
        with pytest.raises(TooManyPending, match="already has 5"):
            await engine.client.send(run, Note("one too many"))
        await engine.client.cancel(run, "orders always get through")
        with pytest.raises(RunCancelled):
            await run.result()


async def test_a_reducer_that_raises_parks_the_run_and_the_fix_lets_it_go_on(journal: str) -> None:
    async with Engine([Broken], journal=journal) as engine:
        run = await engine.start(Broken, "a")
        await engine.send(run, Note("good"))
        await engine.send(run, Note("bad"))
        await engine.send(run, Note("good"))
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert "KeyError" in view.cause
        assert view.context.log == ("1",), "the step that raised left nothing behind"
        assert [w.held for w in view.waiting] == ["poison", "paused"]
        await engine.client.unpark(run, "try again", who="ann")
        assert (await engine.view(run)).status is RunStatus.PARKED, "nothing was mended"
        await engine.deploy([Mended])
        await engine.client.unpark(run, "mended", who="ann")
        await engine.send(run, Finish())
        assert await run.result() == "1,0,1"
        orders = [(s.event, s.who) for s in await engine.history(run) if s.who == "ann"]
        assert orders == [("unpark", "ann"), ("unpark", "ann")]


async def test_suspend_and_resume(journal: str) -> None:
    async with Engine([Receiver], journal=journal) as engine:
        run = await engine.start(Receiver, "a")
        await engine.client.suspend(run, "maintenance", who="ann")
        await engine.send(run, Note("while asleep"))
        assert (await engine.view(run)).status is RunStatus.SUSPENDED
        assert len((await engine.view(run)).context.log) == 0
        assert not await engine.client.suspend(run), "it rests already"
        assert await engine.client.resume(run)
        assert not await engine.client.resume(run)
        await engine.send(run, Finish())
        assert await run.result() == "while asleep"


async def test_cancel_ends_a_run_that_declares_nothing(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.client.cancel(run, "changed my mind")
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result()
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        assert (await engine.view(run)).waiting == ()


async def test_terminate_ends_a_parked_run(journal: str) -> None:
    async with Engine([Broken], journal=journal) as engine:
        run = await engine.start(Broken, "a")
        await engine.send(run, Note("bad"))
        await engine.client.terminate(run, "beyond repair")
        with pytest.raises(RunTerminated, match="beyond repair"):
            await run.result()


async def test_whoever_terminates_a_run_need_not_poll_for_its_end(journal: str) -> None:
    async with Client(journal, [Waits], poll=3600) as client:
        run = await client.start(Waits, "a")
        ending = asyncio.create_task(run.result())
        await client.view(run)  # behind the first look at the run, which has not ended
        await client.terminate(run, "enough")
        with pytest.raises(RunTerminated, match="enough"):
            await asyncio.wait_for(ending, 60)


async def test_failed_runs_tell_their_verdict_by_name_too(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        engine.stub(work, hangs=True)
        run = await engine.start("job", "a")
        await engine.send(run, "Finish")
        with pytest.raises(RunFailed) as caught:
            await engine.client.result(str(run.id))
        assert caught.value.verdict == Reason("a")


async def test_an_outcome_that_changes_the_state_releases_what_was_deferred(journal: str) -> None:
    """The turn rides on the finish of the activity, and must know of deliveries it has not seen."""
    async with Engine([Gated], journal=journal) as engine:
        gate = asyncio.Event()

        async def when_told(name: str) -> str:
            await gate.wait()
            return name

        engine.stub(work, calls=when_told)
        run = await engine.client.start(Gated, "a")
        await run.send(Note("kept"))
        while not any(w.held == "deferred" for w in (await run.view()).waiting):
            await asyncio.sleep(0)
        gate.set()
        assert await run.result() == "kept"
        await engine.check(run)


async def test_an_event_that_the_target_never_mentions_is_recorded_and_parks_nobody(journal: str) -> None:
    async with Engine([Stranger, Waits], journal=journal) as engine:
        waits = await engine.start(Waits, "w", key="pair")
        stranger = await engine.start(Stranger, "pair")
        await engine.send(stranger, Go())
        steps = await engine.history(waits)
        assert [(s.event, s.disposition) for s in steps] == [("start", "taken"), ("Foreign", "unhandled")]
        await engine.check(waits)


async def test_all_runs_page_by_page(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        started = [await engine.client.start(Waits, str(n)) for n in range(250)]
        seen = [view.id async for view in engine.client.runs(machine="waits")]
        assert sorted(seen) == sorted(run.id for run in started)
