"""One turn of one run: what is due, folded through `step`, as one commit.

Pure, but for new ids, which are an argument. The runtime takes turns of claimed runs with it, the
client the first turn of a run it starts, and tools fold histories with it.

A fold takes deliveries in their order and stops early

- when the run ends: the journal clears what is left;
- when it continues as new: a commit begins one generation at most;
- after a step that changed the configuration while the run holds deferred deliveries: those come
  first, in their old order, and only the journal knows them;
- after one delivery where the run is suspect (`tries`), so that a poisonous event is found alone.

A run of an older definition that this one upgrades is migrated first, by a record of its own. Then what
was deferred comes before all else, for the newer machine may want it.

A step that raises rolls back alone: the steps before it are committed, and the run parks on it. Only a
deadline does not park: it is taken once more, without the machine's code. Where a whole turn cannot be
written, its deliveries are folded one at a time; the one that cannot be written alone parks the run as it
is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.due import Born, Due, unclaimed
from continuum_core.errors import CompensationStuck, ContinuumError, MachineFault
from continuum_core.fold import Fold, storable
from continuum_core.hooks.facts import TurnFacts
from continuum_core.interpreter.bounds import DEADLINE, FORCED, OWN
from continuum_core.journal.commit import Commit
from continuum_core.journal.records import Delivery, DeliveryKind, Held, Record, RecordKind, RunStatus
from continuum_core.mapper import Image, encode_control, encode_forced, status_of
from continuum_core.registry import Entry

__all__ = [
    "Turn",
    "Watched",
    "lacking",
    "park",
    "quarantine",
    "slim",
    "take_turn",
]

logger = logging.getLogger(__name__)

_FEW = 256
"""Results of a crew that are remembered between two turns; more are read again when they are wanted."""


class Watched(Struct, frozen=True):
    """What plugins are told of a turn, and when it began, by a clock of this process."""

    facts: TurnFacts
    began: float


class Turn(Struct, frozen=True, gc=False):
    """A commit, and what is known of the run when it stands.

    :ivar image: the run at rest.
    :ivar has_deferred: it keeps deferred deliveries, which its next change of configuration releases.
    :ivar fault: what parks the run, if anything.
    :ivar watched: set where a plugin listens.
    """

    commit: Commit
    image: Image
    has_deferred: bool = False
    fault: Exception | None = None
    watched: Watched | None = None


def lacking(entry: Entry, image: Image, deliveries: Sequence[Delivery]) -> list[int]:
    """The crews that may be over with these deliveries, and whose results are beside the run."""
    found: list[int] = []
    for token, crew in image.snapshot.crews.items():
        left = crew.total - crew.count
        ends = sum(each.token == token for each in deliveries) >= left
        if ends and not crew.knows_all and entry.program.wants(crew.state, crew.slot):
            found.append(token)
    return found


def slim(image: Image) -> Image:
    """A run at rest without the results of large crews, which are beside it."""
    if not image.snapshot.crews:
        return image
    crews = {
        token: crew if crew.total <= _FEW else replace(crew, results=None, known=0)
        for token, crew in image.snapshot.crews.items()
    }
    return replace(image, snapshot=replace(image.snapshot, crews=crews))


def take_turn(entry: Entry, due: Due, new_id: Callable[[], UUID], born: Born = unclaimed) -> Turn:
    """Fold what is due into one commit. What goes wrong parks the run; nothing raises here.

    :param born: what becomes of a new task: the same one, or the one claimed at birth by who commits it,
        under the commit's id.

    An exception that passed would end the loop that takes turns, and the run, still due, would end the
    loop of every worker that claims it next.
    """
    try:
        return _folded(entry, due, new_id, born)
    except Exception as fault:
        if len(due.deliveries) > 1:  # one is at fault, and the error does not say which
            return take_turn(entry, replace(due, deliveries=due.deliveries[:1]), new_id, born)
        print_ = due.way.fingerprint if due.way is not None else due.former or entry.fingerprint
        told = _told(fault)
        return quarantine(print_, due, f"turn cannot be written: {told}", told, new_id)


def _folded(entry: Entry, due: Due, new_id: Callable[[], UUID], born: Born) -> Turn:
    """The turn; what raises here is no delivery's fault that is known."""
    fold = Fold(entry, due, new_id, born)
    if due.way is not None:
        try:
            if not fold.migrate(due.way):
                return Turn(fold.commit(status_of(fold.image.snapshot.outcome)), slim(fold.image))
        except Exception as fault:
            # It stays what it is, under its own definition: whoever mends the upgrade finds it whole.
            why = f"cannot be upgraded from version {due.way.version} to {entry.chart.version}"
            told = _told(fault)
            return quarantine(due.way.fingerprint, due, f"{why}: {told}", told, new_id)
    for delivery in due.deliveries:
        try:
            go_on = _taken(fold, delivery)
        except Exception as fault:  # whatever it is: the run waits for a human, and the worker for nobody
            doing = "fault" if isinstance(fault, MachineFault) else fold.doing
            return _parked(fold, delivery, doing, _told(fault))
        if fold.stuck:
            return _parked(fold, delivery, "compensation", CompensationStuck())
        if not go_on:
            break
    commit = fold.commit(status_of(fold.image.snapshot.outcome))
    has_deferred = bool(fold.deferred) or (due.has_deferred and not fold.release)
    return Turn(commit, slim(fold.image), has_deferred)


def _taken(fold: Fold, delivery: Delivery) -> bool:
    """Fold a delivery in; True when the fold may go on.

    A deadline parks no run: where the machine's code fails at it, it is taken without that code, for a run
    that was promised to be over must not wait for a human.
    """
    try:
        return fold.take(delivery)
    except Exception as fault:
        if (delivery.kind, delivery.token, delivery.slot) != (DeliveryKind.TIMER, OWN, DEADLINE):
            raise
        logger.exception("run %s: its machine fails at its deadline", delivery.run_id)
        reason = encode_forced(storable(f"the machine failed at the deadline: {_told(fault)}"))
        return fold.take(replace(delivery, slot=FORCED, payload=reason))


def park(entry: Entry, due: Due, cause: str, new_id: Callable[[], UUID]) -> Turn:
    """Park a run without a step, on its first due delivery."""
    poison = due.deliveries[0] if due.deliveries else None
    return _parked(Fold(entry, due, new_id, unclaimed), poison, cause, None)


def _parked(fold: Fold, poison: Delivery | None, cause: str, fault: Exception | None) -> Turn:
    return Turn(fold.park(poison, cause, fault), fold.image, fault=fault)


def quarantine(fingerprint: str, due: Due, cause: str, fault: Exception, new_id: Callable[[], UUID]) -> Turn:
    """Park a run whose snapshot cannot be read, or whose turn cannot be stored; its snapshot stays.

    :param fingerprint: of the definition it last ran on, which stays, too.
    """
    commit_id, version, cause = new_id(), due.image.snapshot.version, storable(cause)
    poison = due.deliveries[0] if due.deliveries else None
    commit = Commit(
        run_id=due.run_id,
        fence=due.fence,
        version=version,
        base=due.base,
        commit_id=commit_id,
        fingerprint=fingerprint,
        status=RunStatus.PARKED,
        snapshot=due.stored,
        records=(
            Record(
                run_id=due.run_id,
                version=version + 1,
                kind=RecordKind.CONTROL,
                at=due.now,
                cause=commit_id if poison is None else poison.id,
                commit_id=commit_id,
                body=encode_control("park", "engine", cause, poison=poison),
            ),
        ),
        now=due.now,
        cause=cause,
        hold=() if poison is None else ((poison.id, Held.POISON),),
    )
    return Turn(commit, due.image, fault=fault)


def _told(fault: Exception) -> Exception:
    """The fault in words of its own: a bare KeyError's text says nothing."""
    if isinstance(fault, ContinuumError):
        return fault
    try:
        words = f"{type(fault).__name__}: {fault}"
    except Exception:  # an error of the machine's own, whose text is at fault itself
        words = type(fault).__name__
    told = ContinuumError(words)
    told.__cause__ = fault
    return told
