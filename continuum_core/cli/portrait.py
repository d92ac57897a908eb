"""One run as `show` prints it: head, drawing, context, what it waits for, what it does, what went astray."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen
from rich.text import Text

from continuum_core.cli.kin import crew_lines, parent_words
from continuum_core.cli.output import Rows, ascii_only, console, moment, pretty, safe, span_words
from continuum_core.cli.reasons import Reason
from continuum_core.cli.stored import ACTIVE_END, ACTIVE_START, stored_tree
from continuum_core.definition.chart import Chart
from continuum_core.definition.fingerprint import fingerprint
from continuum_core.definition.terminal import terminal
from continuum_core.journal.dealing import PLACES
from continuum_core.journal.records import ENDED, Definition, RunStatus
from continuum_core.members import CrewView, Parent
from continuum_core.view import RunView, TaskView, Waiting

__all__ = ["Portrait", "begin_words", "draw_run", "print_drawing", "show_run", "status_word"]

_STRONG = (ACTIVE_START, ACTIVE_END)

_LATE = timedelta(minutes=1)
"""A live worker takes what is due within seconds."""


@frozen
class Portrait:
    """A run, its machine drawn (with marks around active names), and the journal's time.

    :ivar unclaimable: which worker it waits for, where none that lives takes it; else "".
    :ivar attributes: what it is found by, as JSON values.
    :ivar parent: where it comes from, and `crews` what it has under way.
    :ivar reason: why it is over, where it is and has not completed.
    """

    view: RunView
    drawing: str
    now: datetime
    unclaimable: str = ""
    attributes: Mapping[str, Any] = field(factory=dict[str, Any])
    parent: Parent | None = None
    crews: Sequence[CrewView] = ()
    reason: Reason = field(factory=Reason)


def draw_run(view: RunView, charts: Sequence[Chart], stored: Definition | None) -> str:
    """The run's machine as text: by the code where it is given, else by the definition that is stored."""
    outcome = view.outcome or {}
    active = frozenset(view.states or ([outcome["state"]] if outcome.get("state") else []))
    plain, width = ascii_only(), console().width
    # The very definition first; else the same machine in another version, which may know other states.
    known = sorted(
        (c for c in charts if c.name == view.machine), key=lambda c: fingerprint(c) != view.fingerprint
    )
    for chart in known:
        if active <= {state.path for state in chart.states}:
            note = (
                ""
                if fingerprint(chart) == view.fingerprint
                else "(drawn by code that differs from the run's)\n"
            )
            return note + terminal(chart, active, width=width, ascii_only=plain, strong=_STRONG)
    if stored is None:
        return ""
    return stored_tree(json.loads(stored.body), active, ascii_only=plain)


def show_run(portrait: Portrait) -> None:
    """Print it."""
    view, now = portrait.view, portrait.now
    out = console()
    for text in _head(portrait):
        out.print(text, soft_wrap=True)
    if portrait.drawing:
        out.print()
        print_drawing(portrait.drawing)
    _section("Context", pretty(view.context) if view.version else [])
    found_by = [
        safe(f"{name} = {json.dumps(value, ensure_ascii=False)}")
        for name, value in portrait.attributes.items()
    ]
    _section("Found by", found_by)
    if view.outcome is not None:
        _section("Outcome", list(_outcome(view.outcome, portrait.reason)))
    if view.waiting:
        _title("Waits for")
        rows = Rows([("event", 24), ("in", 10), ("when, or why it is held", 0)])
        rows.add([_waiting(each, now) for each in view.waiting])
    if view.tasks:
        _title("Activities")
        rows = Rows([("activity", 20), ("try", 4), ("is", 30), ("last failure", 0)])
        rows.add([_task(each, now) for each in view.tasks])
    _section("Child runs and members", list(crew_lines(portrait.crews)))
    if view.dead:
        _title("Dead letters")
        rows = Rows([("event", 24), ("at", 20), ("reason", 0)])
        rows.add([(safe(each.what), _when(each.due), safe(each.reason)) for each in view.dead])


def print_drawing(drawing: str) -> None:
    """Print what `draw_run` drew, with the active states in colour."""
    for line in drawing.rstrip("\n").split("\n"):
        console().print(_marked(line), soft_wrap=True)


def _head(portrait: Portrait) -> Iterator[Text]:
    view, now, unclaimable = portrait.view, portrait.now, portrait.unclaimable
    name = safe(f"{view.machine}/{view.key}") if view.key is not None else safe(view.machine)
    yield Text.assemble((name, "bold"), "  ", (status_word(view, portrait.reason), _colour(view.status)))
    if portrait.reason.moved:
        yield Text(safe(f"moved to {portrait.reason.moved}: it goes on there"), style="yellow")
    if when := begin_words(view, now):
        yield Text(when, style="yellow")
    if view.cause:
        first, *rest = view.cause.split("\n")
        yield Text(f"because: {safe(first)}", style="yellow")
        yield from (Text(f"  {safe(line)}", style="yellow") for line in rest)
    overdue = view.overdue(now)
    if unclaimable:
        yield Text(f"unclaimable: {safe(unclaimable)}", style="yellow")
    if overdue is not None and overdue > _LATE:
        words = f"due for {span_words(overdue)}, and no worker takes it"
        question = "" if unclaimable else f": is one alive that knows definition {view.fingerprint[:12]}?"
        yield Text(f"{words}{question}", style="yellow")
    yield Text(f"run {view.id}, version {view.version}", style="dim")
    if portrait.parent is not None:
        words = safe(parent_words(portrait.parent))
        yield Text(f"{words}: `continuum graph {view.id}` draws all that hangs together", "dim")
    changed = f"changed {moment(view.updated)} ({span_words(now - view.updated)} ago)"
    yield Text(f"started {moment(view.created)}, {changed}", style="dim")


def status_word(view: RunView, reason: Reason) -> str:
    """A run's status; *running* is said of one that has begun alone, *terminated* of none that moved."""
    if reason.moved:
        return "moved"
    waits = not view.begun and view.status is RunStatus.RUNNING
    return "not begun" if waits else view.status.name.lower()


def begin_words(view: RunView, now: datetime) -> str:
    """When a run that was started for later begins; "" of any other."""
    late = view.begins is not None and view.begins > now and view.status is RunStatus.RUNNING
    return f"begins in {span_words(view.begins - now)}" if late and view.begins is not None else ""


def _colour(status: RunStatus) -> str:
    if status is RunStatus.COMPLETED:
        return "bold green"
    return "bold red" if status in ENDED or status is RunStatus.PARKED else "bold yellow"


def _marked(line: str) -> Text:
    """A line of the drawing, with the names between the marks in colour."""
    text = Text()
    for part in re.split(f"({ACTIVE_START}[^{ACTIVE_END}]*{ACTIVE_END})", line):
        if part.startswith(ACTIVE_START):
            text.append(safe(part.strip(ACTIVE_START + ACTIVE_END)), style="bold green")
        else:
            text.append(safe(part.replace(ACTIVE_START, "").replace(ACTIVE_END, "")))
    return text


def _title(words: str) -> None:
    out = console()
    out.print()
    out.print(Text(words, style="bold underline"))


def _section(words: str, lines: Sequence[str]) -> None:
    if lines:
        _title(words)
        for line in lines:
            console().print(Text(line), soft_wrap=True)


def _outcome(outcome: dict[str, Any], why: Reason) -> Iterator[str]:
    state = outcome.get("state")
    reason = outcome.get("reason") or ("" if outcome.get("failure") or outcome.get("value") else why.words)
    yield safe(
        str(outcome.get("kind", "?")) + (f" in {state}" if state else "") + (f": {reason}" if reason else "")
    )
    if "value" in outcome:
        yield from pretty(outcome["value"])
    failure = outcome.get("failure")
    if failure:
        yield safe(f"{failure.get('type')}: {failure.get('message')}")
        yield from (f"  {safe(line)}" for line in str(failure.get("traceback", "")).rstrip().split("\n"))


def _when(at: datetime | None) -> str:
    return "-" if at is None else moment(at)


def _waiting(each: Waiting, now: datetime) -> Sequence[str]:
    what = f"{each.what} of {each.state}" if each.state else each.what
    left = "now" if each.due is None or each.due <= now else span_words(each.due - now)
    return safe(what), "held" if each.held else left, each.held or _when(each.due)


def _place(each: TaskView) -> str:
    """Where a task stands in its queue. Rates and limits make it wait there, and are no errors."""
    if each.place is None:
        return f"waiting in {each.queue}"
    if each.place == 0:
        return f"next in {each.queue}"
    most = " or more" if each.place >= PLACES else ""
    return f"{each.place:,}{most} before it in {each.queue}"


def _task(each: TaskView, now: datetime) -> Sequence[str]:
    if each.claimed:
        doing = "asked to stop" if each.cancel_requested else "running"
    elif each.lost:
        doing = f"worker lost, {_place(each)}"
    else:
        doing = f"again in {span_words(each.due - now)}" if each.due > now else _place(each)
    if each.losses:
        doing += f", lost {each.losses}×"
    return safe(each.activity), str(each.attempt + 1), safe(doing), safe(each.failure or "-")
