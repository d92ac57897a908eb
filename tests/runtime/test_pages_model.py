"""Reading the due index, against a list: what just became due is read before a rest, and all else soon."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Claims,
    DueEntry,
    RunClaim,
)
from continuum_core.runtime.pages import Pages

POLL = 5.0
START = 1_000_000_000
SCAN = 2
TAKEN = RunClaim(UUID(int=1), "m", "f", 1, 1, 1, None, b"", 1, START, ())


class Index:
    """Due times, some of which can be taken. One page takes a hundredth of a second."""

    def __init__(self, head: int) -> None:
        self.now: Micros = START
        self._count = 0
        # Four at a time of one due time: more than a page.
        self.stuck = [self.entry(place // 4 * 10) for place in range(head)]
        self.free: list[DueEntry] = []

    def entry(self, due: Micros) -> DueEntry:
        self._count += 1
        return DueEntry(due, UUID(int=self._count))

    def seconds(self) -> float:
        return self.now / 1e6

    def page(self, after: DueEntry) -> Claims:
        self.now += 10_000
        due = sorted(each for each in [*self.stuck, *self.free] if after <= each and each.due <= self.now)
        found = next((each for each in due[:SCAN] if each in self.free), None)
        if found is not None:
            self.free.remove(found)
        reached = due[SCAN] if len(due) > SCAN else None
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
                index.free.append(index.entry(index.now))
                pages.stir()
                more = True
            case "stuck":
                index.stuck.append(index.entry(index.now))
            case "old":
                index.free.append(index.entry(START - 15_000_000))
            case "rest" if not more:
                index.now += round(pages.rest(index.seconds()) * 1e6)
                more = True
            case _:
                more = read(pages, index)
        assert more or all(each.due < START for each in index.free), "it rests beside what just became due"
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
                    index.free.append(index.entry(index.now))
                    pages.stir()
                if not read(pages, index):
                    assert not index.free, f"it rests beside what became due at step {moment} before {head}"
                    index.now += round(pages.rest(index.seconds()) * 1e6)
