"""What is to be drawn: items in boxes within boxes, and wires between them, before any coordinate.

Edges from one state to the same targets share a wire, whose label holds all their rows. Pseudo-states
that a chart does not number (the initial dot, the bar of an edge with several targets) get numbers here.
"""

from __future__ import annotations

import enum

from attrs import define, field, frozen

from continuum_core.definition.chart import ROOT, Chart, Edge, Kind, State
from continuum_core.definition.layout.block import (
    Block,
    caption_block,
    history_block,
    name_block,
    state_block,
)
from continuum_core.definition.wording import Row, Tone, edge_caption, frame_title, one_line, state_rows

__all__ = ["Item", "Plan", "Shape", "Wire", "outermost", "plan_of"]


class Shape(enum.Enum):
    """How an item looks."""

    PAGE = "page"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    CELL = "cell"  # an atomic region of a parallel state, or its pseudo-states: room without a name
    ATOMIC = "atomic"
    FINAL = "final"
    CHOICE = "choice"
    HISTORY = "history"
    INITIAL = "initial"
    FORK = "fork"


CONTAINERS = frozenset({Shape.PAGE, Shape.COMPOUND, Shape.PARALLEL, Shape.CELL})


@define(eq=False)
class Item:
    """Something with a place: `block` is its text, `width` and `height` its size without children."""

    number: int
    parent: int  # -1 for the page
    shape: Shape
    block: Block
    width: int
    height: int
    state: State | None = None
    children: list[int] = field(factory=list[int])
    region: bool = False


@frozen
class Wire:
    """A line from `source` to `target`; `edges` are the numbers of the edges it stands for."""

    number: int
    source: int
    target: int
    edges: tuple[int, ...] = ()
    block: Block | None = None
    arrow: bool = True
    quiet: bool = False


@define(eq=False)
class Plan:
    items: list[Item] = field(factory=list[Item])
    wires: list[Wire] = field(factory=list[Wire])
    page: int = -1

    def add(self, parent: int, shape: Shape, width: int, height: int) -> Item:
        item = Item(len(self.items), parent, shape, Block((), 0, 0), width, height)
        self.items.append(item)
        if parent >= 0:
            self.items[parent].children.append(item.number)
        return item

    def wire(self, source: int, target: int, **more: object) -> None:
        self.wires.append(Wire(len(self.wires), source, target, **more))  # type: ignore[arg-type]  # checked by attrs

    def above(self, number: int) -> list[int]:
        """The containers of an item, innermost first, the page last."""
        found: list[int] = []
        while (number := self.items[number].parent) >= 0:
            found.append(number)
        return found

    def container(self, number: int) -> bool:
        return self.items[number].shape in CONTAINERS


def plan_of(chart: Chart) -> Plan:
    """Items and wires of a chart."""
    plan = Plan()
    plan.items = [_item(chart, state) for state in chart.states]
    plan.page = plan.add(-1, Shape.PAGE, 0, 0).number
    plan.items[ROOT].parent = plan.page
    plan.items[plan.page].children.append(ROOT)
    for state in chart.states:
        _add_children(plan, chart, state)
    for state in chart.states:
        _add_wires(plan, chart, state)
    return plan


def _item(chart: Chart, state: State) -> Item:
    name = one_line(state.name) or "?"
    shape, rows = _shape(state), state_rows(chart, state)
    width = height = 0
    match shape:
        case Shape.FINAL:
            shown = name if state.anew is None else f"{name} ↻"
            block = name_block(shown, "name" if state.ok else "failed")
            width, height = max(block.width, 24), 24 + block.height
        case Shape.CHOICE:
            block = name_block(name)
            width, height = 34 + 5 + block.width, 26
        case Shape.HISTORY:
            block = history_block(state.kind is Kind.DEEP_HISTORY, _default_words(chart, state))
            width, height = block.width, block.height
        case Shape.ATOMIC:
            block = state_block(name, rows)
            width, height = max(block.width, 84), max(block.height, 34)
        case _:
            title = frame_title(chart) if state.number == ROOT else name
            within = state.parent is not None and chart.states[state.parent].kind is Kind.PARALLEL
            tone = "machine" if state.number == ROOT else "region" if within else "title"
            block = state_block(title, rows, heading=True, tone=tone)
    parent = -1 if state.parent is None else state.parent
    return Item(state.number, parent, shape, block, width, height, state)


def _shape(state: State) -> Shape:
    match state.kind:
        case Kind.COMPOUND | Kind.PARALLEL if not state.children:
            return Shape.ATOMIC
        case Kind.SHALLOW_HISTORY | Kind.DEEP_HISTORY:
            return Shape.HISTORY
        case _:
            return Shape(state.kind.value)


def _history_of(chart: Chart, state: State) -> int | None:
    """The parallel state whose history this is, if it is any."""
    parent = chart.states[state.parent or ROOT]
    history = state.kind in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)
    return parent.number if history and parent.kind is Kind.PARALLEL else None


def _default_words(chart: Chart, state: State) -> str:
    """Where the history of a parallel state leads at first: its line leads to that state, and not into it."""
    if _history_of(chart, state) is None:
        return ""
    return "→ " + ", ".join(one_line(chart.states[target].name) for target in state.default)


def _add_children(plan: Plan, chart: Chart, state: State) -> None:
    item = plan.items[state.number]
    if item.shape is not Shape.PARALLEL:
        item.children += state.children
        if item.shape is Shape.COMPOUND and state.initial:
            dot = plan.add(state.number, Shape.INITIAL, 12, 12)
            item.children = [dot.number, *item.children[:-1]]  # first, as it is where one begins to read
            for target in state.initial:
                plan.wire(dot.number, target, quiet=True)
        return
    for number in state.children:
        if plan.container(number):
            item.children.append(number)
            plan.items[number].region = True
        elif plan.items[number].shape is Shape.ATOMIC:
            _add_cell(plan, state.number, [number]).region = True
        else:
            _add_outside(plan, state.number, number)


def _add_outside(plan: Plan, parent: int, history: int) -> None:
    """The history of a parallel state beside that state: within, it would look like one region more."""
    home = plan.items[outermost(plan, parent)].parent
    plan.items[history].parent = home
    plan.items[home].children.append(history)


def outermost(plan: Plan, number: int) -> int:
    """The item itself, or for a region the parallel state around it: the first with a place in a level."""
    while plan.items[plan.items[number].parent].shape is Shape.PARALLEL:
        number = plan.items[number].parent
    return number


def _add_cell(plan: Plan, parent: int, numbers: list[int]) -> Item:
    cell = plan.add(parent, Shape.CELL, 0, 0)
    cell.children += numbers
    for number in numbers:
        plan.items[number].parent = cell.number
    return cell


def _add_wires(plan: Plan, chart: Chart, state: State) -> None:
    parallel = _history_of(chart, state)
    if parallel is not None:
        plan.wire(state.number, parallel, quiet=True)
    for target in () if parallel is not None else state.default:
        first = [Row(f"/ {one_line(action.function.label)}", tone=Tone.QUIET) for action in state.opening]
        plan.wire(state.number, target, block=caption_block(first) if first else None, quiet=True)
    groups: dict[tuple[tuple[int, ...], bool], list[Edge]] = {}
    for edge in state.edges:
        if edge.targets:
            groups.setdefault((edge.targets, edge.internal), []).append(edge)
    for (targets, _), edges in groups.items():
        rows: list[Row] = [row for edge in edges for row in edge_caption(chart, edge).rows]
        block = caption_block(rows) if rows else None
        numbers = tuple(edge.number for edge in edges)
        if len(targets) == 1:
            plan.wire(state.number, targets[0], edges=numbers, block=block)
        else:
            _add_fork(plan, state.number, targets, numbers, block)


def _add_fork(
    plan: Plan, source: int, targets: tuple[int, ...], edges: tuple[int, ...], block: Block | None
) -> None:
    """An edge with several targets runs to a bar outside of what it enters, and from there to each."""
    common = [c for c in plan.above(targets[0]) if all(c in plan.above(t) for t in (source, *targets[1:]))]
    home = next(c for c in common if plan.items[c].shape in (Shape.COMPOUND, Shape.PAGE))
    bar = plan.add(home, Shape.FORK, 24 + 16 * len(targets), 5)
    plan.wire(source, bar.number, edges=edges, block=block, arrow=False)
    for target in targets:
        plan.wire(bar.number, target, edges=edges)
