"""The words on a drawing: what an edge, a state and a delay are called.

Every drawing (Mermaid, DOT, SVG, terminal) takes its words from here, so that they agree. Words come
from users' source and may hold any character: whoever prints them escapes them.
"""

from __future__ import annotations

import enum
from datetime import timedelta

from attrs import frozen

from continuum_core.definition.chart import (
    ROOT,
    Action,
    ActionKind,
    Chart,
    Crew,
    Edge,
    Function,
    Invoke,
    Kind,
    State,
    TriggerKind,
)

__all__ = [
    "ASCII_SIGNS",
    "SIGNS",
    "Caption",
    "Row",
    "Sign",
    "Tone",
    "crew_rows",
    "delay_words",
    "edge_caption",
    "frame_title",
    "one_line",
    "plain",
    "state_rows",
    "target_words",
]

LONGEST = 44
"""Characters of a guard or an action that a drawing shows; the full text is in the tooltip."""


class Sign(enum.Enum):
    """A small picture before or within a text; SVG draws it, the others print a character."""

    TIMER = "timer"
    INVOKE = "invoke"
    DONE = "done"
    ERROR = "error"
    UNDO = "undo"


class Tone(enum.Enum):
    """How loud a row is: what happens, under which condition, and what else is done."""

    PLAIN = "plain"
    GUARD = "guard"
    QUIET = "quiet"


SIGNS = {Sign.TIMER: "⏲", Sign.INVOKE: "⚙", Sign.DONE: "✓", Sign.ERROR: "✗", Sign.UNDO: "↶"}
ASCII_SIGNS = {
    Sign.TIMER: "after",
    Sign.INVOKE: "invoke",
    Sign.DONE: "done",
    Sign.ERROR: "error",
    Sign.UNDO: "",  # its rows say it in words
}


@frozen
class Row:
    """One row of text: an optional sign, the text to show, its tone, and all of it for a tooltip."""

    text: str
    sign: Sign | None = None
    tone: Tone = Tone.PLAIN
    full: str = ""


@frozen
class Caption:
    """What is written at an edge: rows from the most to the least important."""

    rows: tuple[Row, ...]


def one_line(text: str) -> str:
    """`text` with every run of white space and control characters made one blank."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, longest: int = LONGEST) -> str:
    """`text` on one line, cut with an ellipsis beyond `longest` characters."""
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000))


def delay_words(delay: timedelta | Function) -> str:
    """A delay as people say it: ``30 min``, ``1 d 12 h``, ``250 ms``; a computed one by its source."""
    if isinstance(delay, Function):
        return shortened(_called(delay))
    rest = max(0, delay // timedelta(microseconds=1))
    if rest < 1_000:
        return f"{rest} µs" if rest else "0 s"
    words: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words)


def frame_title(chart: Chart) -> str:
    """The machine's name and version, and how long a run may take."""
    title = f"{one_line(chart.name)} · version {chart.version}"
    return title if chart.deadline is None else f"{title} · deadline {delay_words(chart.deadline)}"


def target_words(chart: Chart, edge: Edge) -> str:
    """The names of an edge's targets; paths where the bare name is not unique in the chart."""
    return ", ".join(_called_state(chart, number) for number in edge.targets)


def edge_caption(chart: Chart, edge: Edge) -> Caption:
    """What is written at `edge`: trigger, guard in brackets, what it raises and sends, its reducer."""
    source = chart.states[edge.source]
    rows: list[Row] = []
    trigger = _trigger_row(source, edge)
    if trigger is not None:
        rows.append(trigger)
    if edge.guard is not None:
        text = _called(edge.guard)
        rows.append(Row(f"[{shortened(text)}]", tone=Tone.GUARD, full=f"[{one_line(text)}]"))
    elif trigger is None and any(other.guard for other in source.edges):
        rows.append(Row("else", tone=Tone.GUARD, full="else"))
    rows += [row for action in edge.actions if (row := _action_row(action)) is not None]
    return Caption(tuple(rows))


def state_rows(chart: Chart, state: State) -> tuple[Row, ...]:
    """The rows inside a state's box: entry, exit, activities, edges without target, deferred events."""
    rows = [_titled("entry", action) for action in state.entry]
    if state.kind is Kind.COMPOUND:
        rows += [_titled("initial", action) for action in state.opening]
    rows += [_invoke_row(invoke) for invoke in state.invokes]
    if state.memory is not None:
        rows.append(Row(f"remember {state.memory}", tone=Tone.QUIET, full=f"remember {state.memory}"))
    if state.checkpoint:
        rows.append(Row("checkpoint", tone=Tone.QUIET, full="a step that enters it leaves a record"))
    if state.anew is not None:
        text = _called(state.anew)
        rows.append(Row(f"as new / {shortened(text)}", full=f"continue as new with {text}"))
    rows += crew_rows(state)
    if state.compensation is not None:
        together = state.compensation.parallel
        text = "compensate all at once" if together else "compensate"
        how = "all at once" if together else "newest first"
        rows.append(Row(text, Sign.UNDO, full=f"undo what was done, {how}"))
    for edge in state.edges:
        if not edge.targets:
            rows += _stay_rows(chart, edge)
    rows += [_titled("exit", action) for action in state.exit]
    if state.deferred:
        names = ", ".join(one_line(event.__name__) for event in state.deferred)
        rows.append(Row(f"defer {shortened(names)}", tone=Tone.QUIET, full=f"defer {names}"))
    return tuple(rows)


def crew_rows(state: State) -> list[Row]:
    """The rows of child runs and of members, in a state's box."""
    return [_crew_row(crew) for crew in state.crews]


def plain(row: Row, signs: dict[Sign, str], *, full: bool = False) -> str:
    """A row as one text; `signs` is `SIGNS` or `ASCII_SIGNS`."""
    text = row.full if full and row.full else row.text
    return text if row.sign is None else f"{signs[row.sign]} {text}".strip()


def _called(function: Function) -> str:
    return one_line(function.label) or one_line(getattr(function.call, "__name__", "")) or "function"


def _called_state(chart: Chart, number: int) -> str:
    state = chart.states[number]
    if number == ROOT:
        return one_line(chart.name)
    unique = sum(other.name == state.name for other in chart.states) == 1
    return one_line(state.name if unique else state.path)


def _trigger_row(source: State, edge: Edge) -> Row | None:
    trigger = edge.trigger
    match trigger.kind:
        case TriggerKind.ALWAYS:
            return None
        case TriggerKind.EVENT:
            text = one_line(trigger.event.__name__ if trigger.event else "?")
            return Row(shortened(text), full=text)
        case TriggerKind.ANY:
            return Row("any event", full="any event")
        case TriggerKind.DONE:
            return Row("done", sign=None, full="done: all of it is final")
        case TriggerKind.AFTER:
            delay = source.timers[trigger.slot].delay
            text = delay_words(delay)
            full = _called(delay) if isinstance(delay, Function) else text
            return Row(text, Sign.TIMER, full=f"after {full}")
        case TriggerKind.INVOKE_DONE:
            name = one_line(source.invokes[trigger.slot].activity.name)
            return Row(shortened(name), Sign.DONE, full=f"{name} succeeded")
        case TriggerKind.INVOKE_ERROR:
            return _error_row(source, edge)
        case TriggerKind.CREW_DONE:
            name = one_line(source.crews[trigger.slot].work.name)
            return Row(shortened(name), Sign.DONE, full=f"{name} succeeded")
        case TriggerKind.CREW_ERROR:
            name = one_line(source.crews[trigger.slot].work.name)
            return _failure_row(name, edge, len(source.crews) > 1)
        case TriggerKind.COMPENSATED:
            return Row("all undone", Sign.UNDO, full="all is undone")
        case TriggerKind.CANCEL:
            # Two words: an event's class may well be called Cancel, and stand at the same state.
            return Row("run cancelled", full=f"somebody cancels the run{_bounded(edge)}")
        case TriggerKind.DEADLINE:
            return Row("run overdue", full=f"the run's deadline passes{_bounded(edge)}")


def _bounded(edge: Edge) -> str:
    """How long what follows may take."""
    within = edge.within
    if within is None:
        return ""
    length = _called(within) if isinstance(within, Function) else delay_words(within)
    return f"; it is terminated if it is not over within {length}"


def _error_row(source: State, edge: Edge) -> Row:
    name = one_line(source.invokes[edge.trigger.slot].activity.name)
    return _failure_row(name, edge, len(source.invokes) > 1)


def _failure_row(name: str, edge: Edge, several: bool) -> Row:
    error = one_line(edge.trigger.error.__name__ if edge.trigger.error else "Exception")
    text = shortened(name if error == "Exception" and several else error)
    return Row(text, Sign.ERROR, full=f"{name} failed with {error}")


def _action_row(action: Action) -> Row | None:
    """A named reducer is worth a row, the source of a lambda is not: it is in the tooltip's list."""
    text = _called(action.function)
    if action.kind is ActionKind.ASSIGN:
        named = text.isidentifier()
        return Row(f"/ {shortened(text)}", tone=Tone.QUIET, full=f"assign {text}") if named else None
    word = action.kind.value
    return Row(f"/ {word} {shortened(text)}", tone=Tone.QUIET, full=f"{word} {text}")


def _titled(word: str, action: Action) -> Row:
    text = _called(action.function)
    verb = "" if action.kind is ActionKind.ASSIGN else f"{action.kind.value} "
    return Row(f"{word} / {verb}{shortened(text)}", tone=Tone.QUIET, full=f"{word} / {verb}{text}")


def _invoke_row(invoke: Invoke) -> Row:
    name = one_line(invoke.activity.name)
    return Row(shortened(name), Sign.INVOKE, full=f"invoke {name}({_called(invoke.input)})")


def _crew_row(crew: Crew) -> Row:
    name = one_line(crew.work.name)
    prefix = "run" if crew.word == "invoke" else crew.word
    full = f"{crew.word} {name}({_called(crew.input)})"
    full += f", {crew.limit} at once" if crew.each else ""
    return Row(shortened(f"{prefix} {name}"), Sign.INVOKE, full=full)


def _stay_rows(chart: Chart, edge: Edge) -> list[Row]:
    rows = edge_caption(chart, edge).rows
    if not rows:
        return [Row("always / stay", tone=Tone.QUIET)]
    text = " ".join(row.text for row in rows)
    if not any(row.text.startswith("/") for row in rows):
        text += " / stay"
    full = " ".join(row.full for row in rows) + ", without leaving the state"
    return [Row(shortened(text), rows[0].sign, Tone.QUIET, full)]
