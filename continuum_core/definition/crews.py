"""The crews of a declaration, child runs and fan-outs, become those of the chart.

`invoke` of a machine, `spawn`, `each` and `collect` all make one. Its machine is given as the class: a chart
holds the charts of its child runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard, cast

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import LARGEST_WINDOW, Chart, Closing, Crew, Place, State
from continuum_core.definition.draft import CrewDraft, Node

__all__ = ["crew_words", "crews", "is_machine", "machines", "result_type"]

_SEVERAL = ("each", "collect")
_CLOSINGS = {closing.value: closing for closing in Closing}


def is_machine(thing: Any) -> bool:
    """Whether a thing is given as the machine of child runs."""
    return isinstance(getattr(thing, "chart", thing), Chart)


def _chart(thing: Any) -> Chart | None:
    found = getattr(thing, "chart", thing)
    return found if isinstance(found, Chart) else None


def _name(work: Any) -> str:
    chart = _chart(work)
    if chart is not None:
        return chart.name
    return work.name if isinstance(work, Activity) else str(getattr(work, "__name__", repr(work)))


def crew_words(node: Node, draft: CrewDraft) -> str:
    """A crew in the words of the declaration."""
    return f"{shown(node)}.{draft.word}({_name(draft.work)})"


def result_type(draft: CrewDraft) -> Any:
    """What functions of its done edge are given besides the context."""
    chart = _chart(draft.work)
    if chart is not None:
        one = chart.result_type
    else:
        work = _activity(draft.work)
        one = None if work is None else work.output_type
    return tuple[one, ...] if draft.word in _SEVERAL else one  # type: ignore[valid-type]  # a value here


def _is_activity(work: object) -> TypeGuard[Activity[Any, Any]]:
    return isinstance(work, Activity)


def _activity(work: object) -> Activity[Any, Any] | None:
    return work if _is_activity(work) else None


def crews(bench: Bench, node: Node) -> tuple[Crew, ...]:
    """The crews of a state; those that cannot be started are left out."""
    made = [_crew(bench, node, draft) for draft in node.crews]
    return tuple(each for each in made if each is not None)


def _crew(bench: Bench, node: Node, draft: CrewDraft) -> Crew | None:
    where, each = crew_words(node, draft), draft.word in _SEVERAL
    feed = function(bench, draft.input, f"{where} input", draft.place, (bench.header.context_type,))
    _policy(bench, draft, where)
    chart = _chart(draft.work)
    done = _activity(draft.work)
    work = done if each and done is not None else chart
    if work is None:
        wanted = "a machine or an activity" if each else "a machine"
        remedy = "Give the class of the machine" + (", or what @activity() made" if each else "")
        if done is not None:
            remedy = f"Write {shown(node)}.invoke({done.name}, ...): activities are not forgotten"
        bench.broken("C240", where, f"{_name(draft.work)} is not {wanted}", remedy, draft.place)
    if work is None or feed is None:
        bench.whole = False
        return None
    return Crew(
        slot=draft.slot,
        work=work,
        input=feed,
        each=each,
        limit=draft.limit if isinstance(draft.limit, int) else 1,
        collect=draft.word == "collect",
        closing=_CLOSINGS.get(draft.closing, Closing.CANCEL),
        awaited=draft.word != "spawn",
        place=draft.place,
    )


def _policy(bench: Bench, draft: CrewDraft, where: str) -> None:
    limit = draft.limit
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_WINDOW:
        remedy = f"Give how many may be under way at once: a whole number from 1 to {LARGEST_WINDOW}"
        bench.fault("C241", where, f"limit={limit!r} is out of range", remedy, draft.place)
    if draft.closing not in _CLOSINGS:
        remedy = f"Write one of {', '.join(repr(each) for each in _CLOSINGS)}"
        bench.fault("C242", where, f"there is no policy closing={draft.closing!r}", remedy, draft.place)
    if draft.key is not None:
        remedy = "Leave key= out: a child run's id follows from its parent; share work through an activity"
        bench.fault("C244", where, "a child run has no key of its own", remedy, draft.place)


def machines(bench: Bench, states: Iterable[State]) -> dict[str, Chart]:
    """The machines of all child runs, by name."""
    found: dict[str, Chart] = {}
    for state in states:
        for crew in state.crews:
            if not isinstance(crew.work, Chart):
                continue
            if found.setdefault(crew.work.name, crew.work) is not crew.work:
                what = f"two machines for child runs are both called {crew.work.name!r}"
                remedy = "Start one version of a machine, or rename one"
                bench.fault("C243", state.name, what, remedy, cast("Place", crew.place))
    return found
