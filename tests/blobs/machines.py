"""Runs with more to say than their rows hold: the machines of the tests here."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root
from continuum_core.journal.protocol import Limits

SMALL = Limits(blobs=200)
"""So little that what the tests write is large."""

WHOLE = Limits(blobs=None)

TEXT = "once upon a time " * 20


@frozen
class Told:
    text: str
    heard: tuple[str, ...] = ()


@event
class Hear:
    text: str


@event
class Ask:
    pass


@event
class Stop:
    pass


@activity(retry=Retry(attempts=1))
async def louder(text: str) -> str:
    if text.startswith("unheard"):
        raise ValueError(text)
    return text.upper()


def heard(c: Told, e: Hear) -> Told:
    return evolve(c, heard=(*c.heard, e.text))


def answered(c: Told, text: str) -> Told:
    return evolve(c, text=text)


class Tale(Machine[Told, str, str], name="tale"):
    """Its input, an activity's input and output, its events, its context and its result are all large."""

    s = root(Told)
    shouting = s.state(initial=True)
    listening = s.state()
    end = s.final()
    lost = s.final(ok=False)
    shouting.invoke(louder, lambda c: c.text, done=listening, assign=answered, error=lost)
    shouting.defer(Hear, Stop)
    listening.on(Hear, assign=heard)
    listening.on(Stop, end)
    listening.after(timedelta(days=400), end)

    @staticmethod
    def init(i: str) -> Told:
        return Told(i)

    @staticmethod
    def result(c: Told) -> str:
        return " ".join((c.text, *c.heard))

    @staticmethod
    def verdict(c: Told) -> str:
        return c.text


class Whisper(Machine[Told, str, str], name="whisper"):
    """Keeps no records."""

    s = root(Told)
    listening = s.state(initial=True)
    end = s.final()
    s.remember("ephemeral")
    listening.on(Hear, assign=lambda c, e: evolve(c, text=e.text))
    s.on(Stop, end)

    @staticmethod
    def init(i: str) -> Told:
        return Told(i)

    @staticmethod
    def result(c: Told) -> str:
        return c.text


class Echo(Machine[str, str, str], name="echo"):
    s = root(str)
    shouting = s.state(initial=True)
    end = s.final()
    lost = s.final(ok=False)
    shouting.invoke(louder, lambda c: c, done=end, assign=lambda _, text: text, error=lost)

    @staticmethod
    def init(i: str) -> str:
        return i

    @staticmethod
    def result(c: str) -> str:
        return c

    @staticmethod
    def verdict(c: str) -> str:
        return c


@frozen
class Circle:
    texts: tuple[str, ...]
    got: tuple[str, ...] = ()


class Tellers(Machine[Circle, tuple[str, ...], tuple[str, ...]], name="tellers"):
    """Has each text told by a child run, and starts them in one commit."""

    s = root(Circle)
    telling = s.state(initial=True)
    end = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: tuple[str, ...]) -> Circle:
        return Circle(i)

    @staticmethod
    def result(c: Circle) -> tuple[str, ...]:
        return c.got

    @staticmethod
    def verdict(c: Circle) -> str:
        return "lost"

    telling.each(
        Echo,
        lambda c: c.texts,
        done=end,
        assign=lambda c, got: evolve(c, got=tuple(map(str, got))),
        error=lost,
    )
