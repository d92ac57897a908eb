"""What goes wrong, when: drawn from one seed with rates of its own, or replayed from a list.

Every seed has another mix of faults (some kinds not at all), because a schedule in which everything
fails a little hides what happens when one thing fails a lot. What was drawn is kept by the name of its
place, such as ``w1 commit 3``, so that a schedule can be replayed with some of its faults left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import frozen

from continuum_core.testing.faults import Call, Chooser, Fault, FaultKind
from continuum_core.testing.simulation.scheduler import Process, Scheduler

__all__ = ["LEASE", "QUIET", "Chaos", "Mishap", "Mix", "mix_of"]

LEASE = 6.0
"""Seconds; the simulated workers' lease. Short pauses stay far below it, long ones far above."""


@frozen
class Mishap:
    """A fault of one call, and for how many seconds the whole process freezes before it."""

    fault: Fault
    freeze: float = 0.0

    def __str__(self) -> str:
        said = [] if self.fault.kind is FaultKind.NONE else [self.fault.kind.value]
        if self.freeze:
            said.append(f"process frozen for {self.freeze:.1f} s")
        if self.fault.before:
            said.append(f"{self.fault.before:.3f} s before")
        if self.fault.after:
            said.append(f"{self.fault.after:.3f} s after")
        return ", ".join(said)


@frozen
class Mix:
    """Probabilities per call of a verb; `skew` is how wrong clocks of processes run at most."""

    rates: Mapping[FaultKind, float]
    short: float  # a pause of milliseconds to a second
    long: float  # a pause beyond a lease, of one coroutine
    freeze: float  # a pause beyond a lease, of the whole process
    skew: float

    @property
    def total(self) -> float:
        return sum(self.rates.values()) + self.short + self.long + self.freeze


QUIET = Mix({}, 0.0, 0.0, 0.0, 0.0)

_HEAVIEST = {
    FaultKind.LOST_REQUEST: 0.10,
    FaultKind.LOST_REPLY: 0.10,
    FaultKind.LATE: 0.05,
    FaultKind.TWICE: 0.10,
    FaultKind.REFUSED: 0.10,
    FaultKind.CRASH_BEFORE: 0.02,
    FaultKind.CRASH_AFTER: 0.03,
    FaultKind.NO_WAKEUP: 0.5,
}


def mix_of(chance: Random) -> Mix:
    """The faults of one schedule: each kind absent, rare or frequent."""

    if chance.random() < 0.08:
        return QUIET

    def rate(most: float) -> float:
        return chance.choice((0.0, 0.0, most / 5, most))

    return Mix(
        rates={kind: rate(most) for kind, most in _HEAVIEST.items()},
        short=rate(0.2),
        long=rate(0.04),
        freeze=rate(0.02),
        skew=chance.choice((0.0, 0.0, 0.05, 0.5)),
    )


_PLAIN = Fault(before=0.0, after=0.0)


class Chaos:
    """The chooser of every process of one schedule.

    :param mix: what to draw from; with `script`, only what it names happens, and nothing is drawn.
    :ivar drawn: every mishap so far, by its place.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        chance: Random,
        mix: Mix,
        script: Mapping[str, Mishap] | None = None,
        tell: Callable[[str, str, Mishap | None], None] = lambda _process, _call, _mishap: None,
    ) -> None:
        self.drawn: dict[str, Mishap] = {}
        self._scheduler = scheduler
        self._chance = chance
        self._mix = mix
        self._script = script
        self._tell = tell
        self._total = mix.total

    def chooser(self, process: Process) -> Chooser:
        def decide(call: Call) -> Fault:
            if self._scheduler.calm.is_set():
                self._tell(process.name, call.verb, None)
                return _PLAIN
            place = f"{process.name} {call.verb} {call.number}"
            mishap = self._mishap(place, call.verb)
            self._tell(process.name, call.verb, mishap)
            if mishap is None:
                return _PLAIN
            self.drawn[place] = mishap
            if mishap.freeze:
                process.freeze(mishap.freeze)
            return mishap.fault

        return decide

    def _mishap(self, place: str, verb: str) -> Mishap | None:
        if self._script is not None:
            return self._script.get(place)
        drawn = self._chance.random()
        if verb == "wait":
            lost = drawn < self._mix.rates.get(FaultKind.NO_WAKEUP, 0.0)
            return Mishap(Fault(FaultKind.NO_WAKEUP, before=0.0)) if lost else None
        if drawn >= self._total:
            return None
        for kind, rate in self._mix.rates.items():
            drawn -= rate
            if drawn < 0:
                return self._wrong(kind, verb)
        return self._slow(drawn)

    def _wrong(self, kind: FaultKind, verb: str) -> Mishap | None:
        if kind is FaultKind.NO_WAKEUP or (kind is FaultKind.LATE and verb in ("open", "load", "inspect")):
            return None
        chance = self._chance
        # A request that comes late may come after everybody's lease.
        late = chance.choice((0.05, LEASE, 2.5 * LEASE)) * chance.random()
        slow = chance.choice((0.0, 0.0, 0.1, LEASE))
        return Mishap(Fault(kind, slow * chance.random(), slow * chance.random(), late))

    def _slow(self, drawn: float) -> Mishap:
        chance = self._chance
        before = chance.random() < 0.5
        if drawn < self._mix.short:
            length = 0.5 * chance.random()
        elif drawn < self._mix.short + self._mix.long:
            length = LEASE * (1.0 + chance.random())
        else:
            return Mishap(_PLAIN, freeze=LEASE * (1.0 + chance.random()))
        return Mishap(Fault(before=length if before else 0.0, after=0.0 if before else length))
