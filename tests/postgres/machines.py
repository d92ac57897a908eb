"""What the workers of these tests run: steps, timers, deferral, sends and retries, with real time."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Message, Retry, activity, current_attempt, event, root


@frozen
class Ctx:
    number: int
    log: tuple[str, ...] = ()


@frozen
class Errand:
    number: int
    to: str


def noted(c: Ctx, word: str) -> Ctx:
    return evolve(c, log=(*c.log, word))


@event
class Note:
    word: str


@event
class Go:
    pass


@activity()
async def step(number: int) -> int:
    return number + 1


@activity(retry=Retry(attempts=5, first=timedelta(milliseconds=20), jitter=0.0))
async def shaky(number: int) -> str:
    if current_attempt().number < 3:
        raise ConnectionError("not yet")
    return f"attempt {current_attempt().number}"


class Steps(Machine[Ctx, int, int], name="pg-steps"):
    """Three activities in three states: what the hot path is for."""

    s = root(Ctx)
    one = s.state(initial=True)
    two = s.state()
    three = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> int:
        return c.number

    one.invoke(
        step, lambda c: c.number, done=two, assign=lambda c, o: evolve(c, number=o), error={Exception: bad}
    )
    two.invoke(
        step, lambda c: c.number, done=three, assign=lambda c, o: evolve(c, number=o), error={Exception: bad}
    )
    three.invoke(
        step, lambda c: c.number, done=done, assign=lambda c, o: evolve(c, number=o), error={Exception: bad}
    )


class Patient(Machine[Ctx, int, str], name="pg-patient"):
    """A timer, during which notes are deferred; then a retried activity."""

    s = root(Ctx)
    sleeping = s.state(initial=True)
    awake = s.state()
    trying = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    sleeping.after(timedelta(milliseconds=50), awake)
    sleeping.defer(Note)
    awake.on(Note, trying, assign=lambda c, e: noted(c, e.word))
    trying.invoke(
        shaky, lambda c: c.number, done=done, assign=lambda c, o: noted(c, o), error={Exception: bad}
    )


class Sender(Machine[Errand, Errand, int], name="pg-sender"):
    """Tells another run."""

    s = root(Errand)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: Errand) -> Errand:
        return i

    @staticmethod
    def result(c: Errand) -> int:
        return c.number

    waiting.on(Go, done, send=lambda c, e: Message(Note("sent"), machine="pg-patient", key=c.to))
