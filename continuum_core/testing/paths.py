"""Test paths generated from a machine: to every state, over every edge, over every pair of edges.

`explore` drives a machine wherever its examples lead, over real runs: guards are not read but tried, time
passes from timer to timer. What it found is a graph of situations, and from that graph paths are taken,
each as short as can be. A path is a list of moves, which a test does again on a
`Drive` of its own, or in an `Engine`. The same machine and examples give the same paths, in the same order.

    @pytest.mark.parametrize("path", explore(Order, events=[Approved("ann")]).edges(), ids=str)
    def test_no_order_loses_its_charge(path: Path) -> None:
        run = path.drive()
        assert run.context.charge or run.states != {"shipping"}

The coverage of edges and pairs of edges is that of P. Ammann and J. Offutt, *Introduction to Software
Testing*, chapter 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

from continuum_core.client import Handle
from continuum_core.definition.chart import ROOT, Chart, Edge, Kind, TriggerKind
from continuum_core.definition.declare import Machine
from continuum_core.definition.event import event_name
from continuum_core.definition.failure import Failure
from continuum_core.errors import UsageError
from continuum_core.registry import Registry
from continuum_core.runtime.attempt import failure_of
from continuum_core.testing.drive import Drive
from continuum_core.testing.engine import Engine
from continuum_core.testing.examples import example_of
from continuum_core.testing.moves import Advance, Cancel, Complete, Examples, Move, Send, active, gathered
from continuum_core.testing.opened import Work
from continuum_core.testing.search import Passage, Search
from continuum_core.testing.stubs import Held, Stub
from continuum_core.testing.ways import Ways, adjacent, edges_of, taken_on, walk
from continuum_core.view import edge_text

__all__ = ["Explored", "Gap", "Path", "explore"]


@frozen
class Path:
    """One way through a machine: an input, and the moves after it.

    :ivar goal: what it was made to reach, in words.
    :ivar taken: the numbers of the edges on it.
    """

    machine: Any
    input: Any
    moves: tuple[Move, ...]
    goal: str
    taken: tuple[int, ...]

    def __str__(self) -> str:
        """Its moves, short: made for ``ids=str``."""
        return " > ".join(map(str, ("start", *self.moves)))

    def drive(self, watch: Callable[[Drive[Any, Any, Any]], object] | None = None) -> Drive[Any, Any, Any]:
        """A run that has gone this way.

        :param watch: called with the run after its start and after every move: for what must always hold.

        Raises AssertionError where the run leaves the path: its functions asked for something else than
        context and event.
        """
        run = Drive(self.machine, self.input)
        if watch is not None:
            watch(run)
        for move in self.moves:
            move.do(run)
            if watch is not None:
                watch(run)
        self._kept_to(run)
        return run

    async def run(self, engine: Engine) -> Handle[Any]:
        """A run in an engine that has gone this way; stubs that hold stand in for all its activities.

        Raises AssertionError where the run is not where a `Drive` is after the same moves, and where that
        leaves the path; UsageError for a machine with child runs, which an engine runs for real.
        """
        if self.machine.chart.machines:
            raise UsageError(
                f"{self.machine.chart.name} starts child runs, which an engine runs for real, whatever the "
                "path says of their ends; walk the path with drive()"
            )
        stubs = {
            name: engine.stub(activity, holds=True)
            for name, activity in self.machine.chart.activities.items()
        }
        twin = Drive(self.machine, self.input, start=engine.now())
        handle = await engine.start(self.machine, self.input)
        for move in (None, *self.moves):
            if move is not None:
                await _play(move, engine, handle, twin, stubs)
                move.do(twin)
            states = await engine.states(handle)
            if states != twin.states:
                raise AssertionError(f"after {move} of {self} the run is in {states}, not in {twin.states}")
        self._kept_to(twin)
        return handle

    def _kept_to(self, run: Drive[Any, Any, Any]) -> None:
        if tuple(run.taken) != self.taken:
            raise AssertionError(f"the run left the path {self}: it took edges {run.taken}, not {self.taken}")


async def _play(
    move: Move, engine: Engine, handle: Handle[Any], twin: Drive[Any, Any, Any], stubs: Mapping[str, Stub]
) -> None:
    """Do to a run in an engine what a move does to a `Drive`."""
    if isinstance(move, Send):
        await engine.send(handle, move.event)
    elif isinstance(move, Advance):
        await engine.advance(move.length)
    elif isinstance(move, Cancel):
        await engine.client.cancel(handle)
    else:
        name = move.activity.name
        held = sorted((each for each in stubs[name].held if each.run_id == handle.id), key=_begun)
        # The twin knows of each open activity whose it is; the engine's come in the same order.
        known = [(task.state, task.number) for task in twin.open if task.activity == name]
        one = held[known.index((move.state, move.number))]
        if isinstance(move, Complete):
            one.succeed(move.output)
        else:
            one.fail(move.error)
    await engine.settle()


def _begun(held: Held) -> tuple[int, ...]:
    """The record that asked for it, and its place there: what its idempotency key ends with."""
    return tuple(int(part) for part in held.key.split(":")[1:])


@frozen
class Gap:
    """What no path reaches, and why: a state, an edge, or two edges one after the other."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


def explore(
    machine: type[Machine[Any, Any, Any]],
    *,
    inputs: Iterable[Any] = (),
    events: Iterable[Any] = (),
    outputs: Mapping[Work[Any, Any], Iterable[Any]] | None = None,
    errors: Mapping[Work[Any, Any], Iterable[BaseException | Failure]] | None = None,
    limit: int = 500,
) -> Explored:
    """Drive a machine wherever examples lead.

    :param inputs: to start runs with; one is generated where none is given.
    :param events: to send; one of each class that none is given of is generated.
    :param outputs: of activities, by activity, and of child runs, by machine; one is generated for each that
        is not named.
    :param errors: of activities; else one of each class that some edge catches.
    :param limit: how many situations to go on from, at most.

    Raises what the machine's own functions raise on an example, with the way there as a note; UsageError
    where no input can be generated.
    """
    chart = machine.chart
    failures = {
        activity: [
            each if isinstance(each, Failure) else failure_of(each, with_traceback=False) for each in raised
        ]
        for activity, raised in (errors or {}).items()
    }
    found = Search(chart, gathered(chart, events, outputs or {}, failures), limit)
    for value in tuple(inputs) or (example_of(chart.input_type),):
        found.begin(machine, value)
    found.go_on()
    return Explored(machine, found.examples, tuple(found.passages), tuple(found.leaves), found.cut)


@frozen
class Explored:
    """What a machine can do with its examples. Made by `explore`.

    :ivar cut: whether the search ended at its limit.
    """

    machine: Any
    examples: Examples = field(repr=False)
    _passages: tuple[Passage, ...] = field(repr=False)
    _leaves: tuple[frozenset[str], ...] = field(repr=False)
    cut: bool
    _ways: Ways = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_ways", walk(self._passages, self._leaves))

    def states(self) -> list[Path]:
        """A shortest path to every state that a run can rest in, in the order of the declaration."""
        known = self._ways.states
        return [
            self._path(known[state.path], state.path) for state in self._chart.states if state.path in known
        ]

    def edges(self) -> list[Path]:
        """Paths that take every edge that can be taken: few, and each a shortest one to some edge."""
        return self._few({(number,): way for number, way in self._ways.edges.items()})

    def pairs(self) -> list[Path]:
        """Paths that take every two edges that can be taken one after the other."""
        return self._few(self._ways.pairs)

    @property
    def gaps(self) -> list[Gap]:
        """The states and edges that no path reaches."""
        chart, met = self._chart, self._met()
        found = [
            Gap(state.path, "no path of the examples enters it" + self._cutting())
            for state in chart.states
            if state.number not in met and state.kind not in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
        ]
        missed = (edge for edge in edges_of(chart) if edge.number not in self._ways.edges)
        return [*found, *(Gap(self._words(edge.number), self._why(edge, met)) for edge in missed)]

    @property
    def pair_gaps(self) -> list[Gap]:
        """The pairs of edges that no path takes though the graph has them, and paths take each alone."""
        reason = "nothing in the examples takes the second right after the first" + self._cutting()
        return [
            Gap(f"{self._words(first)}, then {self._words(second)}", reason)
            for first, second in adjacent(self._chart)
            if (first, second) not in self._ways.pairs and {first, second} <= set(self._ways.edges)
        ]

    # --- paths ---

    @property
    def _chart(self) -> Chart:
        chart: Chart = self.machine.chart
        return chart

    def _few(self, wanted: Mapping[Any, tuple[Passage, ...]]) -> list[Path]:
        """Of the shortest ways to what is wanted, as few as cover it all: the longest first, then by gain."""
        covered = {
            key: {each for each in wanted if _takes(taken_on(way), each)} for key, way in wanted.items()
        }
        chosen: list[tuple[int, ...]] = []
        rest = set(wanted)
        while rest:
            best = max(wanted, key=lambda key: len(covered[key] & rest))  # the first of equals
            chosen.append(best)
            rest -= covered[best]
        return [
            self._path(wanted[key], ", then ".join(map(self._words, key))) for key in wanted if key in chosen
        ]

    def _path(self, way: tuple[Passage, ...], goal: str) -> Path:
        first, *rest = way
        return Path(self.machine, first.move, tuple(each.move for each in rest), goal, taken_on(way))

    def _words(self, number: int) -> str:
        edge = next(edge for edge in edges_of(self._chart) if edge.number == number)
        return edge_text(edge, Registry([self.machine]).add(self.machine))

    # --- gaps ---

    def _met(self) -> set[int]:
        """The states that some path enters; choices are, though no run rests in them."""
        chart = self._chart
        resting = {state.number for leaves in self._leaves for state in active(chart, leaves)}
        taken = [edge for edge in edges_of(chart) if edge.number in self._ways.edges]
        passed = {edge.source for edge in taken} | {target for edge in taken for target in edge.targets}
        return resting | passed | {ROOT}

    def _why(self, edge: Edge, met: set[int]) -> str:
        trigger, source = edge.trigger, self._chart.states[edge.source]
        missing = self.examples.missing
        if edge.source not in met:
            return f"{source.path} is never entered" + self._cutting()
        if trigger.kind is TriggerKind.EVENT and trigger.event is not None:
            name = event_name(trigger.event)
            if name in missing:
                return f"there is no example of {name}: {missing[name]}"
        if trigger.kind is TriggerKind.INVOKE_DONE:
            name = next(each.activity.name for each in source.invokes if each.slot == trigger.slot)
            if name in missing:
                return f"there is no output of {name}: {missing[name]}"
        if trigger.kind is TriggerKind.CREW_DONE:
            name = next(each.work.name for each in source.crews if each.slot == trigger.slot)
            if name in missing:
                return f"there is no output of {name}: {missing[name]}"
        if edge.guard is not None:
            return f"its guard never held: {edge.guard.label}" + self._cutting()
        return "another edge is always taken before it" + self._cutting()

    def _cutting(self) -> str:
        return ", as far as the limit let it search" if self.cut else ""


def _takes(taken: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return any(taken[at : at + len(wanted)] == wanted for at in range(len(taken)))
