"""A customer signs up: a linear process, as a list of steps."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import activity, event, sequence, steps


@frozen
class Customer:
    mail: str
    company: str = ""


@frozen
class Context:
    customer: Customer
    account: str = ""
    problem: str = ""


@event
class Confirmed:
    pass


@event
class Withdrawn:
    reason: str


class Taken(Exception):
    """Somebody has an account with this address."""


@activity()
async def open_account(customer: Customer) -> str:
    return f"account-{customer.mail}"


@activity()
async def check_register(company: str) -> None:
    return None


@activity()
async def send_survey(account: str) -> None:
    return None


def begin(customer: Customer) -> Context:
    return Context(customer)


def account(c: Context) -> str:
    return c.account


def why(c: Context) -> str:
    return c.problem


p = steps(Context)

SignUp = sequence(
    "sign-up",
    p.do(
        open_account,
        lambda c: c.customer,
        assign=lambda c, number: evolve(c, account=number),
        error={Taken: p.fail("refused", assign=lambda c: evolve(c, problem="there is one already"))},
    ),
    p.branch(
        p.when(lambda c: c.customer.company != "", p.do(check_register, lambda c: c.customer.company)),
    ),
    p.wait(
        Confirmed,
        unless=p.on(Withdrawn, p.fail("refused"), assign=lambda c, e: evolve(c, problem=e.reason)),
        within=timedelta(days=3),
        late=p.fail("refused", assign=lambda c: evolve(c, problem="not confirmed")),
    ),
    p.pause("settling_in", timedelta(days=14)),
    p.do(send_survey, lambda c: c.account, error=()),
    init=begin,
    result=account,
    verdict=why,
)
