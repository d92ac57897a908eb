"""Orders whose parcels are child runs: the machines of the tests here."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Failure, Machine, Retry, RunCancelled, RunFailed, activity, event, root

ONCE = Retry(attempts=1)


class Lost(Exception):
    """The parcel is gone."""


@event
class Pause:
    pass


@event
class Go:
    pass


@event
class Leave:
    pass


def same(text: str) -> str:
    """What one begins with, and what comes of it."""
    return text


@activity(retry=ONCE)
async def label(parcel: str) -> str:
    if parcel.startswith("lost"):
        raise Lost(parcel)
    return f"trk-{parcel}"


class Parcel(Machine[str, str, str], name="crew-parcel"):
    s = root(str)
    labelling = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(same)
    result = staticmethod(same)

    @staticmethod
    def verdict(c: str) -> str:
        return f"lost {c}"

    labelling.invoke(label, lambda c: c, done=shipped, assign=lambda _, t: t, error={Exception: lost})


class Slow(Machine[str, str, str], name="crew-slow"):
    """Waits to be told."""

    s = root(str)
    waiting = s.state(initial=True)
    shipped = s.final()

    @staticmethod
    def init(i: str) -> str:
        return i

    @staticmethod
    def result(c: str) -> str:
        return f"slow-{c}"

    waiting.on(Go, shipped)


@frozen
class Ctx:
    parcels: tuple[str, ...]
    got: tuple[str, ...] = ()
    why: str = ""


def begun_with(parcels: tuple[str, ...]) -> Ctx:
    return Ctx(parcels)


def whole(c: Ctx) -> Ctx:
    return c


def why(c: Ctx, failure: Failure) -> Ctx:
    return evolve(c, why=f"{failure.type.rpartition('.')[2]}: {failure.message}")


class One(Machine[Ctx, tuple[str, ...], Ctx], name="crew-one"):
    """Waits for one child run of each kind of end."""

    s = root(Ctx)
    working = s.state(initial=True)
    shipped = s.final()
    failed = s.state()
    stopped = s.state()
    over = s.state()
    left = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    working.invoke(
        Parcel,
        lambda c: c.parcels[0],
        done=shipped,
        assign=lambda c, tracking: evolve(c, got=(*c.got, tracking)),
        error={RunFailed: failed, RunCancelled: stopped, Exception: over},
    )
    failed.on(Go, left)
    stopped.on(Go, left)
    over.on(Go, left)
    working.on(Leave, left)


class Above(Machine[Ctx, tuple[str, ...], Ctx], name="crew-above"):
    """Waits for a run that waits for one."""

    s = root(Ctx)
    working = s.state(initial=True)
    shipped = s.final()
    failed = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    working.invoke(
        One, lambda c: c.parcels, done=shipped, assign=lambda _, below: below, error={Exception: failed}
    )


class Waits(Machine[Ctx, tuple[str, ...], Ctx], name="crew-waits"):
    """Waits for a slow child run, an event or a timer, whichever comes first."""

    s = root(Ctx)
    working = s.state(initial=True)
    shipped = s.final()
    late = s.final()
    left = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    working.invoke(
        Slow,
        lambda c: c.parcels[0],
        done=shipped,
        assign=lambda c, told: evolve(c, got=(told,)),
        error=lost,
    )
    working.on(Leave, left)
    working.after(timedelta(hours=1), late)


class Kept(Machine[Ctx, tuple[str, ...], Ctx], name="crew-kept"):
    """Starts child runs of every policy, and is left by an event."""

    s = root(Ctx)
    working = s.state(initial=True)
    left = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    working.invoke(Slow, lambda c: "cancel", error=left)
    working.invoke(Slow, lambda c: "terminate", error=left, closing="terminate")
    working.invoke(Slow, lambda c: "abandon", error=left, closing="abandon")
    working.spawn(Slow, lambda c: "forgotten")
    working.spawn(Slow, lambda c: "tied", closing="cancel")
    working.on(Leave, left)


def emptied(c: Ctx) -> Ctx:
    return evolve(c, parcels=())


class Fleet(Machine[Ctx, tuple[str, ...], Ctx], name="crew-fleet"):
    """Ships every parcel by a child run of its own, three at a time; the first that is lost ends it."""

    s = root(Ctx)
    shipping = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    @staticmethod
    def verdict(c: Ctx) -> str:
        return c.why

    shipping.each(
        Parcel,
        lambda c: c.parcels,
        limit=3,
        done=shipped,
        assign=lambda c, got: evolve(c, got=got),
        error=lost,
    )
    shipping.on(Go, assign=emptied)


class Wide(Machine[Ctx, tuple[str, ...], Ctx], name="crew-wide"):
    """Prints many labels at once."""

    s = root(Ctx)
    printing = s.state(initial=True)
    printed = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    printing.each(
        label,
        lambda c: c.parcels,
        limit=200,
        done=printed,
        assign=lambda c, got: evolve(c, got=got),
        error=lost,
    )


class Patient(Machine[str, str, str], name="crew-patient"):
    """Waits to be told, or prints a label at once."""

    s = root(str)
    deciding = s.choice(initial=True)
    waiting = s.state()
    labelling = s.state()
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(same)
    result = staticmethod(same)

    deciding.always(waiting, when=lambda c: c.startswith("wait"))
    deciding.always(labelling)
    waiting.on(Go, labelling)
    labelling.invoke(label, lambda c: c, done=shipped, assign=lambda _, t: t, error={Exception: lost})


class Mixed(Machine[Ctx, tuple[str, ...], Ctx], name="crew-mixed"):
    """Some members wait to be told, others do not: one may fail while its siblings run."""

    s = root(Ctx)
    shipping = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    shipping.each(
        Patient,
        lambda c: c.parcels,
        limit=3,
        done=shipped,
        assign=lambda c, got: evolve(c, got=got),
        error=lost,
    )


class Labels(Machine[Ctx, tuple[str, ...], Ctx], name="crew-labels"):
    """Prints every label by an activity, two at a time, and collects what fails."""

    s = root(Ctx)
    printing = s.state(initial=True)
    printed = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    printing.collect(
        label,
        lambda c: c.parcels,
        limit=2,
        done=printed,
        assign=lambda c, got: evolve(
            c, got=tuple(each if isinstance(each, str) else each.type.rpartition(".")[2] for each in got)
        ),
    )


hands: dict[str, int] = {}
"""What makes the collection of `Fickle` another one."""


def fickle(c: Ctx) -> tuple[str, ...]:
    return c.parcels + ("more",) * len(hands)


class Fickle(Machine[Ctx, tuple[str, ...], Ctx], name="crew-fickle"):
    """Its collection does not follow from the context alone, which is wrong."""

    s = root(Ctx)
    shipping = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    shipping.each(
        Patient, fickle, limit=1, done=shipped, assign=lambda c, got: evolve(c, got=got), error=lost
    )


@activity(retry=ONCE, timeout=timedelta(minutes=1))
async def unbook(booking: str) -> None:
    pass


@activity(retry=ONCE, undo=unbook, timeout=timedelta(minutes=1))
async def book(parcel: str) -> str:
    if parcel.startswith("lost"):
        raise Lost(parcel)
    return f"booked-{parcel}"


class Trips(Machine[Ctx, tuple[str, ...], Ctx], name="crew-trips"):
    """Books every parcel; where one is lost, what was booked is undone."""

    s = root(Ctx)
    booking = s.state(initial=True)
    undoing = s.state()
    booked = s.final()
    undone = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    booking.each(
        book,
        lambda c: c.parcels,
        limit=1,
        done=booked,
        assign=lambda c, got: evolve(c, got=got),
        error=undoing,
    )
    undoing.compensate(undone, assign=lambda c: evolve(c, why="undone"))


class Again(Machine[Ctx, tuple[str, ...], Ctx], name="crew-again"):
    """Prints its labels in two generations, and rests."""

    s = root(Ctx)
    printing = s.state(initial=True)
    printed = s.choice()
    anew = s.continue_as_new(lambda c: (*c.parcels, "last"))
    resting = s.state()
    end = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    printing.collect(
        label,
        lambda c: c.parcels[:2],
        done=printed,
        assign=lambda c, got: evolve(c, got=tuple(str(each) for each in got)),
    )
    printed.always(anew, when=lambda c: "last" not in c.parcels)
    printed.always(resting)
    resting.on(Go, end)


class Convoy(Machine[Ctx, tuple[str, ...], Ctx], name="crew-convoy"):
    """Ships very many parcels, each by a child run of its own."""

    s = root(Ctx)
    shipping = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    shipping.each(
        Parcel,
        lambda c: c.parcels,
        limit=20,
        done=shipped,
        assign=lambda c, got: evolve(c, got=got),
        error=lost,
    )


class Armada(Machine[Ctx, tuple[str, ...], Ctx], name="crew-armada"):
    """Ships even more of them."""

    s = root(Ctx)
    shipping = s.state(initial=True)
    shipped = s.final()
    lost = s.final(ok=False)

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    shipping.each(
        Parcel,
        lambda c: c.parcels,
        limit=50,
        done=shipped,
        assign=lambda c, got: evolve(c, got=got),
        error=lost,
    )


def broken(c: str) -> str:
    raise ValueError("this reducer always raises")


class Broken(Machine[str, str, str], name="crew-broken"):
    """Parks when it is told to go."""

    s = root(str)
    waiting = s.state(initial=True)
    shipped = s.final()

    init = staticmethod(same)
    result = staticmethod(same)

    waiting.on(Go, assign=broken)
    waiting.on(Pause, shipped)


class Trusts(Machine[Ctx, tuple[str, ...], Ctx], name="crew-trusts"):
    """Waits for a child run that parks, until it is left."""

    s = root(Ctx)
    working = s.state(initial=True)
    left = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    working.invoke(Broken, lambda c: c.parcels[0], done=left, error=left)
    working.on(Leave, left)
