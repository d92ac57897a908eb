"""The state machine of promise 22 for journals that carry runs: they also leave, go, and come back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from continuum_core.journal.carrying import Arrival, DepartOutcome, Departure, RunImage, Version, carrier_of
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.choices import places
from continuum_core.testing.conformance.given import new_id
from continuum_core.testing.conformance.machine import Parity
from continuum_core.testing.conformance.operating import operation

__all__ = ["CarryingParity"]


class CarryingParity(Parity):
    """Operations on both journals, those on whole runs among them."""

    @operation(place=places)
    def dump(self, place: int) -> None:
        run_id = self.some_run(place)

        async def work(journal: Journal, _: int) -> Any:
            (dumped,) = await carrier_of(journal).dump([run_id])
            return None if dumped is None else _shown(dumped.image)

        self.sides.ask(work)

    @operation(place=places, back=st.sampled_from(["left", "settled", "erased", "restored"]))
    def carry(self, place: int, back: str) -> None:
        """Have a run leave, and go so far with it as `back` says."""
        run_id, name = self.some_run(place), new_id()

        async def work(journal: Journal, _: int) -> Any:
            carrier = carrier_of(journal)
            (dumped,) = await carrier.dump([run_id])
            if dumped is None:
                return None
            image = replace(dumped.image, records=tuple(await journal.history(run_id)))
            leaving = Departure(run_id, dumped.mark, name, b"left", b"elsewhere")
            told: list[Any] = await carrier.depart([leaving])
            if told != [DepartOutcome.DEPARTED] or back == "left":
                return told
            await carrier.settle([Arrival(run_id)])
            if back != "settled":
                told += await carrier.erase([Version(run_id, name)])
            if back == "restored":
                arriving = replace(image, departure=name)
                for verb in (carrier.rehearse, carrier.restore, carrier.rehearse, carrier.restore):
                    told += await verb([arriving])
                await carrier.forget([Version(run_id, name)] if place % 2 else [])
            return told

        self.sides.ask(work)

    @operation(place=places)
    def restore_again(self, place: int) -> None:
        """What is here already is not written twice."""
        run_id = self.some_run(place)

        async def work(journal: Journal, _: int) -> Any:
            (dumped,) = await carrier_of(journal).dump([run_id])
            if dumped is None or dumped.image.run.outcome is not None:
                return None
            records = tuple(await journal.history(run_id))
            return await carrier_of(journal).restore([replace(dumped.image, records=records)])

        self.sides.ask(work)

    @operation()
    def tally(self) -> None:
        async def work(journal: Journal, _: int) -> Any:
            return [replace(each, day=0) for each in await carrier_of(journal).tally()]

        self.sides.ask(work)


def _shown(image: RunImage) -> list[object]:
    """An image without the times and fences that two journals may tell differently outside their rows."""
    seen = [(name, at is None) for name, at in image.seen]
    begun = [version for version, _ in image.generations]
    plain = replace(image, seen=(), reported=(), generations=())
    return [plain, seen, begun, [fence > 0 for fence in image.reported]]
