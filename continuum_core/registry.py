"""The machines and activities this process knows, by name and by fingerprint.

The registry is the authority for which stored runs this process may take: those of its own
fingerprints, and those of stored definitions that one of its versions of the same machine can adopt
(`definition.compatibility`) or upgrade (`definition.upgrade`). What it cannot take it never touches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from attrs import define, evolve, field, frozen

from continuum_core.codec import Codec, codec_for
from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Chart, Crew
from continuum_core.definition.compatibility import Change, ChangeKind, Difference, compare
from continuum_core.definition.event import reply_type
from continuum_core.definition.fingerprint import fingerprint, graph
from continuum_core.definition.queue import Queue
from continuum_core.definition.upgrade import Graph, Way, way
from continuum_core.errors import UnknownMachine, UnknownVersion, UsageError
from continuum_core.interpreter.program import Program, compile_chart
from continuum_core.journal.declared import can, declared
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import Definition

__all__ = ["ActivityEntry", "CrewEntry", "Entry", "Registry"]

_KEPT = 4096
"""Configurations whose leaves an entry remembers: a chart with many regions has more than memory."""


@frozen
class ActivityEntry:
    """An activity with the codecs of its input and output."""

    activity: Activity[Any, Any]
    input: Codec[Any]
    output: Codec[Any]


@frozen
class CrewEntry:
    """What a crew starts, with the codecs of its members' input and output.

    :ivar child: the definition of the child runs' machine; None where the members are activities.
    """

    input: Codec[Any]
    output: Codec[Any]
    child: Definition | None = None


@define(eq=False)
class Entry:
    """One version of one machine, ready to run: program, codecs, names."""

    chart: Chart
    program: Program
    definition: Definition
    context: Codec[Any]
    input: Codec[Any]
    result: Codec[Any]
    verdict: Codec[Any] | None
    events: Mapping[str, Codec[Any]]  # event name → codec
    names: Mapping[type, str]  # event class → its name
    activities: Mapping[str, ActivityEntry]
    invoked: Mapping[tuple[int, int], ActivityEntry]  # (state, slot) → what is started there
    numbers: Mapping[str, int]  # state path → number
    replies: Mapping[str, Codec[Any]] = field(
        factory=dict[str, Codec[Any]]
    )  # name of a question → codec of its reply
    crews: Mapping[tuple[int, int], CrewEntry] = field(factory=dict[tuple[int, int], CrewEntry])
    kin: tuple[Definition, ...] = ()  # of all machines that it or its child runs start
    compensates: bool = False  # what declares an undo may be undone
    remembers: bool = False  # some state says which steps leave a record
    _leaves: dict[int, tuple[str, ...]] = field(factory=dict[int, tuple[str, ...]])  # as `leaves` answered

    @cached_property
    def fingerprint(self) -> str:
        return self.definition.fingerprint

    @cached_property
    def described(self) -> bool:
        """Whether turns have to tell what their runs are found by."""
        return self.chart.finds_states or any(each.of is not None for each in self.chart.attributes)

    def named(self) -> tuple[str, int, str]:
        """Name, version and fingerprint of the machine."""
        return self.chart.name, self.chart.version, self.fingerprint

    def paths(self, mask: int) -> tuple[str, ...]:
        """The dotted paths of the states in a bit mask, in document order."""
        return tuple(s.path for s in self.chart.states if mask >> s.number & 1)

    def leaves(self, configuration: int) -> tuple[str, ...]:
        """The paths of the active states that have no active child: what is stored and shown."""
        found = self._leaves.get(configuration)
        if found is None:
            inner = 0
            for state in self.chart.states:
                if configuration >> state.number & 1 and state.parent is not None:
                    inner |= 1 << state.parent
            if len(self._leaves) >= _KEPT:
                self._leaves.clear()
            found = self._leaves[configuration] = self.paths(configuration & ~inner)
        return found

    def configuration(self, leaves: Iterable[str]) -> int:
        """The bit mask of these states and all their ancestors. Raises UnknownVersion."""
        mask = 0
        states = self.chart.states
        for path in leaves:
            number: int | None = self.numbers.get(path)
            if number is None:
                raise UnknownVersion(
                    f"{self.chart.name} has no state {path!r} any more; run a worker with the old version"
                )
            while number is not None:
                mask |= 1 << number
                number = states[number].parent
        return mask


def _definition(chart: Chart) -> Definition:
    return Definition(
        fingerprint=fingerprint(chart),
        machine=chart.name,
        version=chart.version,
        body=json.dumps(graph(chart), sort_keys=True, separators=(",", ":")).encode(),
    )


def _kin(chart: Chart) -> dict[str, Chart]:
    """All machines of child runs, and of theirs, by fingerprint."""
    found: dict[str, Chart] = {}
    for child in chart.machines.values():
        if fingerprint(child) not in found:
            found |= {fingerprint(child): child, **_kin(child)}
    return found


def _crew(crew: Crew) -> CrewEntry:
    work = crew.work
    if isinstance(work, Chart):
        return CrewEntry(codec_for(work.input_type), codec_for(work.result_type), _definition(work))
    return CrewEntry(codec_for(work.input_type), codec_for(work.output_type))


def _entry(chart: Chart) -> Entry:
    activities = {
        name: ActivityEntry(a, codec_for(a.input_type), codec_for(a.output_type))
        for name, a in chart.activities.items()
    }
    return Entry(
        chart=chart,
        program=compile_chart(chart),
        definition=_definition(chart),
        context=codec_for(chart.context_type),
        input=codec_for(chart.input_type),
        result=codec_for(chart.result_type),
        verdict=None if chart.verdict is None else codec_for(chart.verdict_type),
        events={name: codec_for(cls) for name, cls in chart.events.items()},
        names={cls: name for name, cls in chart.events.items()},
        replies={
            name: codec_for(reply)
            for name, cls in chart.events.items()
            if (reply := reply_type(cls)) is not None
        },
        activities=activities,
        invoked={
            (state.number, invoke.slot): activities[invoke.activity.name]
            for state in chart.states
            for invoke in state.invokes
        },
        numbers={s.path: s.number for s in chart.states},
        crews={(s.number, crew.slot): _crew(crew) for s in chart.states for crew in s.crews},
        kin=tuple(_definition(child) for child in _kin(chart).values()),
        compensates=chart.compensates,
        remembers=chart.remembers,
    )


class Registry:
    """The machines of one process. Filled once, at start; several versions of one name may stand beside."""

    def __init__(self, machines: Iterable[Any] = ()) -> None:
        self._newest: dict[str, Entry] = {}
        self._entries: dict[str, Entry] = {}
        self._adopted: dict[str, Entry] = {}
        self._ways: dict[str, Way] = {}
        self._refused: dict[str, Change] = {}
        for machine in machines:
            self.add(machine)

    def add(self, machine: Any) -> Entry:
        """Register a machine class (or a chart), and those of its child runs. A second time it is found.

        Raises UsageError where another definition has the same name and version.
        """
        chart = machine if isinstance(machine, Chart) else getattr(machine, "chart", None)
        if not isinstance(chart, Chart):
            raise UsageError(f"{machine!r} is not a machine: pass a subclass of Machine")
        print_ = fingerprint(chart)
        known = self._entries.get(print_)
        if known is not None:
            return known
        for other in self._entries.values():
            if (other.chart.name, other.chart.version) == (chart.name, chart.version):
                raise UsageError(
                    f"two different machines are both named {chart.name!r} version {chart.version} "
                    f"(in {other.chart.module} and {chart.module}); raise one's version or rename it"
                )
        entry = _entry(chart)
        self._check_queues(entry)
        for child in chart.machines.values():
            self.add(child)
        self._entries[print_] = entry
        newest = self._newest.get(chart.name)
        if newest is None or newest.chart.version < chart.version:
            self._newest[chart.name] = entry
        return entry

    def replace(self, machines: Iterable[Any]) -> None:
        """Forget everything and know these machines instead: for tests that deploy a new release."""
        self.__init__(machines)  # type: ignore[misc]  # the object stays, as others hold it

    def check_forgets(self, journal: Journal) -> None:
        """Raises UsageError for machines that choose what is remembered, on a journal that cannot forget."""
        chosen = [each.chart.name for each in self._entries.values() if each.remembers]
        if not chosen or can(journal, Capability.FORGETS):
            return
        if declared(journal) is None:
            raise UsageError(
                f"machine {chosen[0]} says which of its steps leave a record, and nobody says of this "
                f"journal whether it can forget any: connect it by its URL, or give {type(journal).__name__} "
                "its backend's CAPABILITIES as `capabilities`"
            )
        raise UsageError(
            f"machine {chosen[0]} says which of its steps leave a record, and this journal's backend "
            "keeps all (it does not declare 'forgets'): choose another journal, or leave remember() out"
        )

    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def named(self, machine: str) -> Entry:
        """The newest version of that name. Raises UnknownMachine."""
        entry = self._newest.get(machine)
        if entry is None:
            raise UnknownMachine(machine, sorted(self._newest))
        return entry

    def look(self, machine: str) -> Entry | None:
        """The newest version of that name, or None."""
        return self._newest.get(machine)

    def learn(self, definitions: Iterable[Definition]) -> None:
        """Classify stored definitions: which a version of their name can adopt or upgrade.

        The same version comes first, with its bodies mended, say: it was not replaced. Then the newest.
        """
        for stored in definitions:
            known = stored.fingerprint in self._entries or stored.fingerprint in self._adopted
            if known or stored.machine not in self._newest:
                continue
            graph = json.loads(stored.body)
            refusals: list[Change] = []
            for entry in self._versions(stored):
                refusal = self._refusal(stored, graph, entry)
                if refusal is None:
                    break
                refusals.append(refusal)
            else:
                self._refused[stored.fingerprint] = refusals[0]

    def _versions(self, stored: Definition) -> list[Entry]:
        """The versions of a definition's machine, the likeliest to take its runs first."""
        found = [each for each in self._entries.values() if each.chart.name == stored.machine]
        return sorted(found, key=lambda each: (each.chart.version != stored.version, -each.chart.version))

    def _refusal(self, stored: Definition, graph: Graph, entry: Entry) -> Change | None:
        """None where this version takes the runs of a stored definition, which is noted; else why not."""
        found, obstacles = way(graph, entry.chart)
        if obstacles:
            blocking = [Difference(each.where, f"{each.what}. {each.remedy}", True) for each in obstacles]
            return Change(ChangeKind.NEEDS_UPGRADE, tuple(blocking))
        if found is None:
            change = compare(graph, json.loads(entry.definition.body))
            if change.kind not in (ChangeKind.SAME, ChangeKind.ADOPTABLE):
                return change
        else:
            # By the name that its runs bear, whatever the hash of its stored form.
            self._ways[stored.fingerprint] = evolve(found, fingerprint=stored.fingerprint)
        self._adopted[stored.fingerprint] = entry
        return None

    def takes(self) -> frozenset[str]:
        """The fingerprints whose runs this process may take."""
        return frozenset(self._entries) | frozenset(self._adopted)

    def way(self, print_: str) -> Way | None:
        """How runs of this fingerprint come to what runs them here; None where they need not be moved."""
        return self._ways.get(print_)

    def refused(self) -> Mapping[str, Change]:
        """Stored fingerprints of machines known here by name that this process must not run, and why."""
        return self._refused

    def entry(self, print_: str) -> Entry:
        """What runs a run that was last run by this fingerprint. Raises UnknownVersion."""
        entry = self._entries.get(print_) or self._adopted.get(print_)
        if entry is None:
            raise UnknownVersion(f"no code here takes runs of definition {print_}")
        return entry

    def find(self, print_: str) -> Entry | None:
        """Like `entry`, or None."""
        return self._entries.get(print_) or self._adopted.get(print_)

    def reader(self, print_: str, other: Entry | None = None) -> Entry | None:
        """What reads snapshots of this fingerprint as they are stored; None where they are moved first.

        :param other: for a fingerprint that is not known here.
        """
        return None if print_ in self._ways else self.find(print_) or other

    def queues(self) -> Mapping[str, Queue]:
        """The queues that activities declare, by name. Their limits bind all activities of that name."""
        return {queue.name: queue for activity in self.every_activity() for queue in activity.declared}

    def _check_queues(self, new: Entry) -> None:
        """Raises UsageError where a queue is declared in two ways: which of the limits holds?"""
        known = {
            queue.name: (queue, activity, entry)
            for entry in self._entries.values()
            for activity in entry.chart.activities.values()
            for queue in activity.declared
        }
        for activity in new.chart.activities.values():
            for queue in activity.declared:
                other, by, entry = known.get(queue.name, (queue, activity, new))
                if queue != other:
                    raise UsageError(
                        f"queue {queue.name!r} is declared in two ways: {other} by activity "
                        f"{by.name} of {entry.chart.name}, {queue} by {activity.name} of "
                        f"{new.chart.name}; declare it once, as a constant, and give it to both"
                    )

    def every_activity(self) -> list[Activity[Any, Any]]:
        """Those of every version: what an older one has asked for waits in the older one's queue."""
        return [each for entry in self._entries.values() for each in entry.chart.activities.values()]

    def activities(self) -> Mapping[str, ActivityEntry]:
        """Every activity of every machine, by name; the newest machine version wins."""
        found: dict[str, ActivityEntry] = {}
        for entry in sorted(self._entries.values(), key=lambda e: (e.chart.name, e.chart.version)):
            found.update(entry.activities)
        return found
