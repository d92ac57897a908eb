"""The states and edges of a linear process: what `sequence` turns its list into.

States come in the order of the steps, those of a way after the step that it belongs to, ends last, in the
order in which something leads to them. They are made with `declare` itself: what the list says is what a
class would have said. Each is named by its step, for names are stored with runs.

What is wrong with the list becomes faults of the root, told with all others; a step that cannot be used
is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from attrs import define, field, frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import ActionKind, Place
from continuum_core.definition.declare import Choice, Final, Root, State, to
from continuum_core.definition.draft import ActionDraft
from continuum_core.definition.event import event_name, is_event
from continuum_core.definition.fault import Fault
from continuum_core.definition.shapes import RESERVED
from continuum_core.definition.steps import Arm, Branch, Caught, Do, End, Instead, Pause, Step, Wait, Way

__all__ = ["Course"]

_MAKERS = "do(), wait(), pause(), branch(), end() and fail() of steps(Context)"
_KINDS = {
    Caught: "steps, or what is made by to()",
    Arm: "what is made by when()",
    Instead: "what is made by on()",
    Way: "steps, several as a tuple",
}


@frozen(eq=False)
class _Placed:
    """A step where it stands in this list: its state, and the steps of each of its ways."""

    step: Step[Any]
    state: Any  # a State, a Choice; of an end nothing: its state is made when something leads there
    ways: tuple[tuple[Way[Any], tuple[_Placed, ...]], ...]


@frozen
class _Goal:
    """Where an edge leads. What an end assigns is done by each edge that leads there."""

    state: Any
    assign: Any = None


@define
class Course:
    """The states of one sequence while they are made, by name, and which of them are ends."""

    top: Root[Any]
    place: Place
    states: dict[str, State[Any] | Choice[Any] | Final[Any]] = field(factory=dict[str, Any])
    ends: dict[tuple[str, bool], Final[Any]] = field(factory=dict[Any, Any])

    def write(self, listed: tuple[Any, ...], anytime: tuple[Any, ...]) -> None:
        """Make all states, then all edges."""
        placed = self._put(listed)
        others = [
            (way, self._put(way.then)) for way in self._fitting(anytime, Instead, "anytime=", self.place)
        ]
        if placed and placed[0].state is not None:
            placed[0].state.node.initial = True
        else:
            what, remedy = "it has no step to begin with", f"Begin it with one of {_MAKERS}"
            self._fault("C124", "the sequence", what, remedy, self.place)
            self._completed().state.node.initial = True
        self._wire(placed, self._completed)
        for way, then in others:
            self._on(self.top, way, self._first(then, self._completed))
            self._wire(then, self._completed)

    # --- states ---

    def _put(self, listed: tuple[Any, ...]) -> tuple[_Placed, ...]:
        """The states of these steps and of all their ways, in document order."""
        return tuple(self._one(step) for step in self._steps(listed))

    def _one(self, step: Step[Any]) -> _Placed:
        state: Any = None
        if not isinstance(step, End):
            state = self.top.choice() if isinstance(step, Branch) else self.top.state()
            state.node.place = step.place
            self.states[self._name(step)] = state
        return _Placed(step, state, tuple((way, self._put(way.then)) for way in self._ways(step)))

    def _steps(self, listed: tuple[Any, ...]) -> Iterator[Step[Any]]:
        for each in listed:
            if not _is_step(each):
                what = f"{each!r} is not a step"
                self._fault("C124", "the sequence", what, f"List what is made by {_MAKERS}", self.place)
                continue
            context = self.top.node.context_type
            if each.context_type != context and context is not Any:
                what = f"steps({_called(each.context_type)}) made it, and init gives a {_called(context)}"
                self._fault("C105", _shown(each), what, "Give both the same class", each.place)
            yield each

    def _ways(self, step: Step[Any]) -> Iterator[Way[Any]]:
        if isinstance(step, Do):
            ways: tuple[Any, ...] = tuple(way for _, way in step.error)
            yield from self._fitting(ways, Caught, f"{_shown(step)} error=", step.place)
        elif isinstance(step, Wait):
            yield from self._fitting(step.unless, Instead, f"{_shown(step)} unless=", step.place)
            if step.late is not None:
                yield from self._fitting((step.late,), Way, f"{_shown(step)} late=", step.place)
        elif isinstance(step, Branch):
            yield from self._fitting(step.ways, Arm, _shown(step), step.place)

    def _fitting(self, ways: tuple[Any, ...], kind: type[Any], where: str, place: Place) -> Iterator[Any]:
        """Those made for this argument; bare steps, a `Way` of no kind, fit wherever no event is needed."""
        for way in ways:
            if _fits(way, kind):
                yield way
            else:
                what = f"{type(way).__name__} does not belong there"
                self._fault("C124", where, what, f"Give {_KINDS[kind]}", place)

    # --- names ---

    def _name(self, step: Step[Any]) -> str:
        """The name of a step's state; where it can have none, a fault and a name to go on with."""
        name = step.name or _derived(step)
        if not name and isinstance(step, Branch):
            return self._free("choice")
        wrong = self._nameless(name)
        if not wrong:
            return name
        remedy = 'Give the step a name of its own, such as name="ask_again"; it is stored with runs'
        self._fault("C123", _shown(step), wrong, remedy, step.place)
        return self._free("step")

    def _nameless(self, name: str) -> str:
        """Why a name cannot be used; an empty text where it can."""
        if name in self.states:
            return f"another step is called {name!r}"
        if name in RESERVED:
            return f"{name!r} is reserved on machines"
        usable = name.isidentifier() and not name.startswith("_")
        return "" if usable else f"{name!r} is no name for a state"

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self.states:
            number += 1
            free = f"{name}_{number}"
        return free

    # --- ends ---

    def _end(self, step: End[Any]) -> _Goal:
        """The final state of this name. Ends of one name are one state."""
        made = self.ends.get((step.name, step.ok))
        if made is None:
            made = self.states[self._name(step)] = self.top.final(ok=step.ok)
            made.node.place = step.place
            self.ends[step.name, step.ok] = made
        return _Goal(made, step.assign)

    def _completed(self) -> _Goal:
        return self._end(_ending("completed", self.place, ok=True))

    # --- edges ---

    def _wire(self, placed: tuple[_Placed, ...], after: Callable[[], _Goal]) -> None:
        """The edges of these steps; `after` gives what follows the last of them."""
        for index, each in enumerate(placed):
            following = placed[index + 1 :]

            def onward(rest: tuple[_Placed, ...] = following) -> _Goal:
                return self._first(rest, after)

            if each.state is not None:
                self._leave(each, onward)
            for _, then in each.ways:
                self._wire(then, onward)

    def _first(self, placed: tuple[_Placed, ...], after: Callable[[], _Goal]) -> _Goal:
        if not placed:
            return after()
        first = placed[0]
        return self._end(first.step) if isinstance(first.step, End) else _Goal(first.state)

    def _leave(self, each: _Placed, onward: Callable[[], _Goal]) -> None:
        step, state = each.step, each.state
        # A branch goes on only where one of its ways does: no end is made that nothing leads to.
        done = None if isinstance(step, Branch) else onward()
        goals = [(way, self._first(then, onward)) for way, then in each.ways]
        if isinstance(step, Do) and done is not None:
            self._invoke(step, state, done, goals)
        elif isinstance(step, Wait) and done is not None:
            self._await(step, state, done, goals)
        elif isinstance(step, Pause) and done is not None:
            state.after(step.length, done.state, assign=step.assign)
            _settle(state, [done], step.place)
        for way, goal in goals if isinstance(step, Branch) else ():
            state.always(goal.state, when=way.when, assign=way.assign)
            _settle(state, [goal], way.place)

    def _invoke(
        self, step: Do[Any], state: State[Any], done: _Goal, goals: list[tuple[Way[Any], _Goal]]
    ) -> None:
        led = {id(way): goal for way, goal in goals}
        ways = [(caught, way, led[id(way)]) for caught, way in step.error if id(way) in led]
        every = [caught for caught, way, _ in ways if way.when is None and isinstance(caught, type)]
        if not any(issubclass(Exception, caught) for caught in every):
            failed = _ending("failed", step.place, ok=False)
            ways.append((Exception, Way(then=(failed,), place=step.place), self._end(failed)))
        state.invoke(
            step.activity,
            step.input,
            done=done.state,
            assign=step.assign,
            send=step.send,
            error={caught: to(goal.state, when=way.when, assign=way.assign) for caught, way, goal in ways},
            key=step.key,
        )
        _settle(state, [done, *(goal for _, _, goal in ways)], step.place)

    def _await(
        self, step: Wait[Any], state: State[Any], came: _Goal, goals: list[tuple[Way[Any], _Goal]]
    ) -> None:
        state.on(step.event, came.state, when=step.when, assign=step.assign)
        _settle(state, [came], step.place)
        late = None
        for way, goal in goals:
            if isinstance(way, Instead):
                self._on(state, way, goal)
            else:
                late = goal
        if step.within is not None or late is not None:
            goal = late or self._end(_ending("failed", step.place, ok=False))
            _limit(state, step.within, goal, step.place)

    def _on(self, state: State[Any], way: Instead[Any], goal: _Goal) -> None:
        state.on(way.event, goal.state, when=way.when, assign=way.assign)
        _settle(state, [goal], way.place)

    def _fault(self, code: str, where: str, what: str, remedy: str, place: Place) -> None:
        self.top.node.faults.append(Fault(code, where, what, remedy, place))


def _is_step(thing: Any) -> TypeGuard[Step[Any]]:
    return isinstance(thing, Do | Wait | Pause | Branch | End)


def _fits(way: object, kind: type[Any]) -> bool:
    return type(way) is kind or (type(way) is Way and kind is not Instead)


def _limit(state: State[Any], delay: Any, goal: _Goal, place: Place) -> None:
    """What is done when the time is over. No time, though something is to be done then, is told as C212."""
    state.after(delay, goal.state)
    _settle(state, [goal], place)


def _ending(name: str, place: Place, *, ok: bool) -> End[Any]:
    """An end that nobody wrote."""
    return End(name=name, context_type=None, place=place, ok=ok, assign=None)


def _settle(state: State[Any] | Choice[Any], goals: list[_Goal], place: Place) -> None:
    """Finish the edges made last: what their ends assign, and where they were written.

    `declare` has seen only where the whole sequence was.
    """
    node = state.node
    for draft, goal in zip(node.edges[-len(goals) :], goals, strict=True):
        draft.place = place
        if goal.assign is not None:
            draft.actions += (ActionDraft(ActionKind.ASSIGN, goal.assign),)
    for timer in node.timers:
        timer.place = place
    for invoke in node.invokes:
        invoke.place = place


def _derived(step: Step[Any]) -> str:
    """A step's name after its activity or event, as far as these have one."""
    if isinstance(step, Do):
        activity = step.activity
        return _word(activity.name if isinstance(activity, Activity) else getattr(activity, "__name__", ""))
    if isinstance(step, Wait):
        return f"awaiting_{_word(event_name(step.event) if is_event(step.event) else _called(step.event))}"
    return ""


def _shown(step: Step[Any]) -> str:
    return step.name or _derived(step) or f"the {type(step).__name__.lower()} of line {step.place.line}"


def _word(name: str) -> str:
    """``ShipParcel``, ``ship-parcel`` and ``ship parcel`` as ``ship_parcel``."""
    apart = "".join(
        f"_{c}" if c.isupper() and before.islower() else c
        for before, c in zip(f" {name}", name, strict=False)
    )
    return "_".join("".join(c if c.isalnum() else " " for c in apart).split()).lower()


def _called(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else str(thing)
