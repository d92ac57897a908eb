"""Keyed results: one outcome per (activity, key) of a namespace, whichever run asked for it first."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import FinishKind, Reservation, Reserved, ReserveOutcome, TaskFinish
from continuum_postgres import arrays
from continuum_postgres.ahead import lock_results
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, in_rounds
from continuum_postgres.rounds import Touched
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements.reading import NOW
from continuum_postgres.statements.tasks import FREE_RESULTS, PUT_RESULTS, RESERVE_RESULTS, RESERVED_RESULTS
from continuum_postgres.writes import TaskName, by_run

__all__ = ["Settled", "reserve"]

_Key = tuple[str, str]
_Kept = tuple[_Key, TaskName, Micros, bytes | None]


@define(eq=False)
class Settled:
    """What the finishes of a round do to the results of their tasks' keys.

    :ivar until: end of a result's window.
    """

    until: Micros
    now: Micros = 0
    _kept: dict[_Key, _Kept] = field(factory=dict[_Key, "_Kept"])
    _freed: list[tuple[_Key, TaskName]] = field(factory=list["tuple[_Key, TaskName]"])

    def settle(self, ending: TaskFinish, activity: str, key: str | None, now: Micros) -> None:
        """Keep a result for whoever asks under its key, or let the next one try."""
        if key is None or ending.kind in (FinishKind.RETRY, FinishKind.RETURN):
            return
        self.now = now
        owner = (ending.run_id, ending.token, ending.slot)
        if ending.kind is FinishKind.DONE and ending.result is not None:
            self._kept.setdefault((activity, key), ((activity, key), owner, self.until, ending.result))
        else:
            self._freed.append(((activity, key), owner))

    def asks(self) -> list[Ask]:
        """Freed first: what one member frees another may have settled in the same round.

        Both in the order of keys, and where there are both, all are locked before.
        """
        asks: list[Ask] = []
        if self._freed and self._kept:
            kept = [(key, owner) for key, owner, _, _ in self._kept.values()]
            asks += lock_results((*key, *owner) for key, owner in (*self._freed, *kept))
        if self._freed:
            self._freed.sort(key=lambda freed: freed[0])
            freed = (
                arrays.texts([key[0] for key, _ in self._freed]),
                arrays.texts([key[1] for key, _ in self._freed]),
                arrays.uuids([owner[0] for _, owner in self._freed]),
                arrays.bigints([owner[1] for _, owner in self._freed]),
                arrays.integers([owner[2] for _, owner in self._freed]),
            )
            asks.append((FREE_RESULTS, freed))
        if self._kept:
            asks.append((PUT_RESULTS, (*_owners(list(self._kept.values())), Bigint(self.now))))
        return asks


def _owners(kept: list[_Kept]) -> tuple[object, ...]:
    return (
        arrays.texts([key[0] for key, _, _, _ in kept]),
        arrays.texts([key[1] for key, _, _, _ in kept]),
        *by_run(owner[0] for _, owner, _, _ in kept),
        arrays.bigints([owner[1] for _, owner, _, _ in kept]),
        arrays.integers([owner[2] for _, owner, _, _ in kept]),
        arrays.bigints([until for _, _, until, _ in kept]),
        arrays.byteas([result for _, _, _, result in kept]),
    )


async def reserve(session: Session, reservations: Sequence[Reservation]) -> list[Reserved]:
    """The verb: one answer per reservation."""
    return await in_rounds(session, reservations, lambda one: Touched(((one.activity, one.key),)), _reserve)


async def _reserve(batch: Batch, wanted: Sequence[Reservation]) -> list[Reserved]:
    if not batch.now:
        batch.at((await batch.look((NOW, ())))[NOW][0][0])
    now = batch.now
    kept: list[_Kept] = [
        ((one.activity, one.key), (one.run_id, one.token, one.slot), now + one.lease, None) for one in wanted
    ]
    keys = (arrays.texts([one.activity for one in wanted]), arrays.texts([one.key for one in wanted]))
    rows = await batch.write((RESERVE_RESULTS, (*_owners(kept), Bigint(now))), (RESERVED_RESULTS, keys))
    mine = set(rows[RESERVE_RESULTS])
    answers: list[Reserved] = []
    for one, (result, until) in zip(wanted, rows[RESERVED_RESULTS], strict=True):
        if (one.activity, one.key) in mine:
            answers.append(Reserved(ReserveOutcome.RESERVED))
        elif result is not None:
            answers.append(Reserved(ReserveOutcome.DONE, result=result))
        else:
            answers.append(Reserved(ReserveOutcome.BUSY, until=until))
    return answers
