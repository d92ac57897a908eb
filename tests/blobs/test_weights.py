"""What the quick look counts is what the long way swaps: nothing large passes it."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import pytest

from continuum_core.blobs import rows, weights
from continuum_core.blobs.keeper import Keeper
from continuum_core.journal.blobs import BlobKeeping
from continuum_core.journal.commit import Commit, FinishKind, Member, NewRun, NewTask, TaskFinish
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, RunStatus

RUN, CHILD, ID = UUID(int=1), UUID(int=2), UUID(int=3)


def turn() -> Commit:
    """One with a payload in each place that has one, each of another length."""
    return Commit(
        run_id=RUN,
        fence=None,
        version=0,
        base=None,
        commit_id=ID,
        fingerprint="f",
        status=RunStatus.RUNNING,
        snapshot=b"s" * 1,
        records=(Record(RUN, 1, RecordKind.STEP, 0, ID, ID, b"r" * 2),),
        now=0,
        outcome=b"o" * 4,
        deliveries=(Delivery(ID, RUN, DeliveryKind.SIGNAL, b"d" * 8),),
        tasks=(NewTask(1, 0, "a", "default", 5, b"t" * 16),),
        starts=(NewRun(CHILD, "m", "f", b"", Delivery(ID, CHILD, DeliveryKind.START, b"c" * 32)),),
        members=(Member(1, 0, b"m" * 64),),
    )


def start() -> NewRun:
    return NewRun(RUN, "m", "f", b"", Delivery(ID, RUN, DeliveryKind.START, b"i" * 128), turn=turn())


def finish() -> TaskFinish:
    told = Delivery(ID, RUN, DeliveryKind.OUTCOME, b"p" * 256)
    return TaskFinish(RUN, 1, 0, 1, FinishKind.FAILED, delivery=told, failure=b"f" * 512, turn=turn())


class Seen:
    """A swap that counts what it is shown and swaps nothing."""

    def __init__(self) -> None:
        self.weight = 0

    def __call__(self, run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes:
        self.weight += len(data)
        return data


def test_a_turn_weighs_what_its_payloads_do() -> None:
    seen = Seen()
    rows.commit(turn(), seen)
    assert weights.commit(turn()) == seen.weight == 127


def test_a_start_weighs_its_input_and_its_first_turn() -> None:
    seen = Seen()
    rows.new_run(start(), seen)
    assert weights.new_run(start()) == seen.weight == 128 + 127


def test_an_outcome_weighs_what_it_tells_and_the_turn_that_rides_on_it() -> None:
    seen = Seen()
    rows.finish(finish(), seen)
    assert weights.finish(finish()) == seen.weight == 256 + 512 + 127


@pytest.mark.parametrize(("large", "passes"), [(128, True), (127, False), (None, True)])
def test_rows_pass_while_all_together_are_smaller_than_one_large_payload(
    large: int | None, passes: bool
) -> None:
    keeper = Keeper(cast(BlobKeeping, None), large)  # nothing is asked of the journal
    assert keeper.passes([turn(), turn()], weights.commit) is passes
