"""Reading the due index, against a list: what just became due is read before a rest, and all else soon."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from continuum_core.clock import Micros
from continuum_core.journal.commit import Claims, RunClaim
from continuum_core.runtime.pages import Pages

POLL = 5.0
START = 1_000_000_000
SCAN = 2
TAKEN = RunClaim(UUID(int=1), "m", "f", 1, 1, 1, None, b"", 1, START, ())


class Index:
    """Due times, some of which can be taken. One page takes a hundredth of a second."""

    def __init__(self, head: int) -> None:
        self.now: Micros = START
        self.stuck = list(range(0, head * 10, 10))
        self.free: list[Micros] = []

    def seconds(self) -> float:
        return self.now / 1e6

    def page(self, after: Micros) -> Claims:
        self.now += 10_000
        due = sorted([each for each in [*self.stuck, *self.free] if after <= each <= self.now])
        last = due[SCAN - 1] if len(due) > SCAN else self.now
        found = next((each for each in self.free if after <= each <= last), None)
        if found is not None:
            self.free.remove(found)
        reached = last + 1 if due and due[-1] > last else None
        return Claims(self.now, () if found is None else (TAKEN,), reached)


def read(pages: Pages, index: Index) -> bool:
    began = index.seconds()
    claims = index.page(pages.after(began))
    return pages.read(claims, index.seconds(), index.seconds() - began)


@given(
    st.integers(0, 12),
    st.lists(st.sampled_from(["new", "stuck", "old", "read", "read", "rest"]), max_size=60),
)
def test_who_was_hinted_at_is_read_before_anybody_rests(head: int, happens: list[str]) -> None:
    pages, index = Pages(POLL), Index(head)
    more = True
    for each in happens:
        match each:
            case "new":
                index.free.append(index.now)
                pages.stir()
                more = True
            case "stuck":
                index.stuck.append(index.now)
            case "old":
                index.free.append(START - 15_000_000)
            case "rest" if not more:
                index.now += round(pages.rest(index.seconds()) * 1e6)
                more = True
            case _:
                more = read(pages, index)
        assert more or all(due < START for due in index.free), "it rests beside what just became due"
    by = index.now + round(POLL * 1e6) * 2
    while index.free:
        if not read(pages, index):
            index.now += round(pages.rest(index.seconds()) * 1e6)
        assert index.now < by, "an event of long ago is never found"


def test_no_moment_is_the_wrong_one_for_a_hint() -> None:
    """Whatever page is read when something becomes due, one of a sweep too: it is read before a rest."""
    for head in range(8):
        for moment in range(60):
            pages, index = Pages(POLL), Index(head)
            for step in range(moment + 20):
                if step == moment:
                    index.free.append(index.now)
                    pages.stir()
                if not read(pages, index):
                    assert not index.free, f"it rests beside what became due at step {moment} before {head}"
                    index.now += round(pages.rest(index.seconds()) * 1e6)
