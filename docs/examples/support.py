"""A support ticket: one of each construct that a machine can be made of."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve, frozen

from continuum_core import AnyEvent, Failure, Machine, Message, activity, event, now, root, to


@frozen
class Question:
    """What a ticket is started with."""

    text: str
    team: str


@frozen
class Context:
    """What a ticket remembers."""

    question: Question
    opened: datetime | None = None
    draft: str = ""
    found: tuple[str, ...] = ()
    rounds: int = 0
    touched: int = 0


@frozen
class Abandoned:
    """Why a ticket failed."""

    rounds: int


@event
class Taken:
    by: str


@event
class Drafted:
    text: str


@event
class Ready:
    pass


@event
class Hold:
    pass


@event
class Unhold:
    pass


@event
class Empty:
    """Raised by the machine itself."""


@event
class Closed:
    """Sent to the run of the team."""

    question: str


@activity(timeout=timedelta(seconds=30))
async def search(question: str) -> tuple[str, ...]:
    return (f"an old answer to {question!r}",)


def is_empty(c: Context) -> bool:
    return not c.draft


def tell_team(c: Context) -> Message:
    return Message(Closed(c.question.text), machine="team", key=c.question.team)


def without_finds(c: Context, failure: Failure) -> Context:
    return evolve(c, found=(f"the search failed: {failure.message}",))


class Ticket(Machine[Context, Question, str], name="ticket"):
    s = root(Context)
    active = s.state(initial=True)
    waiting = active.state(initial=True)
    working = active.parallel()
    answering = working.state()
    drafting = answering.state(initial=True)
    drafted = answering.final()
    researching = working.state()
    searching = researching.state(initial=True)
    searched = researching.final()
    deciding = active.choice()
    where_it_was = active.history(deep=True)
    on_hold = s.state()
    answered = s.final()
    abandoned = s.final(ok=False)

    @staticmethod
    def init(i: Question) -> Context:
        return Context(i)

    @staticmethod
    def result(c: Context) -> str:
        return c.draft

    @staticmethod
    def verdict(c: Context) -> Abandoned:
        return Abandoned(c.rounds)

    active.entry(lambda c: evolve(c, opened=c.opened or now()))
    active.after(timedelta(days=7), abandoned)
    active.on(Hold, on_hold)

    waiting.on(Taken, working, assign=lambda c, e: evolve(c, rounds=c.rounds + 1))
    waiting.on(AnyEvent, assign=lambda c, e: evolve(c, touched=c.touched + 1))

    drafting.on(Drafted, assign=lambda c, e: evolve(c, draft=e.text))
    drafting.on(Ready, when=is_empty, raise_=lambda c, e: Empty())
    drafting.on(Ready, drafted)
    searching.invoke(
        search,
        lambda c: c.question.text,
        done=searched,
        assign=lambda c, found: evolve(c, found=found),
        error=to(searched, assign=without_finds),
    )
    working.on(Empty, waiting)
    working.done(deciding)

    deciding.always(waiting, when=lambda c: len(c.draft) < 5)
    deciding.always(answered)

    on_hold.defer(Drafted, Ready)
    on_hold.on(Unhold, where_it_was)

    answered.entry(send=tell_team)
