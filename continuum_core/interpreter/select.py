"""Which edges one event enables, and which of them stay when they would leave the same states.

SCXML, appendix D: selectTransitions, removeConflictingTransitions, computeExitSet and
getTransitionDomain, over bit masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from continuum_core.interpreter.program import HISTORIES, Arc, Program, mask

if TYPE_CHECKING:
    from continuum_core.interpreter.layout import Groups
    from continuum_core.interpreter.progress import Progress

__all__ = ["domain_of", "effective_targets", "enabled", "exits_of", "unconflicted"]

_NONE: tuple[Arc, ...] = ()


def enabled(groups: Groups, progress: Progress) -> tuple[Arc, ...]:
    """The first enabled edge of each active atomic state: inner states first, then document order."""
    chosen = _NONE
    for group in groups:
        for arc in group:
            # An ancestor's edge that another region chose already: its guard is pure, and so holds again.
            if arc in chosen:
                break
            if arc.free or progress.holds(arc):
                chosen += (arc,)
                break
    return chosen


def unconflicted(
    program: Program, configuration: int, chosen: tuple[Arc, ...], history: Mapping[int, int]
) -> tuple[Arc, ...]:
    """The edges that may be taken together: of two that exit a common state, one preempts the other."""
    kept: list[Arc] = []
    for arc in chosen:
        exits = exits_of(program, configuration, arc, history)
        rivals = [other for other in kept if exits & exits_of(program, configuration, other, history)]
        # The edge of an inner state wins over its ancestor's; between strangers the earlier one stays.
        if all(program.ancestors[arc.source] >> rival.source & 1 for rival in rivals):
            kept = [other for other in kept if other not in rivals]
            kept.append(arc)
    return tuple(kept)


def exits_of(program: Program, configuration: int, arc: Arc, history: Mapping[int, int]) -> int:
    """The active states that this edge would exit."""
    domain = domain_of(program, arc, history)
    return 0 if domain < 0 else configuration & program.descendants[domain]


def domain_of(program: Program, arc: Arc, history: Mapping[int, int]) -> int:
    """The state inside which the edge exits and enters states; -1 for a targetless edge."""
    if arc.domain is not None:
        return arc.domain
    return program.domain(arc.edge, effective_targets(program, arc.edge.targets, history))


def effective_targets(program: Program, targets: tuple[int, ...], history: Mapping[int, int]) -> int:
    """The mask of the targets, each history replaced by what it recorded, or by its default."""
    reached = 0
    for target in targets:
        state = program.chart.states[target]
        if state.kind not in HISTORIES:
            reached |= mask((target,))
        elif history.get(target):
            reached |= history[target]
        else:
            reached |= effective_targets(program, state.default, history)
    return reached
