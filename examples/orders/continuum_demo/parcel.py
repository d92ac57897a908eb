"""The life of a parcel, as a statechart: a child run of its order.

It is labelled and handed over. One that the carrier declines, or that its order does not want any more,
has its label voided: `undo=` of the activity that printed it says so.
"""

from __future__ import annotations

from attrs import evolve, frozen

from continuum_core import Failure, Machine, root, to
from continuum_demo.activities import hand_over, print_label
from continuum_demo.order import Parcel

__all__ = ["Journey", "Shipment"]


@frozen
class Journey:
    """What a parcel remembers.

    :ivar trouble: why the carrier does not take it.
    """

    parcel: Parcel
    label: str = ""
    tracking: str = ""
    trouble: str = ""


def refused(c: Journey, f: Failure) -> Journey:
    return evolve(c, trouble=f.message)


class Shipment(Machine[Journey, Parcel, str], name="parcel"):
    """Label it and hand it over; gives its tracking number."""

    s = root(Journey)
    labelling = s.state(initial=True)
    handing_over = s.state()
    undoing = s.state()
    collected = s.final()
    declined = s.final(ok=False)

    @staticmethod
    def init(i: Parcel) -> Journey:
        return Journey(i)

    @staticmethod
    def result(c: Journey) -> str:
        return c.tracking

    @staticmethod
    def verdict(c: Journey) -> str:
        return c.trouble

    labelling.invoke(
        print_label,
        lambda c: c.parcel,
        done=handing_over,
        assign=lambda c, label: evolve(c, label=label),
        error=to(undoing, assign=refused),
    )
    handing_over.invoke(
        hand_over,
        lambda c: c.parcel,
        done=collected,
        assign=lambda c, tracking: evolve(c, tracking=tracking),
        error=to(undoing, assign=refused),
    )

    # Cancelled, as its order is left while it is under way, it cleans up too.
    s.on_cancel(undoing)
    undoing.on_cancel()
    undoing.compensate(declined)
