"""Machines for the tests: the order of the manual, and nested, parallel and history fixtures."""

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.event import AnyEvent, event
from continuum_core.definition.failure import Failure
from continuum_core.definition.message import Message
from continuum_core.definition.retry import Retry


@frozen
class PlaceOrder:
    order_id: str
    total: int
    parcels: tuple[str, ...] = ()


@frozen
class Charge:
    token: str
    amount: int


@frozen
class Receipt:
    order_id: str
    tracking: tuple[str, ...]


@frozen
class Ctx:
    order: PlaceOrder
    hold: str = ""
    token: str = ""
    tracking: tuple[str, ...] = ()
    reason: str = ""


@event
class Authorised:
    token: str
    amount: int


@event
class Approved:
    by: str


@event
class Picked:
    bin: str


@event
class Cancel:
    reason: str


class OutOfStock(Exception):
    pass


class Declined(Exception):
    pass


@activity()
async def release(hold: str) -> None:
    return None


@activity(retry=Retry(attempts=5, fatal=(OutOfStock,)), timeout=timedelta(seconds=10))
async def reserve(order: PlaceOrder) -> str:
    return f"hold-{order.order_id}"


@activity(retry=Retry(attempts=8, fatal=(Declined,)))
async def charge(payment: Charge) -> str:
    return f"ch-{payment.token}"


@activity()
async def send_invoice(order_id: str) -> None:
    return None


@activity()
def print_labels(parcels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"trk-{parcel}" for parcel in parcels)


def is_big(c: Ctx) -> bool:
    return c.order.total > 1000_00


def covers(c: Ctx, e: Authorised) -> bool:
    return e.amount >= c.order.total


class Order(Machine[Ctx, PlaceOrder, Receipt], name="order", version=2):
    """The order of the manual: invokes, a choice, a timer, two regions, a failed end with a verdict."""

    s = root(Ctx)
    reserving = s.state(initial=True)
    screening = s.choice()
    review = s.state()
    paying = s.state()
    charging = s.state()
    fulfilling = s.parallel()
    goods = fulfilling.state()
    picking = goods.state(initial=True)
    shipping = goods.state()
    gone = goods.final()
    papers = fulfilling.state()
    invoicing = papers.state(initial=True)
    invoiced = papers.final()
    undoing = s.state()
    completed = s.final()
    cancelled = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> Receipt:
        return Receipt(c.order.order_id, c.tracking)

    @staticmethod
    def verdict(c: Ctx) -> str:
        return c.reason

    reserving.invoke(
        reserve,
        lambda c: c.order,
        done=screening,
        assign=lambda c, hold: evolve(c, hold=hold),
        error={
            OutOfStock: to(cancelled, assign=lambda c, f: evolve(c, reason=f.message)),
            Exception: undoing,
        },
    )
    screening.always(review, when=is_big)
    screening.always(paying)
    review.on(Approved, paying)
    paying.on(Authorised, charging, when=covers, assign=lambda c, e: evolve(c, token=e.token))
    paying.after(timedelta(minutes=30), undoing)
    charging.invoke(
        charge,
        lambda c: Charge(c.token, c.order.total),
        done=fulfilling,
        error={Declined: paying, Exception: undoing},
        key=lambda c: c.order.order_id,
    )
    picking.on(Picked, shipping)
    shipping.invoke(
        print_labels,
        lambda c: c.order.parcels,
        done=gone,
        assign=lambda c, ts: evolve(c, tracking=ts),
        error=undoing,
    )
    invoicing.invoke(send_invoice, lambda c: c.order.order_id, done=invoiced, error={Exception: undoing})
    fulfilling.done(completed)
    s.on(Cancel, undoing, assign=lambda c, e: evolve(c, reason=e.reason))
    undoing.on(Cancel)
    undoing.invoke(release, lambda c: c.hold, done=cancelled, error=cancelled)


# --- nested states, self transitions, internal edges, deferral, entry and exit ---------------------


@event
class Up:
    pass


@event
class Down:
    pass


@event
class Reset:
    pass


@event
class Quit:
    pass


@frozen
class Count:
    value: int = 0
    log: tuple[str, ...] = ()


def logged(word: str, c: Count) -> Count:
    return evolve(c, log=(*c.log, word))


class Lift(Machine[Count, int, int], name="lift"):
    """Three levels deep; every kind of edge that needs no activity."""

    s = root(Count)
    running = s.state(initial=True)
    low = running.state(initial=True)
    idle = low.state(initial=True)
    moving = low.state()
    high = running.state()
    top = high.state(initial=True)
    over = s.final()

    @staticmethod
    def init(i: int) -> Count:
        return Count(i)

    @staticmethod
    def result(c: Count) -> int:
        return c.value

    running.entry(lambda c: logged("+running", c))
    running.exit(lambda c: logged("-running", c))
    low.entry(lambda c: logged("+low", c))
    low.exit(lambda c: logged("-low", c))
    idle.on(Up, moving, assign=lambda c, e: evolve(c, value=c.value + 1))
    moving.on(Up, high, when=lambda c, e: c.value > 2)
    moving.on(Up, moving, assign=lambda c, e: evolve(c, value=c.value + 1))
    moving.on(
        Down,
        assign=lambda c, e: evolve(c, value=c.value - 1),
        raise_=lambda c, e: Reset() if not c.value else None,
    )
    low.on(Reset, idle, internal=True)
    idle.on(Reset)
    moving.defer(Quit)
    top.after(lambda c: timedelta(seconds=c.value), low)
    running.on(Quit, over, send=lambda c, e: Message(Reset(), machine="lift", key="other"))
    s.on(AnyEvent)


# --- regions and histories -------------------------------------------------------------------------


@event
class Pause:
    pass


@event
class Resume:
    pass


@event
class Next:
    pass


class Player(Machine[Count, int, int], name="player"):
    """Two regions, a deep and a shallow history, an early end from one region."""

    s = root(Count)
    playing = s.parallel(initial=True)
    sound = playing.state()
    quiet = sound.state(initial=True)
    loud = sound.state()
    picture = playing.state()
    first = picture.state(initial=True)
    second = picture.state()
    frame_a = second.state(initial=True)
    frame_b = second.state()
    seen = picture.final()
    exact = playing.history(deep=True)
    chapter = picture.history(default=first)
    paused = s.state()
    stopped = s.final()

    @staticmethod
    def init(i: int) -> Count:
        return Count(i)

    @staticmethod
    def result(c: Count) -> int:
        return c.value

    quiet.on(Up, loud)
    loud.on(Down, quiet)
    first.on(Next, second)
    frame_a.on(Next, frame_b)
    frame_b.on(Next, seen)
    playing.on(Pause, paused)
    playing.on(Quit, stopped)
    paused.on(Resume, exact)
    paused.on(Next, chapter)
    paused.on(Quit, stopped)


def few(c: Count, f: Failure) -> bool:
    return c.value < 3 and not f.message
