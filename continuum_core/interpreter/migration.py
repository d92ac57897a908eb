"""`migrate`: a run that rested in an older machine, put into this one. Pure, as `step` is.

No edge led here, so no exit, edge or entry action runs: what the context needs, its upgrade makes. Entries
that go on keep their tokens, so that timers and activities on their way still arrive. Entries that do not
are closed, and states that nobody was in before begin their timers and activities. Then the run goes on to
completion like after any microstep: eventless edges that are enabled are taken, completed states are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from continuum_core.definition.chart import ROOT, Kind
from continuum_core.deterministic import drawing
from continuum_core.interpreter.commands import Command
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.macrostep import arrive
from continuum_core.interpreter.microstep import arrival
from continuum_core.interpreter.program import Program, mask
from continuum_core.interpreter.progress import Progress
from continuum_core.interpreter.snapshot import Snapshot, Step

__all__ = ["Placement", "migrate"]


class Placement(Struct, frozen=True, gc=False):
    """Where a run of an older machine comes to stand, in this machine's numbers.

    :ivar targets: the states that its innermost active states lead to.
    :ivar tokens: state → token of its entry, of those that go on if the state is active.
    :ivar begun: state → how many timers and activities such an entry has open: what is beyond begins now.
    :ivar closed: tokens of entries that are over whatever is active.
    :ivar crews: makes the crews that go on if their states are active, from the context.
    :ivar over: what closes the others.
    :ivar ended: mask of final states that the run rested in before: their completion is no news.
    """

    targets: tuple[int, ...]
    tokens: Mapping[int, int]
    begun: Mapping[int, tuple[int, int]]
    closed: tuple[int, ...]
    ended: int
    crews: Callable[[Any], Mapping[int, OpenCrew]] = lambda context: {}
    over: tuple[Command, ...] = ()


def migrate(
    program: Program,
    before: Snapshot,
    placement: Placement,
    context: Callable[[], Any],
    now: int,
    seed: bytes = b"",
) -> Step:
    """The run in this machine, and what it asks of the world.

    :param before: the run as it rested, of which version, history values (in this machine's numbers),
        time and patches count.
    :param context: makes the context; called as the machine's functions are.

    Raises MachineFault, and whatever `context` raises.
    """
    at = max(before.now, now)
    progress = Progress(program, before, None, at, seed)
    reset = drawing.set(progress)
    try:
        progress.context = context()
        targets = _innermost(program, placement.targets)
        plan = arrival(program, targets, before.history, placement.ended)
        going_on = {n: t for n, t in placement.tokens.items() if plan.configuration >> n & 1}
        over = tuple(t for n, t in placement.tokens.items() if n not in going_on)
        progress.tokens = going_on
        progress.close_tokens((*placement.closed, *over))
        progress.go_on_with(placement.crews(progress.context), going_on, placement.over)
        begin = plan.opened & ~mask(going_on)
        made = arrive(progress, plan, begin, placement.begun)
    finally:
        drawing.reset(reset)
    return made


def _innermost(program: Program, targets: tuple[int, ...]) -> tuple[int, ...]:
    """Without those that are around others: the inner one says more."""
    around = 0
    for each in targets:
        around |= program.ancestors[each]
    found = tuple(dict.fromkeys(each for each in targets if not around >> each & 1))
    assert found, "a run at rest is somewhere"
    assert ROOT not in found, "nothing leads to the root"
    assert not any(program.kind(each) in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY) for each in found)
    return found
