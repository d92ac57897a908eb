"""Small machines for the engine's tests, each with one trait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from continuum_core import AnyEvent, Failure, Machine, Message, Retry, activity, event, root, to


@frozen
class Ctx:
    name: str
    log: tuple[str, ...] = ()


def noted(c: Ctx, word: str) -> Ctx:
    return evolve(c, log=(*c.log, word))


@event
class Go:
    word: str = "go"


@event
class Note:
    word: str


@event
class Finish:
    pass


class Refused(Exception):
    """Never worth another try."""


class Shaky(Exception):
    """Worth another try."""


@activity(retry=Retry(attempts=3, first=timedelta(seconds=1), jitter=0.0, fatal=(Refused,)))
async def work(name: str) -> str:
    return f"done {name}"


@activity(timeout=timedelta(seconds=30), retry=Retry(attempts=1))
async def bounded(name: str) -> str:
    return name


@activity()
def plain(name: str) -> str:
    return f"plain {name}"


@activity(queue="slow", priority=7)
async def slow(name: str) -> str:
    return name


@activity(retry=Retry(attempts=1))
async def shared(name: str) -> str:
    return name


@frozen
class Reason:
    why: str
    word: str = ""


class Job(Machine[Ctx, str, str], name="job"):
    """One activity, with success, a verdict and a way out while it runs."""

    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    stopped = s.final(ok=False)
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    @staticmethod
    def verdict(c: Ctx) -> Reason:
        return Reason(c.name, ",".join(c.log))

    working.invoke(
        work,
        lambda c: c.name,
        done=done,
        assign=lambda c, out: noted(c, out),
        error={
            Refused: to(failed, assign=lambda c, f: noted(c, "refused")),
            Exception: to(failed, assign=lambda c, f: noted(c, f.type)),
        },
    )
    working.on(Finish, stopped)


class Bounded(Machine[Ctx, str, str], name="bounded-job"):
    """An activity with a timeout and one try."""

    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    late = s.final(ok=False)
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    working.invoke(bounded, lambda c: c.name, done=done, error={TimeoutError: late, Exception: failed})


class Steps(Machine[Ctx, str, str], name="steps"):
    """Three activities in three states: what the hot path is for."""

    s = root(Ctx)
    one = s.state(initial=True)
    two = s.state()
    three = s.state()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    one.invoke(plain, lambda c: "1", done=two, assign=lambda c, o: noted(c, o), error={Exception: failed})
    two.invoke(work, lambda c: "2", done=three, assign=lambda c, o: noted(c, o), error={Exception: failed})
    three.invoke(slow, lambda c: "3", done=done, assign=lambda c, o: noted(c, o), error={Exception: failed})


class Waits(Machine[Ctx, str, str], name="waits"):
    """Waits for events; keeps some for later; gives up after an hour."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    ready = s.state()
    done = s.final()
    late = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    waiting.on(Go, ready, assign=lambda c, e: noted(c, e.word))
    waiting.defer(Note)
    waiting.after(timedelta(hours=1), late)
    ready.on(Note, assign=lambda c, e: noted(c, e.word))
    ready.on(Finish, done)


class Gated(Machine[Ctx, str, str], name="gated"):
    """Keeps notes until its activity is done, and takes one."""

    s = root(Ctx)
    working = s.state(initial=True)
    open_ = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    working.defer(Note)
    working.invoke(work, lambda c: c.name, done=open_, error={Exception: open_})
    open_.on(Note, done, assign=lambda c, e: noted(c, e.word))


class Broken(Machine[Ctx, str, str], name="fragile"):
    """A reducer that raises on one word."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    waiting.on(Note, assign=lambda c, e: noted(c, str({"good": 1}[e.word])))
    waiting.on(Finish, done)


class Mended(Machine[Ctx, str, str], name="fragile"):
    """The same machine after the fix."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    waiting.on(Note, assign=lambda c, e: noted(c, str({"good": 1}.get(e.word, 0))))
    waiting.on(Finish, done)


def finish(c: Ctx) -> Message:
    return Message(Finish(), machine="receiver", key=c.name)


class Sender(Machine[Ctx, str, str], name="sender"):
    """Sends three notes and a finish to the run of `Receiver` under its own name, in one step each."""

    s = root(Ctx)
    sending = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    sending.on(
        Go,
        send=lambda c, e: (
            Message(Note(f"{e.word}-1"), machine="receiver", key=c.name),
            Message(Note(f"{e.word}-2"), machine="receiver", key=c.name),
        ),
    )
    sending.on(Finish, done, send=finish)


class Receiver(Machine[Ctx, str, str], name="receiver"):
    """Takes notes until told to finish."""

    s = root(Ctx)
    open_ = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    open_.on(Note, assign=lambda c, e: noted(c, e.word))
    open_.on(Finish, done)
    open_.on(AnyEvent, assign=lambda c, e: noted(c, "?"))


class Keyed(Machine[Ctx, str, str], name="keyed"):
    """An activity whose outcome is shared by every run of the same name."""

    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    working.invoke(
        shared,
        lambda c: c.name,
        key=lambda c: c.name,
        done=done,
        assign=lambda c, o: noted(c, o),
        error={Exception: failed},
    )


def failure_text(failure: Failure) -> str:
    return f"{failure.type}: {failure.message}"


ALL: tuple[type[Machine[Any, Any, Any]], ...] = (
    Job,
    Bounded,
    Steps,
    Waits,
    Broken,
    Sender,
    Receiver,
    Keyed,
)
