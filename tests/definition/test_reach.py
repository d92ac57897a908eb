"""Where a run can get to: sound graphs pass, and the fault names the state that has it."""

import warnings
from datetime import timedelta
from typing import Any

from continuum_core.definition.activity import activity
from continuum_core.definition.check import DefinitionWarning
from continuum_core.definition.declare import Machine, root, to
from continuum_core.errors import DefinitionError
from tests.definition.machines import Count, Down, Next, Up
from tests.definition.told import faults_of


def counted(i: int) -> Count:
    return Count(i)


def reached(c: Count) -> int:
    return c.value


begin, end = staticmethod(counted), staticmethod(reached)


@activity()
async def work(n: int) -> int:
    return n


def faults(declare: Any) -> list[tuple[str, str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            declare()
        except DefinitionError as error:
            return [(fault.code, fault.where) for fault in faults_of(error)]
    found = [each.message.fault for each in caught if isinstance(each.message, DefinitionWarning)]
    return [(fault.code, fault.where) for fault in found]


def test_the_default_of_a_history_is_a_way_in() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            first = b.state(initial=True)
            second = b.state()
            back = b.history(default=second)
            z = s.final()
            init, result = begin, end
            a.on(Up, back)
            second.on(Up, first)
            b.on(Down, z)

    assert faults(declare) == []


def test_a_state_inside_an_entered_one_is_not_reached_by_that_alone() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            first = b.state(initial=True)
            second = b.state()
            z = s.final()
            init, result = begin, end
            a.on(Up, second)
            b.on(Down, z)

    assert faults(declare) == [("C301", "first")]


def test_completion_of_the_parent_is_no_way_out_of_a_state_that_cannot_complete_it() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.state(initial=True)
            a = p.state(initial=True)
            b = p.state()
            f = p.final()
            z = s.final()
            init, result = begin, end
            a.on(Up, b)
            a.on(Down, f)
            p.done(z)

    assert faults(declare) == [("C302", "b")]


def test_a_neighbouring_region_is_a_way_out() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.parallel(initial=True)
            q = p.state()
            r = p.state()
            inner = r.state(initial=True)
            z = s.final()
            init, result = begin, end
            inner.on(Up, z)

    assert faults(declare) == []


def test_regions_complete_their_parallel_state() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.parallel(initial=True)
            q = p.state()
            q_in = q.state(initial=True)
            q_end = q.final()
            r = p.state()
            r_in = r.state(initial=True)
            r_end = r.final()
            z = s.final()
            init, result = begin, end
            q_in.on(Up, q_end)
            r_in.on(Down, r_end)
            p.done(z)

    assert faults(declare) == []


def test_a_circle_without_an_end_is_told_for_each_state_of_it() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            c = s.state()
            z = s.final()
            init, result = begin, end
            a.on(Up, z)
            a.on(Down, b)
            b.on(Up, c)
            c.on(Up, b)

    assert faults(declare) == [("C303", "b"), ("C303", "c")]


def test_an_eventless_circle_that_assigns_may_end() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.choice()
            z = s.final()
            init, result = begin, end
            a.always(b, assign=lambda c: Count(c.value + 1))
            b.always(z, when=lambda c: c.value > 3)
            b.always(a)

    assert faults(declare) == []


def test_an_eventless_edge_of_an_ancestor_goes_round_as_well() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.state(initial=True)
            a = p.state(initial=True)
            b = p.state()
            z = s.final()
            init, result = begin, end
            p.always(b, when=lambda c: c.value > 1)
            p.on(Up, z)
            a.on(Next, b)

    assert faults(declare) == [("C304", "p.always()")]


def test_a_shallow_history_stands_for_children_only() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = a.state(initial=True)
            c = b.state(initial=True)
            h = a.history(default=c)
            z = s.final()
            init, result = begin, end
            a.on(Up, z)
            a.on(Down, h)

    assert faults(declare) == [("C120", "h")]


def test_a_guarded_error_class_shadows_nothing() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            b = s.state()
            z = s.final()
            init, result = begin, end
            a.invoke(
                work,
                lambda c: c.value,
                done=z,
                error={LookupError: to(a, when=lambda c, f: c.value < 3), KeyError: b, Exception: z},
            )
            b.after(timedelta(seconds=1), z)

    assert faults(declare) == []


def test_a_parallel_state_that_never_completes_is_no_way_to_the_end() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            a = s.state(initial=True)
            p = s.state()
            one = p.state(initial=True)
            two = p.state()
            f = p.final()
            z = s.final()
            init, result = begin, end
            a.on(Up, z)
            a.on(Down, p)
            a.on(Next, f)
            one.on(Up, two)
            two.on(Up, one)
            p.done(z)

    assert faults(declare) == [("C303", "one"), ("C303", "two")]


def test_a_final_child_that_nobody_waits_for_is_a_trap() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.state(initial=True)
            a = p.state(initial=True)
            f = p.final()
            z = s.final()
            init, result = begin, end
            a.on(Up, f)
            a.on(Down, z)

    assert faults(declare) == [("C302", "f")]


def test_an_event_can_take_a_run_out_of_a_final_child() -> None:
    def declare() -> None:
        class M(Machine[Count, int, int], name="m"):
            s = root(Count)
            p = s.state(initial=True)
            a = p.state(initial=True)
            f = p.final()
            z = s.final()
            init, result = begin, end
            a.on(Up, f)
            p.on(Down, z)

    assert faults(declare) == []
