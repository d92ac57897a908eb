"""The order's machine without its services: the ways through it, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from attrs import frozen

from continuum_core import Handle, RunFailed
from continuum_core.testing import Engine
from continuum_core.testing.stubs import Stub
from continuum_demo.activities import (
    charge,
    hand_over,
    pick,
    print_label,
    recall,
    refund,
    release,
    reserve,
    send_invoice,
    void_label,
)
from continuum_demo.carrier import Undeliverable
from continuum_demo.machine import Approved, Authorised, Cancel, Order, Rejected, Settled
from continuum_demo.order import Charge, Item, Parcel, PlaceOrder, Receipt, Verdict, Why
from continuum_demo.services import Declined, OutOfStock, ServiceDown

LAMP = PlaceOrder("o-1", "Ada Adler", "DE", "EUR", (Item("LAMP-02", 2, 49_90),))
MIXED = PlaceOrder(
    "o-3",
    "Ada Adler",
    "DE",
    "EUR",
    (Item("MUG-31", 1, 12_40), Item("AEROSOL-18", 1, 8_90), Item("RUG-11", 1, 9_00)),
)
DESKS = PlaceOrder("o-2", "Ines Ito", "DE", "EUR", (Item("DESK-07", 3, 389_00),))


@frozen
class Shop:
    """An engine in which every activity succeeds, until a test says otherwise."""

    engine: Engine
    reserve: Stub
    charge: Stub
    refund: Stub
    release: Stub
    recall: Stub
    void: Stub

    async def order(self, order: PlaceOrder = LAMP) -> Handle[Receipt]:
        return await self.engine.start(Order, order, key=order.order_id)

    async def paid(self) -> Handle[Receipt]:
        run = await self.order()
        await self.engine.send(run, Authorised("visa-1"))
        return run


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    async with Engine([Order], strict=True) as engine:
        engine.stub(pick, returns="bay-07")
        engine.stub(print_label, calls=lambda parcel: f"label-{parcel.parcel_id}")
        engine.stub(hand_over, calls=lambda parcel: f"DE{parcel.parcel_id[2:]}")
        engine.stub(send_invoice)
        yield Shop(
            engine,
            engine.stub(reserve),
            engine.stub(charge, returns="ch-1"),
            engine.stub(refund, returns=99_80),
            engine.stub(release),
            engine.stub(recall, returns=True),
            engine.stub(void_label),
        )


async def verdict(run: Handle[Receipt]) -> Verdict:
    with pytest.raises(RunFailed) as failed:
        await run.result(1.0)
    assert isinstance(failed.value.verdict, Verdict)
    return failed.value.verdict


async def test_an_order_that_is_paid_is_completed_with_a_receipt() -> None:
    async with shop() as s:
        run = await s.paid()
        assert await run.result(1.0) == Receipt("o-1", "o-1/1", 99_80, "EUR", ("DE1.1",))
        assert s.charge.calls == [Charge("o-1/1", "o-1", "visa-1", 99_80, "EUR")]
        assert s.refund.calls == s.release.calls == s.recall.calls == s.void.calls == []
        await s.engine.check(run)


async def test_what_is_out_of_stock_ends_with_nothing_to_undo() -> None:
    async with shop() as s:
        s.engine.stub(reserve, raises=OutOfStock("no sofa"))
        assert await verdict(await s.order()) == Verdict("o-1", Why.OUT_OF_STOCK, "no sofa", 0)
        assert s.release.calls == []


async def test_a_big_order_waits_for_the_reviewer_and_keeps_the_payment_until_then() -> None:
    async with shop() as s:
        run = await s.order(DESKS)
        await s.engine.send(run, Authorised("visa-1"))
        assert await s.engine.states(run) == {"reviewing"}
        assert s.charge.calls == []
        await s.engine.send(run, Approved("Ruth"))
        assert (await run.result(1.0)).amount == 3 * 389_00


async def test_a_rejected_order_gives_its_goods_back() -> None:
    async with shop() as s:
        run = await s.order(DESKS)
        await s.engine.send(run, Rejected("Ruth", "odd address"))
        assert await verdict(run) == Verdict("o-2", Why.REJECTED, "odd address", 0)
        assert (s.release.calls, s.refund.calls) == (["o-2"], [])


async def test_a_review_does_not_take_for_ever() -> None:
    async with shop() as s:
        run = await s.order(DESKS)
        await s.engine.advance(timedelta(days=2))
        assert (await verdict(run)).why is Why.UNREVIEWED


async def test_an_order_that_is_not_paid_in_time_is_undone() -> None:
    async with shop() as s:
        run = await s.order()
        await s.engine.advance(timedelta(minutes=29))
        assert await s.engine.states(run) == {"paying"}
        await s.engine.advance(timedelta(minutes=1))
        assert (await verdict(run)).why is Why.UNPAID
        assert s.release.calls == ["o-1"]


async def test_a_second_card_is_a_payment_of_its_own() -> None:
    async with shop() as s:

        def bank(payment: Charge) -> str:
            if payment.card == "declined-1":
                raise Declined("no")
            return "ch-2"

        charged = s.engine.stub(charge, calls=bank)
        run = await s.order()
        await s.engine.send(run, Authorised("declined-1"))
        assert await s.engine.states(run) == {"paying"}
        await s.engine.send(run, Authorised("visa-2"))
        assert (await run.result(1.0)).reference == "o-1/2"
        assert [payment.reference for payment in charged.calls] == ["o-1/1", "o-1/2"]


async def test_a_declined_card_and_no_other_is_the_reason_in_the_end() -> None:
    async with shop() as s:
        s.engine.stub(charge, raises=Declined("no"))
        run = await s.paid()
        await s.engine.advance(timedelta(minutes=30))
        assert (await verdict(run)).why is Why.DECLINED


async def test_a_failed_try_is_repeated_under_the_same_reference() -> None:
    async with shop() as s:
        tries = [ServiceDown("503"), ServiceDown("503")]

        def bank(_: Charge) -> str:
            if tries:
                raise tries.pop()
            return "ch-1"

        charged = s.engine.stub(charge, calls=bank)
        run = await s.paid()
        await s.engine.advance(timedelta(seconds=5))
        await run.result(1.0)
        assert len(charged.calls) == 3
        assert {payment.reference for payment in charged.calls} == {"o-1/1"}


async def test_a_cancellation_in_the_middle_of_a_charge_waits_until_it_is_known_and_then_refunds() -> None:
    async with shop() as s:
        s.engine.stub(charge, hangs=True)
        run = await s.paid()
        await s.engine.send(run, Cancel("by mistake"))
        assert await s.engine.states(run) == {"charging"}
        s.engine.stub(charge, returns="ch-1")  # the next try is answered
        await s.engine.advance(timedelta(seconds=10))
        assert await verdict(run) == Verdict("o-1", Why.CUSTOMER, "by mistake", 99_80)
        assert (s.refund.calls, s.release.calls) == (["o-1/1"], ["o-1"])


async def test_a_charge_of_unknown_outcome_is_refunded_by_its_reference() -> None:
    async with shop() as s:
        s.engine.stub(charge, raises=ServiceDown("503"))
        run = await s.paid()
        await s.engine.advance(timedelta(minutes=1))
        assert (await verdict(run)).why is Why.TROUBLE
        assert s.refund.calls == ["o-1/1"]


async def test_what_cannot_be_delivered_is_refunded() -> None:
    async with shop() as s:
        s.engine.stub(hand_over, raises=Undeliverable("no carrier"))
        s.engine.stub(recall, returns=False)
        assert await verdict(await s.paid()) == Verdict("o-1", Why.UNDELIVERABLE, "no carrier", 99_80)
        assert s.void.calls == ["label-o-1.1"]


async def test_a_declined_parcel_calls_the_others_back() -> None:
    async with shop() as s:

        def carrier(parcel: Parcel) -> str:
            if parcel.item.sku == "AEROSOL-18":
                raise Undeliverable("not that")
            return parcel.parcel_id

        s.engine.stub(hand_over, calls=carrier)
        s.engine.stub(recall, calls=lambda parcel_id: parcel_id != "o-3.2")
        run = await s.order(MIXED)
        await s.engine.send(run, Authorised("visa-1"))
        assert await verdict(run) == Verdict("o-3", Why.INCOMPLETE, "not that", 99_80, recalled=2)
        assert s.void.calls == ["label-o-3.2"]
        assert s.release.calls == ["o-3"]
        await s.engine.check_all()


async def test_an_order_that_fails_while_its_parcels_are_handed_over_takes_all_of_them_back() -> None:
    async with shop() as s:
        s.engine.stub(hand_over, hangs=True)
        s.engine.stub(send_invoice, raises=ServiceDown("no mail"))
        run = await s.paid()
        recalled = s.engine.stub(recall, returns=False)
        await s.engine.advance(timedelta(seconds=9))
        assert (await verdict(run)).why is Why.TROUBLE
        assert recalled.calls == ["o-1.1"]
        assert s.void.calls == ["label-o-1.1"]
        parcels, _ = await s.engine.client.list(machine="parcel")
        assert [(each.parent, each.states) for each in parcels] == [(run.id, ("declined",))]


async def test_packed_goods_are_past_cancelling() -> None:
    async with shop() as s:
        s.engine.stub(hand_over, hangs=True)
        run = await s.paid()
        await s.engine.send(run, Cancel("too late"))
        assert await s.engine.states(run) == {"fulfilling.goods.shipping", "fulfilling.papers.invoiced"}
        assert (await s.engine.history(run))[-1].disposition == "unhandled"


async def test_a_refund_that_fails_for_good_waits_for_a_clerk() -> None:
    async with shop() as s:
        s.engine.stub(refund, hangs=True)  # it has no timeout and is tried for ever: only lost workers end it
        s.engine.stub(hand_over, raises=Undeliverable("no carrier"))
        run = await s.paid()
        for _ in range(7):
            await s.engine.crash()
            await s.engine.advance(timedelta(minutes=15))
        assert await s.engine.states(run) == {"undoing.by_hand"}
        await s.engine.send(run, Settled("Ruth"))
        assert (await verdict(run)).why is Why.UNDELIVERABLE


async def test_a_worker_lost_in_the_middle_of_a_charge_repeats_it_under_the_same_reference() -> None:
    async with shop() as s:
        hung = s.engine.stub(charge, hangs=True)
        run = await s.paid()
        answered = s.engine.stub(charge, returns="ch-1")
        await s.engine.crash()
        await run.result(3600.0)
        assert hung.calls == answered.calls
        assert hung.keys == answered.keys
