"""What is declared is what the chart says: names, order, kinds, edges, functions, places."""

import dataclasses
import pickle
from datetime import timedelta
from typing import Any

import attrs
import msgspec
import pytest

from continuum_core.definition.activity import Activity, AsyncActivity, Executor, PlainActivity, activity
from continuum_core.definition.chart import ROOT, ActionKind, Kind, State, TriggerKind
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import AnyEvent, event, event_name, event_version, is_event
from continuum_core.errors import DefinitionError, UsageError
from tests.definition import machines
from tests.definition.machines import (
    Authorised,
    Cancel,
    Charge,
    Count,
    Ctx,
    Lift,
    Order,
    PlaceOrder,
    Player,
    Up,
)

CHART = Order.chart


def state(path: str) -> State:
    return CHART.state(path)


def test_states_are_numbered_in_document_order_by_their_parents() -> None:
    assert [each.number for each in CHART.states] == list(range(17))
    assert [each.path for each in CHART.states[6:13]] == [
        "fulfilling",
        "fulfilling.goods",
        "fulfilling.goods.picking",
        "fulfilling.goods.shipping",
        "fulfilling.goods.gone",
        "fulfilling.papers",
        "fulfilling.papers.invoicing",
    ]
    for each in CHART.states:
        assert all(CHART.states[child].parent == each.number for child in each.children)


def test_document_order_is_pre_order_also_where_regions_are_declared_first() -> None:
    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        p = s.parallel(initial=True)
        q = p.state()
        r = p.state()
        in_q = q.state(initial=True)
        in_r = r.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Count(i))
        result = staticmethod(lambda c: c.value)
        in_r.on(Up, z)
        in_q.after(timedelta(1), z)

    assert [each.path for each in M.chart.states] == ["", "p", "p.q", "p.q.in_q", "p.r", "p.r.in_r", "z"]
    assert [edge.source for each in M.chart.states for edge in each.edges] == [3, 5]


def test_kinds_follow_from_the_declaration() -> None:
    kinds = {each.path: each.kind for each in CHART.states}
    assert kinds[""] is Kind.COMPOUND
    assert kinds["screening"] is Kind.CHOICE
    assert kinds["fulfilling"] is Kind.PARALLEL
    assert kinds["fulfilling.goods"] is Kind.COMPOUND
    assert kinds["paying"] is Kind.ATOMIC
    assert Player.chart.state("playing.exact").kind is Kind.DEEP_HISTORY
    assert Player.chart.state("playing.picture.chapter").kind is Kind.SHALLOW_HISTORY
    assert (state("cancelled").ok, state("completed").ok) == (False, True)


def test_initial_and_default_targets() -> None:
    player = Player.chart
    assert CHART.states[ROOT].initial == (1,)
    assert state("fulfilling").initial == ()
    # Without a default, the history of a parallel state stands for all its regions.
    assert player.state("playing.exact").default == (
        player.state("playing.sound").number,
        player.state("playing.picture").number,
    )
    assert player.state("playing.picture.chapter").default == (player.state("playing.picture.first").number,)


def test_edges_are_numbered_over_the_chart_and_lead_where_they_were_told() -> None:
    edges = [edge for each in CHART.states for edge in each.edges]
    assert [edge.number for edge in edges] == list(range(len(edges)))
    (paying, timer) = state("paying").edges
    assert paying.trigger.kind is TriggerKind.EVENT
    assert paying.trigger.event is Authorised
    assert paying.targets == (state("charging").number,)
    assert paying.guard is not None
    assert (paying.guard.label, paying.guard.arity, paying.guard.call) == ("covers", 2, machines.covers)
    assert [(each.kind, each.function.label) for each in paying.actions] == [
        (ActionKind.ASSIGN, "evolve(c, token=e.token)")
    ]
    assert (timer.trigger.kind, timer.trigger.slot) == (TriggerKind.AFTER, 0)
    assert state("paying").timers[0].delay == timedelta(minutes=30)
    (swallow, *_) = state("undoing").edges
    assert swallow.targets == ()


def test_an_invoke_has_edges_for_its_outcomes() -> None:
    charging = state("charging")
    (invoke,) = charging.invokes
    assert invoke.activity is machines.charge
    assert invoke.key is not None
    assert [(edge.trigger.kind, edge.trigger.error) for edge in charging.edges] == [
        (TriggerKind.INVOKE_DONE, None),
        (TriggerKind.INVOKE_ERROR, machines.Declined),
        (TriggerKind.INVOKE_ERROR, Exception),
    ]
    assert [edge.trigger.error for edge in state("fulfilling.goods.shipping").edges[1:]] == [Exception]


def test_the_rest_of_the_vocabulary_reaches_the_chart() -> None:
    low, moving = Lift.chart.state("running.low"), Lift.chart.state("running.low.moving")
    assert [edge.internal for edge in low.edges] == [True]
    assert moving.deferred == (machines.Quit,)
    assert [action.kind for action in moving.edges[2].actions] == [ActionKind.ASSIGN, ActionKind.RAISE]
    assert [action.function.arity for action in Lift.chart.state("running").entry] == [1]
    assert Lift.chart.states[ROOT].edges[0].trigger.kind is TriggerKind.ANY
    assert callable(getattr(Lift.chart.state("running.high.top").timers[0].delay, "call", None))


def test_the_header() -> None:
    assert (CHART.name, CHART.version, CHART.module) == ("order", 2, machines.__name__)
    assert (CHART.context_type, CHART.input_type, CHART.result_type, CHART.verdict_type) == (
        Ctx,
        PlaceOrder,
        machines.Receipt,
        str,
    )
    assert list(CHART.events) == ["Cancel", "Approved", "Authorised", "Picked"]
    assert set(CHART.activities) == {"reserve", "charge", "print_labels", "send_invoice", "release"}
    order = PlaceOrder("o", 1)
    assert CHART.result.call(CHART.init.call(order)) == machines.Receipt("o", ())


def test_everything_knows_its_place() -> None:
    with open(machines.__file__, encoding="utf-8") as file:
        lines = file.read().splitlines()
    edge = state("paying").edges[0]
    assert edge.place is not None
    assert "paying.on(Authorised" in lines[edge.place.line - 1]
    place = state("paying").place
    assert place is not None
    assert lines[place.line - 1].strip() == "paying = s.state()"
    assert str(place) == f"{machines.__file__}:{place.line}"
    assert CHART.place is not None
    assert lines[CHART.place.line - 1].startswith("class Order(")
    assert machines.charge.place is not None
    assert lines[machines.charge.place.line - 1].startswith("@activity(retry=Retry(attempts=8")


def test_a_named_function_may_take_the_context_alone() -> None:
    def is_odd(c: Count) -> bool:
        return c.value % 2 == 1

    class M(Machine[Count, int, int], name="m"):
        s = root(Count)
        a = s.state(initial=True)
        z = s.final()
        init = staticmethod(lambda i: Count(i))
        result = staticmethod(lambda c: c.value)
        a.on(Up, z, when=is_odd)
        a.on(Cancel, z, when=lambda c, limit=3: c.value < limit)  # type: ignore[misc]  # to mypy, `on` gives every lambda two
        a.on(AnyEvent, z, when=lambda *given: len(given) == 2)

    guards = [edge.guard for edge in M.chart.state("a").edges]
    assert [guard.arity for guard in guards if guard is not None] == [1, 1, 2]


def test_a_machine_is_complete_after_its_class() -> None:
    with pytest.raises(
        UsageError, match="Order is complete; declare everything about 'paying' inside its class"
    ):
        Order.paying.on(Cancel, Order.undoing)
    with pytest.raises(UsageError, match="complete"):
        Order.s.state()


def test_a_machine_is_not_instantiated() -> None:
    with pytest.raises(UsageError, match=r"start a run of it with client\.start\(Order"):
        Order()


def test_handles_name_themselves() -> None:
    assert Order.picking.path == "fulfilling.goods.picking"
    assert repr(Order.picking) == "<state Order.picking>"
    with pytest.raises(AttributeError, match="Final has no attribute 'nowhere'"):
        Order.completed.nowhere  # type: ignore[attr-defined]  # what is tried  # noqa: B018


def test_a_definition_error_can_be_pickled() -> None:
    with pytest.raises(DefinitionError) as caught:

        class M(Machine[Count, int, int], name="m"):
            pass

    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # own data
    assert str(again) == str(caught.value)


# --- events ------------------------------------------------------------------------------------------


def test_a_plain_class_becomes_a_frozen_attrs_class() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Authorised("t", 1).token = "u"  # type: ignore[misc]  # what is tried
    assert attrs.has(Authorised)


def test_other_data_classes_are_marked_as_they_are() -> None:
    @event
    @dataclasses.dataclass
    class Data:
        a: int

    @event(name="struct", version=3)
    class Packed(msgspec.Struct):
        a: int

    @event
    @attrs.define
    class Open:
        a: int

    opened = Open(1)
    opened.a = 2  # type: ignore[misc]  # type checkers take every event for frozen
    assert [event_name(each) for each in (Data, Packed, Open)] == ["Data", "struct", "Open"]
    assert [event_version(each) for each in (Data, Packed, Open)] == [1, 3, 1]
    assert dataclasses.is_dataclass(Data)
    assert not attrs.has(Data)


def test_a_subclass_is_another_event() -> None:
    class Sub(Authorised):
        pass

    assert is_event(Authorised)
    assert not is_event(Sub)
    assert not is_event(Authorised("t", 1))
    with pytest.raises(UsageError, match="mark it with @event"):
        event_name(Sub)


@pytest.mark.parametrize("wrong", [{"name": " "}, {"version": 0}])
def test_a_mark_that_cannot_be_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="an event's"):
        event(**wrong)(Count)


def test_an_event_is_a_class() -> None:
    with pytest.raises(UsageError, match="@event marks classes"):
        event(lambda: None)  # type: ignore[call-overload]  # what is tried


# --- activities --------------------------------------------------------------------------------------


def test_an_activity_knows_its_body() -> None:
    @activity(name="pay", queue="slow", undo=machines.release, timeout=timedelta(seconds=3))
    async def body(payment: Charge, *, pool: Count) -> str:
        return f"{payment.token}-{pool.value}"

    assert isinstance(body, AsyncActivity)
    assert (body.name, body.input_type, body.output_type) == ("pay", Charge, str)
    assert body.resources == (("pool", Count),)
    assert (body.executor, body.queue, body.undo) == (Executor.LOOP, "slow", machines.release)
    running: Any = body(Charge("t", 1), pool=Count(7))
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    assert ended.value.value == "t-7"


def test_a_plain_body_runs_on_a_thread_or_in_a_process() -> None:
    @activity()
    def here(n: int) -> int:
        return n + 1

    @activity(executor="process")
    def apart(n: "int") -> "int":
        return n + 1

    assert isinstance(here, PlainActivity)
    assert (here.executor, apart.executor) == (Executor.THREAD, Executor.PROCESS)
    assert (here(1), apart.input_type) == (2, int)
    assert isinstance(here, Activity)


def test_annotations_may_name_what_is_local() -> None:
    class Local:
        pass

    @activity()
    async def body(n: "Local") -> "Local":
        return n

    assert body.input_type is Local


def test_the_parentheses_are_needed() -> None:
    with pytest.raises(UsageError, match=r"write @activity\(\) with parentheses"):
        activity(lambda n: n)  # type: ignore[call-overload]  # what is tried
