"""What clients do in one schedule: a plan drawn from the seed before anything runs.

A plan is data, so that a failing schedule can be shrunk by leaving actions out. Clients retry what may
be retried without harm, as users are told to: starts with a key, sends with a dedupe id, orders.
"""

from __future__ import annotations

import enum
from random import Random

from attrs import define, evolve, frozen

from continuum_core.testing.simulation import machines
from continuum_core.testing.simulation.chaos import QUIET, Mix
from continuum_core.testing.simulation.machines import Job

__all__ = ["Action", "Doing", "Result", "RunPlan", "Scenario", "Verdict", "plan"]


class Doing(enum.Enum):
    START = "start"
    CLASH = "start with another input"
    SEND = "send"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    TERMINATE = "terminate"
    UNPARK = "unpark"
    RESULT = "result"


@frozen
class RunPlan:
    """A run: its machine and what it is started with. Without a key nobody but its starter knows it."""

    machine: str
    job: Job
    keyed: bool = True

    @property
    def label(self) -> str:
        return self.job.label


@frozen
class Action:
    """One thing one client does.

    :ivar number: of an event: grows with every event of this client.
    :ivar gap: seconds before it.
    :ivar dedupe: of a SEND: a dedupe id of its own, under which it is retried and may be repeated.
    """

    client: int
    doing: Doing
    run: RunPlan
    gap: float
    event: str = ""
    number: int = 0
    dedupe: str | None = None

    def __str__(self) -> str:
        said = f"client {self.client}: {self.doing.value} {self.run.machine} {self.run.label}"
        return f"{said} {self.event} {self.number}".rstrip(" 0") if self.event else said


@frozen
class Scenario:
    """What is fixed before anything runs: who does what, on how many workers, and what may go wrong.

    :ivar horizon: seconds until faults stop.
    :ivar wild: share of activity executions that fail, dawdle or hang, in 1/256.
    """

    actions: tuple[Action, ...]
    mix: Mix = QUIET
    workers: int = 2
    horizon: float = 10.0
    wild: int = 0


class Verdict(enum.Enum):
    """What a client knows of an action afterwards."""

    OK = "ok"
    REFUSED = "refused"  # told that it had no effect
    UNKNOWN = "unknown"  # no answer: it may have taken effect once, or not at all


@define
class Result:
    """An action and how it went; `run_id` where the client knows it."""

    action: Action
    verdict: Verdict
    error: str
    run_id: str
    at: int


_EVENTS = {
    "sim.order": ("Boom",),
    "sim.reminder": ("Ping", "Ping", "Ping", "Boom"),
    "sim.nested": ("Ping",),
    "sim.basket": ("Item", "Item", "Item", "Item", "Close"),
    "sim.pinged": ("Ping",),
    "sim.race": ("Ping", "Ping", "Stop"),
    "sim.rolling": ("Item", "Item", "Item", "Ping", "Close"),
    "sim.trip": ("Stop",),
    "sim.fleet": ("Stop",),
    "sim.late": ("Stop", "Boom"),
}
_ORDERS = (Doing.CANCEL, Doing.CANCEL, Doing.SUSPEND, Doing.SUSPEND, Doing.TERMINATE)
_KINDS = (
    *(name for name in machines.MACHINES if name != "sim.pinged"),
    "sim.trip",
    "sim.order",
    "sim.basket",
    "sim.basket",
)


def plan(chance: Random, clients: int = 2, kinds: tuple[str, ...] = _KINDS) -> list[Action]:
    """The actions of all clients, each client's in its order.

    :param kinds: names of machines to draw from.
    """
    runs = _runs(chance, kinds)
    numbers = [0] * clients
    actions: list[Action] = []
    orders = chance.choice((0.0, 0.3, 0.7))
    booms = chance.choice((False, False, True))
    for run in runs:
        owner = chance.randrange(clients)
        story = [Action(owner, Doing.START, run, chance.choice((0.0, 1.0)) * chance.random())]
        if run.keyed:
            story += _more(chance, run, clients, numbers, owner, booms)
            if chance.random() < orders:
                story += _order(chance, run, owner)
        if chance.random() < 0.3:
            story.append(Action(owner, Doing.RESULT, run, 0.0))
        actions = _woven(chance, actions, story)
    return _numbered(actions)


def _runs(chance: Random, kinds: tuple[str, ...]) -> list[RunPlan]:
    runs: list[RunPlan] = []
    for number in range(chance.choice((1, 1, 2, 2, 3, 4))):
        label = f"r{number}"
        machine = chance.choice(kinds)
        peer = ""
        if machine == "sim.pinger":
            peer = f"{label}p"
            runs.append(RunPlan("sim.pinged", Job(peer)))
        elif machine == "sim.shared":
            peer = f"q{chance.randrange(2)}"
        runs.append(RunPlan(machine, Job(label, chance.randrange(1, 4), peer), chance.random() < 0.9))
    return runs


def _more(
    chance: Random, run: RunPlan, clients: int, numbers: list[int], owner: int, booms: bool
) -> list[Action]:
    found: list[Action] = []
    if chance.random() < 0.25:  # somebody else starts the same, or something else under the same key
        who = chance.randrange(clients)
        found.append(Action(who, chance.choice((Doing.START, Doing.CLASH)), run, 0.2 * chance.random()))
    events = _EVENTS.get(run.machine, ())
    for _ in range(chance.choice((0, 2, 4, 6)) if events else 0):
        event = chance.choice(events)
        if event == "Boom" and not booms:
            continue
        client = owner if chance.random() < 0.7 else chance.randrange(clients)
        dedupe = "d" if chance.random() < 0.5 else None
        sent = Action(
            client, Doing.SEND, run, chance.choice((0.0, 0.0, 2.0)) * chance.random(), event, 0, dedupe
        )
        found.append(sent)
        if dedupe is not None and chance.random() < 0.2:
            found.append(evolve(sent, number=-1))  # the same once more
    return found


def _order(chance: Random, run: RunPlan, owner: int) -> list[Action]:
    doing = chance.choice(_ORDERS)
    found = [Action(owner, doing, run, 2.0 * chance.random())]
    if doing is Doing.SUSPEND:
        found.append(Action(owner, Doing.RESUME, run, 3.0 * chance.random()))
    return found


def _woven(chance: Random, one: list[Action], other: list[Action]) -> list[Action]:
    """Both lists, each in its order."""
    woven: list[Action] = []
    one, other = list(one), list(other)
    while one and other:
        woven.append((one if chance.random() < len(one) / (len(one) + len(other)) else other).pop(0))
    return woven + one + other


def _numbered(actions: list[Action]) -> list[Action]:
    """Give every event the next number of its client; a repeat keeps that of the event before it."""
    numbers: dict[int, int] = {}
    last: dict[tuple[int, str], Action] = {}
    numbered: list[Action] = []
    for action in actions:
        if action.doing is Doing.SEND:
            if action.number < 0:
                action = evolve(last[action.client, action.run.label], gap=action.gap)
            else:
                number = numbers[action.client] = numbers.get(action.client, 0) + 1
                dedupe = None if action.dedupe is None else f"c{action.client}-{number}"
                action = evolve(action, number=number, dedupe=dedupe)
            last[action.client, action.run.label] = action
        numbered.append(action)
    return numbered
