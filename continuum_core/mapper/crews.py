"""Crews that are not over ⇄ their stored form, inside the snapshot's.

The context that waiting members are made of is written only where it is not the run's own any more; what
came of members is kept beside the run (`Commit.members`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Raw

from continuum_core.envelope import CrewBody, FailureBody, SnapshotBody, TaskOutcomeBody, read
from continuum_core.errors import UnknownVersion
from continuum_core.interpreter.crews import Chain, OpenCrew
from continuum_core.journal.commit import Member
from continuum_core.mapper.failures import failure_value
from continuum_core.registry import Entry

__all__ = ["decode_crews", "encode_crews", "filled", "member_result"]


def encode_crews(entry: Entry, crews: Mapping[int, OpenCrew], context: Any, body: SnapshotBody) -> None:
    """Write the crews into a snapshot's body."""
    states = entry.chart.states
    for token, crew in crews.items():
        made = CrewBody(
            token,
            states[crew.state].path,
            crew.slot,
            crew.total,
            crew.next,
            crew.open,
            crew.runs,
            crew.closing,
        )
        if crew.next < crew.total and crew.context is not context:
            pinned = entry.context.encode(crew.context)
            if pinned != bytes(body.context):
                made.context = Raw(pinned)
        body.crews.append(made)


def decode_crews(
    entry: Entry,
    stored: Iterable[CrewBody],
    context: Any,
    read_context: Callable[[bytes], Any] | None = None,
) -> dict[int, OpenCrew]:
    """The crews that a snapshot tells of.

    :param context: the run's.
    :param read_context: makes a context of its stored form; the entry's codec unless given.

    Raises UnknownVersion for one that the machine has no more.
    """
    found: dict[int, OpenCrew] = {}
    for each in stored:
        state = entry.numbers.get(each.state)
        if state is None or each.slot >= len(entry.chart.states[state].crews):
            raise UnknownVersion(f"{each.state} no longer has child runs or members number {each.slot}")
        pinned = context
        if isinstance(each.context, Raw):
            pinned = (read_context or entry.context.decode)(bytes(each.context))
        found[each.token] = OpenCrew(
            state, each.slot, each.runs, each.closing, each.total, each.next, each.open, pinned
        )
    return found


def member_result(entry: Entry, crew: OpenCrew, body: bytes) -> Any:
    """What came of a member: its output, or a `Failure`. Raises UnknownVersion."""
    told = read(TaskOutcomeBody, body)
    if isinstance(told.failure, FailureBody):
        return failure_value(told.failure)
    if not isinstance(told.output, Raw):
        return None
    return entry.crews[crew.state, crew.slot].output.decode(bytes(told.output))


def filled(entry: Entry, crew: OpenCrew, members: list[Member]) -> OpenCrew:
    """A crew with what came of its members, as it is kept beside the run."""
    chain: Chain = None
    for member in members:
        chain = (chain, member.number, member_result(entry, crew, member.body))
    return OpenCrew(
        crew.state,
        crew.slot,
        crew.runs,
        crew.closing,
        crew.total,
        crew.next,
        crew.open,
        crew.context,
        crew.members,
        chain,
        len(members),
    )
