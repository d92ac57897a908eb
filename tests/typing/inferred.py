"""What type checkers infer of users' code. Checked, never run."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar, assert_type

import psycopg
from attrs import evolve, frozen
from sqlalchemy.orm import Session

from continuum_core.client import Client, Handle
from continuum_core.definition.activity import Activity, AsyncActivity, PlainActivity, activity
from continuum_core.definition.chart import Chart
from continuum_core.definition.declare import Choice, Final, History, Machine, Parallel, Root, State, root, to
from continuum_core.definition.event import AnyEvent, Question, event
from continuum_core.definition.failure import Failure
from continuum_core.definition.known import pure
from continuum_core.definition.message import Message
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import Do, Steps, steps
from continuum_core.definition.transaction import Transaction
from continuum_core.sync_client import SyncClient, SyncHandle
from continuum_core.testing import Engine

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


@frozen
class Given:
    key: str
    total: int


@frozen
class Ctx:
    given: Given
    token: str = ""


@frozen
class Receipt:
    key: str


@frozen
class Payment:
    token: str
    amount: int


class Pool:
    """A resource."""


@event
class Paid:
    token: str
    amount: int = 0


@event
class Quote(Question[Receipt]):
    count: int


@event(name="cancel", version=2)
class Cancel:
    reason: str


@activity()
async def refund(charge: str) -> None: ...


@activity(undo=refund, timeout=timedelta(seconds=5))
async def charge(payment: Payment, *, pool: Pool) -> str:
    return payment.token


@activity(executor="process")
def count(text: str) -> int:
    return len(text)


@activity(undo=refund)
def book(payment: Payment) -> str:
    return payment.token


def payer(payment: Payment) -> str:
    return payment.token


@activity(queue=Queue("cards", limit=3, rate=Rate(10, timedelta(seconds=1))), fairness=payer)
async def pay(payment: Payment, *, pool: Pool) -> int:
    return payment.amount


@activity(fairness=payer, undo=refund)
def hold(payment: Payment) -> str:
    return payment.token


@activity()
async def enter(payment: Payment, *, connection: Transaction[psycopg.AsyncConnection], pool: Pool) -> int:
    assert_type(connection, psycopg.AsyncConnection)
    rows = await connection.execute("SELECT 1")
    return rows.rowcount


@activity()
def enter_plainly(payment: Payment, *, session: Transaction[Session]) -> int:
    assert_type(session, Session)
    return payment.amount


assert_type(enter, AsyncActivity[Payment, int])
assert_type(enter_plainly, PlainActivity[Payment, int])
assert_type(pay, AsyncActivity[Payment, int])
assert_type(hold, PlainActivity[Payment, str])
assert_type(charge, AsyncActivity[Payment, str])
assert_type(count, PlainActivity[str, int])
assert_type(book, PlainActivity[Payment, str])
assert_type(charge(Payment("t", 1)), Awaitable[str])
assert_type(count("abc"), int)
plain: Activity[Payment, object] = charge

assert_type(Paid("t").amount, int)
assert_type(Cancel("no").reason, str)


@pure
def is_big(c: Ctx) -> bool:
    return c.given.total > 100


def covers(c: Ctx, e: Paid) -> bool:
    return e.amount >= c.given.total


def few(c: Ctx, f: Failure) -> bool:
    return not f.message and not c.token


class Order(Machine[Ctx, Given, Receipt], name="order", version=2, trusted_modules=("pricing",)):
    s = root(Ctx)
    asking = s.state(initial=True)
    branch = s.choice()
    both = s.parallel()
    left = both.state()
    right = both.state()
    back = s.history(deep=True, default=asking)
    closed = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: Given) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> Receipt:
        return Receipt(c.given.key)

    asking.on(Paid, branch, when=covers, assign=lambda c, e: assert_type(evolve(c, token=e.token), Ctx))
    asking.on(
        Paid,
        branch,
        when=is_big,
        assign=lambda c, e: evolve(assert_type(c, Ctx), token=assert_type(e.token, str)),
    )
    asking.on(Cancel, failed, send=lambda c, e: Message(e, machine="other", key=c.given.key))
    asking.on(AnyEvent, raise_=lambda c, e: (Cancel("x"), Paid("y")) if c.token else None)
    asking.answer(
        Quote,
        lambda c, e: Receipt(assert_type(c, Ctx).token * assert_type(e, Quote).count),
        when=lambda c, e: assert_type(e.count, int) > 1,
        assign=lambda c, e: assert_type(evolve(c, token=""), Ctx),
    )
    asking.after(timedelta(minutes=1), failed, when=lambda c: assert_type(c.given.total, int) > 1)
    asking.after(lambda c: timedelta(minutes=c.given.total), (left, right))
    branch.always(closed, when=is_big)
    branch.always(both, assign=lambda c: evolve(c, token=assert_type(c.token, str)))
    left.invoke(
        charge,
        lambda c: Payment(c.token, c.given.total),
        done=closed,
        assign=lambda c, out: evolve(c, token=assert_type(out, str)),
        error={
            KeyError: to(
                asking, when=few, assign=lambda c, f: evolve(c, token=assert_type(f, Failure).message)
            ),
            Exception: failed,
        },
        key=lambda c: c.given.key,
    )
    right.invoke(
        count,
        lambda c: c.token,
        done=back,
        assign=lambda c, n: evolve(c, token="x" * assert_type(n, int)),
        error=failed,
    )
    right.entry(lambda c: evolve(c, token=assert_type(c, Ctx).token))
    right.exit(raise_=lambda c: Cancel(c.token))
    right.defer(Cancel, Paid)
    both.done(closed, when=lambda c: c.token == "")


assert_type(Order.s, Root[Ctx])
assert_type(Order.asking, State[Ctx])
assert_type(Order.branch, Choice[Ctx])
assert_type(Order.both, Parallel[Ctx])
assert_type(Order.back, History[Ctx])
assert_type(Order.closed, Final[Ctx])
assert_type(Order.chart, Chart)
assert_type(Order.asking.path, str)


def start(machine: type[Machine[C, I, O]], given: I) -> O:
    """As the client's."""
    raise NotImplementedError(machine, given)


assert_type(start(Order, Given("k", 1)), Receipt)


async def joined(client: Client, connection: psycopg.AsyncConnection, session: Session) -> None:
    """The two faces of a start, in a transaction of the caller's."""
    handle = await client.start(Order, Given("k", 1), key="k", connection=connection)
    assert_type(handle, Handle[Receipt, Ctx])
    await handle.send(Paid("t"), connection=session)
    assert_type(await handle.result(), Receipt)
    assert_type(await handle.ask(Quote(1), timeout=1, id="q"), Receipt)
    assert_type(await client.ask("id", Quote(1)), Receipt)
    assert_type(await handle.query(is_big), bool)
    assert_type(await handle.query(lambda c: c.given.total), int)
    assert_type((await handle.view()).context, Ctx)
    assert_type(client.get(Order, "k"), Handle[Receipt, Ctx])
    assert_type(await handle.fork(3), Handle[Receipt, Ctx])
    plain: Handle[Receipt] = handle
    assert_type((await plain.view()).context, Any)
    assert_type((await client.get("order", "k").view()).context, Any)
    await client.start("order", {"key": "k"}, connection=session)


def joined_plainly(client: SyncClient, connection: psycopg.Connection) -> None:
    """The same without an event loop."""
    handle = client.start(Order, Given("k", 1), connection=connection)
    assert_type(handle, SyncHandle[Receipt, Ctx])
    handle.send(Paid("t"), connection=connection)
    assert_type(handle.result(), Receipt)
    assert_type(handle.ask(Quote(1)), Receipt)
    assert_type(handle.query(is_big), bool)
    assert_type(handle.query(lambda c, view: view.context.given.total + c.given.total), int)
    assert_type(handle.view().context, Ctx)
    assert_type(client.get(Order, "k"), SyncHandle[Receipt, Ctx])


# --- sequences ---------------------------------------------------------------------------------------


def failed(c: Ctx, f: Failure) -> Ctx:
    return evolve(c, token=f.message)


p = steps(Ctx)
assert_type(p, Steps[Ctx])
paying = p.do(
    charge,
    lambda c: Payment(c.token, c.given.total),
    assign=lambda c, taken: evolve(c, token=taken.upper()),
    send=lambda c, taken: Message(Cancel(taken.lower()), machine="other", key=c.given.key),
    error={
        KeyError: p.to(p.fail("declined"), when=lambda c, f: f.type == c.token, assign=failed),
        ValueError: p.fail(assign=lambda c: evolve(c, token="")),
        Exception: (),
    },
    key=lambda c: c.given.key.upper(),
)
assert_type(paying, Do[Ctx])


def opened(given: Given) -> Ctx:
    return Ctx(given)


def receipt(c: Ctx) -> Receipt:
    return Receipt(c.given.key)


Listed = sequence(
    "listed",
    paying,
    p.wait(
        Paid,
        when=lambda c, e: e.amount >= c.given.total,
        assign=lambda c, e: evolve(c, token=e.token.upper()),
        unless=p.on(Cancel, p.fail(), assign=lambda c, e: evolve(c, token=e.reason.upper())),
        within=lambda c: timedelta(days=c.given.total),
        late=(p.pause("grace", timedelta(days=1), assign=lambda c: evolve(c, token="late")), p.end()),
    ),
    p.branch(
        p.when(lambda c: c.given.total > 1, p.wait(Cancel), assign=lambda c: evolve(c, token="big")),
        otherwise=p.do(refund, lambda c: c.token.upper()),
    ),
    anytime=p.on(Cancel, p.fail()),
    init=opened,
    result=receipt,
)
assert_type(Listed, type[Machine[Ctx, Given, Receipt]])


async def starts_listed(client: Client) -> None:
    assert_type(await client.start(Listed, Given("k", 1)), Handle[Receipt, Ctx])


async def tries(engine: Engine) -> None:
    assert_type(await engine.start(Order, Given("k", 1)), Handle[Receipt, Ctx])
