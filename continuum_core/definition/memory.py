"""Which steps of a run leave a record: what states say of it, and what follows for one step. Pure.

The innermost active state that says something decides; of several, the one that keeps most. A step is judged
by the states before and after it: what happened in a state that keeps, and what led into one, is kept.

What is remembered is no part of what a machine does: its fingerprint does not know it, and runs under way
follow the code that takes their next step.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Literal

from continuum_core.definition.chart import Chart

__all__ = ["WORDS", "Memory", "Word", "keeps", "memory_of"]

Word = Literal["ephemeral", "selective", "all", "eternal"]


class Memory(enum.IntEnum):
    """How much is kept, from the least to the most."""

    EPHEMERAL = 0  # no step leaves a record
    SELECTIVE = 1  # the first step, checkpoints and the last
    ALL = 2  # every step, until it is pruned
    ETERNAL = 3  # every step, and the run is never pruned


WORDS: dict[str, Memory] = {memory.name.lower(): memory for memory in Memory}


def memory_of(chart: Chart, configuration: int) -> Memory:
    """What the active states, a bit mask, ask for."""
    states = chart.states
    found: list[Memory] = []
    inner = 0
    for state in states:
        if configuration >> state.number & 1 and state.parent is not None:
            inner |= 1 << state.parent
    for leaf in states:
        if not configuration >> leaf.number & 1 or inner >> leaf.number & 1:
            continue
        number: int | None = leaf.number
        while number is not None and states[number].memory is None:
            number = states[number].parent
        said = None if number is None else states[number].memory
        found.append(Memory.ALL if said is None else WORDS[said])
    return max(found, default=Memory.EPHEMERAL)


def keeps(
    chart: Chart, memory: Memory, before: int, after: int, edges: Sequence[Sequence[int]], *, ends: bool
) -> bool:
    """Whether a step leaves a record.

    :param memory: the most that the states before and after it ask for.
    :param before: the configuration before it; 0 for the first.
    :param edges: numbers of the edges it took, by microstep.
    :param ends: it ended the run, or a generation of it.
    """
    if memory is not Memory.SELECTIVE:
        return memory > Memory.SELECTIVE
    if ends or before == 0:
        return True
    points = sum(1 << state.number for state in chart.states if state.checkpoint)
    if points & after & ~before:
        return True
    taken = {number for microstep in edges for number in microstep}
    return any(
        edge.checkpoint or any(points >> target & 1 for target in edge.targets)
        for state in chart.states
        for edge in state.edges
        if edge.number in taken
    )
