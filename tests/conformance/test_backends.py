"""The kit's tests, every one of them, on the backends that keep what they are given.

They are taken from the kit's own files, so that the suite's workers share them out one by one. That the
kit can fail, and that memory passes it as users run it, is shown in `test_kit`. Parity compares the same
few examples each time, fewer than the kit's own; ``--journal-examples`` asks for more.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from uuid import uuid4

import pytest

from continuum_core.testing import conformance
from continuum_core.testing.conformance import test_p22_parity
from continuum_core.testing.conformance.kit import Kit
from continuum_core.testing.conformance.twins import Twins

EXAMPLES = {"sqlite": 30, "postgres": 15, "redis": 30, "redis-tags": 0}
MANY = 250
PROMISES = sorted(path.stem for path in Path(conformance.__file__).parent.glob("test_p*.py"))


def kits_tests() -> dict[str, FunctionType]:
    """Every test of the kit, by a name that begins with its promise's."""
    found: dict[str, FunctionType] = {}
    for promise in PROMISES:
        module = importlib.import_module(f"{conformance.__name__}.{promise}")
        for name, test in vars(module).items():
            if name.startswith("test_") and isinstance(test, FunctionType):
                told = f"{promise[:8]}_{name.removeprefix('test_')}"
                assert told not in found, f"two tests are called {told}: one would hide the other"
                found[told] = test
    return found


globals().update(kits_tests())


OF_ONE_TAG = {
    "p02_messages_that_reach_nobody_are_kept[redis-tags-unknown]": "it waits for a run to be started",
    "p11_a_suspect_ends_the_batch_it_is_met_in": "it ends its own tag's",
    "p11_losses_grow_and_a_suspect_task_is_claimed_alone": "alone, but not in the order of one tag",
    "p13_runs_of_one_due_time": "what is due at one time is in order within a tag",
    "p13_a_claim_tells_how_far_it_read": "as far as the tag that read least",
    "p13_a_cap_holds_over_claims_and_handles": "it counts the leases of claims that state one",
    "p13_a_cap_counts_every_activity": "it counts the leases of claims that state one",
    "p13_a_renewed_lease_counts_on": "it counts the leases of claims that state one",
    "p13_a_rate_is_exact": "by the clock of the queue's tag, read a moment apart",
    "p13_a_claim_without_tokens_tells": "by the clock of the queue's tag, read a moment apart",
    "p13_one_task_waits_behind_one_of_each": "fairness holds within a tag",
    "p13_keys_are_dealt_in_the_order": "fairness holds within a tag",
    "p13_turns_": "fairness holds within a tag",
    "p13_priority_comes_before_fairness": "fairness holds within a tag",
    "p13_what_is_not_due_takes_no_turn": "fairness holds within a tag",
    "p13_limits_and_turns_work_together": "fairness holds within a tag",
    "p13_a_suspect_at_the_head": "it ends its own tag's claim",
    "p13_what_nobody_needs": "places are counted within a tag",
    "p13_a_place_is": "places are counted within a tag",
    "p16_letters_to_nobody": "they wait for a run to be started",
    "p18_messages_do_not_cross": "they wait for a run to be started",
    "p22_the_same_answers": "promised of Redis with one tag",
}
"""What a journal of several hash tags does not promise; reasons, by the beginnings of names of tests."""


@pytest.fixture(params=["sqlite", "postgres", "redis", pytest.param("redis-tags", marks=pytest.mark.long)])
def kit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    """The test's hand on its store: a file of its own, or namespaces of its own in one schema."""
    monkeypatch.setattr(test_p22_parity, "_EXAMPLES", EXAMPLES[request.param])
    monkeypatch.setattr(Twins, "counting", True)  # ours count exactly, as long as it is little
    if request.param == "sqlite":
        template = f"sqlite:///{request.getfixturevalue('tmp_path')}/%s.db"
    elif request.param == "postgres":
        template = f"{request.getfixturevalue('postgres_database')}?schema=%s"
    else:
        template = f"{request.getfixturevalue('redis_server')}?prefix=%s"
    if request.param == "redis-tags":
        for name, reason in OF_ONE_TAG.items():
            if request.node.name.removeprefix("test_").startswith(name):
                pytest.skip(f"capability 'one hash tag': {reason}")
        template = f"{template}&tags=4"
    kit = Kit(template % "kit", f"kit-{uuid4().hex}", lambda: template % f"kit_{uuid4().hex[:12]}")
    try:
        yield kit
    finally:
        kit.end()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(4))
def test_p22_the_same_answers_to_many_others(
    kit: Kit, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Promise 22 with other operations each time: a search, which tells how it can be repeated."""
    if not request.config.getoption("--journal-examples"):
        monkeypatch.setattr(request.config.option, "journal_examples", MANY)
    test_p22_parity.test_the_same_answers_to_the_same_operations(kit, request)


def test_p22_the_same_answers_by_two_clocks(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a stranger's journal, whose clock cannot be set: what tells the time is not compared."""
    monkeypatch.setattr(test_p22_parity, "_EXAMPLES", EXAMPLES["sqlite"])
    kit = Kit(f"sqlite:///{tmp_path}/clocks.db", "kit")
    kit.clock = None
    try:
        test_p22_parity.test_the_same_answers_to_the_same_operations(kit, request)
    finally:
        kit.end()


def test_every_promise_has_its_tests() -> None:
    numbers = sorted({promise[:8] for promise in PROMISES})
    assert numbers == [f"test_p{number:02}" for number in range(1, 29)]
    assert {name[:8] for name in kits_tests()} == {promise[:8] for promise in PROMISES}
