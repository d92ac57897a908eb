"""A machine driven by hand replies to questions."""

from __future__ import annotations

from typing import Any, assert_type

import pytest

from continuum_core import AskRejected, RunOver, UsageError
from continuum_core.testing import Drive
from tests.runtime.talks import Buy, Close, Nudge, Open, Price, Quote, Shop, Stock


def trading() -> Drive[Stock, int, int]:
    run = Drive(Shop, 5)
    run.send(Open())
    return run


def test_a_question_gets_its_typed_reply() -> None:
    run = trading()
    price = run.ask(Quote(2))
    assert_type(price, Price)
    assert price == Price(6, 0)
    assert run.ask(Buy(2)) == 3, "the context after the edge"
    assert run.ask(Close()) == "sold 2"
    assert run.states == {"counting"}


def test_an_edge_without_a_reply_answers_none_where_the_question_is_of_none() -> None:
    asked: Any = trading().ask(Nudge())
    assert asked is None


@pytest.mark.parametrize(
    ("run", "asked", "reason"),
    [
        (trading(), Quote(9), "guarded"),
        (Drive(Shop, 5), Quote(1), "unexpected"),
    ],
)
def test_why_there_is_no_reply(run: Drive[Stock, int, int], asked: Quote, reason: str) -> None:
    with pytest.raises(AskRejected) as caught:
        run.ask(asked)
    assert caught.value.reason == reason


def test_a_question_taken_by_any_edge_says_nothing() -> None:
    run = trading()
    run.ask(Close())
    with pytest.raises(AskRejected, match="by an edge that says nothing"):
        run.ask(Quote(1))


def test_a_question_that_is_kept_for_later_is_told() -> None:
    run = Drive(Shop, 5)
    with pytest.raises(UsageError, match="waits for a state that takes it: the run is in closed"):
        run.ask(Buy(1))
    assert run.deferred == [Buy(1)]
    run.send(Open())
    assert run.context == Stock(4, 1), "it was taken then"


def test_what_is_no_question_is_refused() -> None:
    no_question: Any = Open()
    with pytest.raises(UsageError, match="Open is no question"):
        trading().ask(no_question)
    no_instance: Any = Quote
    with pytest.raises(UsageError, match="not the class"):
        trading().ask(no_instance)


def test_a_run_that_is_over_replies_to_nobody() -> None:
    run = trading()
    run.cancel()
    with pytest.raises(RunOver):
        run.ask(Quote(1))


def test_replies_of_a_fork_are_its_own() -> None:
    run = Drive(Shop, 5)
    other = run.fork()
    with pytest.raises(AskRejected):
        other.ask(Quote(1))
    with pytest.raises(UsageError, match="waits for a state that takes it"):
        run.ask(Buy(1))
