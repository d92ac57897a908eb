"""Charge, wait a day for a review, ship: the process that the pages for newcomers compare."""

from __future__ import annotations

from datetime import timedelta

from continuum_core import Machine, Retry, activity, event, root


@event
class Reviewed:
    ok: bool


@activity(retry=Retry(attempts=5), timeout=timedelta(seconds=30))
async def charge(order_id: str) -> str:
    return f"charge-{order_id}"


@activity(timeout=timedelta(minutes=5))
async def ship(order_id: str) -> str:
    return f"parcel-{order_id}"


class Approval(Machine[str, str, str], name="approval"):
    s = root(str)
    charging = s.state(initial=True)
    waiting = s.state()
    shipping = s.state()
    shipped = s.final()
    rejected = s.final(ok=False)

    @staticmethod
    def init(i: str) -> str:
        return i

    @staticmethod
    def result(c: str) -> str:
        return c

    charging.invoke(charge, lambda c: c, done=waiting, error=rejected)
    charging.defer(Reviewed)  # a review may come before the charge is done
    waiting.on(Reviewed, shipping, when=lambda c, e: e.ok)
    waiting.on(Reviewed, rejected)
    waiting.after(timedelta(hours=24), rejected)
    shipping.invoke(ship, lambda c: c, done=shipped, assign=lambda c, parcel: parcel, error=rejected)
