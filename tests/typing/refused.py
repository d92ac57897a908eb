"""What type checkers refuse in users' code: every line marked with E, and no other. Checked, never run."""

from datetime import timedelta

import psycopg
from attrs import evolve, frozen

from continuum_core.client import Client, Handle
from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.event import Question, event
from continuum_core.definition.sequence import sequence
from continuum_core.definition.steps import steps
from continuum_core.definition.transaction import Transaction


@frozen
class Ctx:
    total: int
    token: str = ""


@frozen
class Payment:
    token: str


@event
class Paid:
    token: str


@event
class Quote(Question[int]):
    count: int


@activity()
async def charge(payment: Payment) -> str:
    return payment.token


@activity()
async def refund(charge: int) -> None: ...


@activity()
async def enter(payment: Payment, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
    connection.execute_("SELECT 1")  # E: no method of the connection


def pay(c: Ctx) -> Payment:
    return Payment(c.token)


class Order(Machine[Ctx, int, str], name="order"):
    s = root(Ctx)
    asking = s.state(initial=True)
    branch = s.choice()
    closed = s.final()

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> int:  # E: wrong result type
        return c.total

    asking.on(Paid, closed, assign=lambda c, e: evolve(c, token=e.tokne))  # E: payload typo
    asking.on(Paid, closed, assign=lambda c, e: e.token)  # E: wrong reducer return
    asking.answer(Quote, lambda c, e: "three", closed)  # E: wrong reply type
    asking.answer(Quote, lambda c, e: e.cuont, closed)  # E: payload typo
    asking.answer(Paid, lambda c, e: 1, closed)  # E: no question
    asking.invoke(charge, lambda c: c.token, done=closed, error=closed)  # E: wrong activity input
    asking.invoke(charge, pay, assign=lambda c, out: Ctx(out), error=closed)  # E: wrong output use
    asking.on(Paid, "closed")  # E: string target
    asking.on(Paid("t"), closed)  # E: an event instead of its class
    asking.on(Paid, closed, when=lambda c, e: c.tokne == e.token)  # E: context typo
    asking.on(Paid, closed, internal=1.5)  # E: wrong flag
    asking.after("30", closed)  # E: a text instead of a length of time
    asking.after(timedelta(minutes=1), closed, when=lambda c: c.totla > 1)  # E: context typo
    asking.invoke(charge, pay, error=to(closed, assign=lambda c, f: f))  # E: wrong reducer of a failure
    closed.on(Paid, asking)  # E: an edge of a final state
    branch.after(timedelta(minutes=1), closed)  # E: a timer of a choice


@activity(undo=refund)  # E: the undo does not take what this one gives
async def book(payment: Payment) -> str:
    return payment.token


def whose(paid: Paid) -> str:
    return paid.token


def counted(payment: Payment) -> int:
    return len(payment.token)


@activity(fairness=whose)  # E: fairness takes something else than the input
async def pay_fairly(payment: Payment) -> str:
    return payment.token


@activity(fairness=counted)  # E: a fairness key is text
async def pay_counted(payment: Payment) -> str:
    return payment.token


Paid("t").token = "u"  # E: events are frozen
Paid(token=1)  # E: a field of the wrong type


def begun(i: int) -> Ctx:
    return Ctx(i)


def total(c: Ctx) -> int:
    return c.total


p = steps(Ctx)
p.do(charge, lambda c: c.token)  # E: wrong activity input
p.do(charge, pay, assign=lambda c, out: Ctx(out))  # E: wrong output use
p.do(charge, pay, assign=lambda c, out: out)  # E: wrong reducer return
p.do(charge, pay, error={ValueError: p.on(Paid)})  # E: an event's way for an error
p.do(charge, pay, error=p.to(assign=lambda c, f: f))  # E: wrong reducer of a failure
p.wait(Paid, assign=lambda c, e: evolve(c, token=e.tokne))  # E: payload typo
p.wait(Paid("t"))  # E: an event instead of its class
p.wait(Paid, within="30")  # E: a text instead of a length of time
p.wait(Paid, unless=p.when(lambda c: c.total > 1))  # E: a branch's way for an event
p.branch(p.when(lambda c: c.totla > 1))  # E: context typo
p.branch(p.on(Paid))  # E: an event's way in a branch
p.pause("rest", "30")  # E: a text instead of a length of time
sequence("other", steps(Payment).wait(Paid), init=begun, result=total)  # E: steps of another context
sequence("none", Paid, init=begun, result=total)  # E: no step


async def looks(client: Client, handle: Handle[str, Ctx]) -> None:
    print((await handle.view()).context.totla)  # E: context typo
    await handle.query(lambda c: c.totla)  # E: context typo
    await handle.query(lambda c, view: view.context.totla)  # E: context typo
    print((await client.get(Order, "k").view()).context.totla)  # E: context typo
