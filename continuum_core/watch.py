"""What plugins are told of turns and runs, and the headers that they add to a turn's wishes.

A worker or client in whose process no plugin listens has no watch, and gathers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from continuum_core.definition.chart import Chart
from continuum_core.definition.fingerprint import fingerprint
from continuum_core.errors import PayloadRefused
from continuum_core.headers import check_headers, delivery_headers, with_headers, with_task_headers
from continuum_core.hooks.facts import BatchFacts, MachineFacts, RunFacts, TurnFacts
from continuum_core.hooks.plugins import Hook, Plugins
from continuum_core.journal.commit import (
    Commit,
    CommitOutcome,
    Committed,
    Finished,
    NewRun,
    Started,
    TaskFinish,
)
from continuum_core.journal.records import Delivery, Record, RecordKind, RunStatus
from continuum_core.registry import Entry, Registry
from continuum_core.turn import Turn, Watched

__all__ = ["TurnWatch", "batch_watch", "gathered_headers", "machine_facts", "run_facts", "turn_watch"]

_TAKEN = (RecordKind.STEP, RecordKind.FORK, RecordKind.GENERATION)
"""Kinds of records that take a delivery."""

Watch = Callable[[Sequence[object], Sequence[object], float], None]

_TURNS = (
    "turn_headers",
    "run_turned",
    "turn_dropped",
    "run_completed",
    "run_failed",
    "run_cancelled",
    "run_parked",
)


def turn_watch(
    plugins: Plugins, registry: Registry, namespace: str, clock: Callable[[], float]
) -> TurnWatch | None:
    """The watch of turns; None where no plugin listens.

    :param clock: seconds that never go back.
    """
    return TurnWatch(plugins, registry, namespace, clock) if plugins.implement(*_TURNS) else None


class TurnWatch:
    """Tells plugins of turns, from when one is taken to what the journal answered."""

    def __init__(
        self, plugins: Plugins, registry: Registry, namespace: str, clock: Callable[[], float]
    ) -> None:
        self._plugins = plugins
        self._registry = registry
        self._namespace = namespace
        self.clock = clock

    def begun(self, turn: Turn, deliveries: Sequence[Delivery], began: float) -> Turn:
        """The turn that is to be committed: with the headers that plugins give to what it asks for.

        :param deliveries: those that it was taken of.
        :param began: when, by `clock`.
        """
        facts = self._facts(turn.commit, deliveries)
        headers = gathered_headers(self._plugins, self._plugins.turn_headers, turn=facts)
        commit = _carrying(turn.commit, headers) if headers else turn.commit
        return replace(turn, commit=commit, watched=Watched(facts, began))

    def _facts(self, commit: Commit, deliveries: Sequence[Delivery]) -> TurnFacts:
        # Steps that leave no record take deliveries, too.
        others = sum(record.kind not in _TAKEN for record in commit.records)
        taken = deliveries[: commit.after - commit.version - others]
        machine, version = self._machine(commit.fingerprint)
        dues = [d.due for d in taken if d.due is not None]
        return TurnFacts(
            namespace=self._namespace,
            run_id=commit.run_id,
            turn_id=commit.commit_id,
            machine=machine,
            machine_version=version,
            fingerprint=commit.fingerprint,
            version=commit.after,
            status=commit.status,
            events=tuple(d.kind for d in taken),
            headers=tuple(delivery_headers(d.payload) for d in taken),
            activities=tuple(task.activity for task in commit.tasks),
            messages=sum(d.run_id != commit.run_id for d in commit.deliveries),
            due=min(dues, default=None),
            now=commit.now,
            fused=commit.fence is None,
        )

    def _machine(self, fingerprint: str) -> tuple[str, int]:
        entry = self._registry.find(fingerprint)
        return ("", 0) if entry is None else (entry.chart.name, entry.chart.version)

    def settled(self, turn: Turn, stands: bool) -> None:
        """What the journal answered to a turn: it stands, or it does not."""
        watched = turn.watched
        if watched is None:
            return
        plugins, commit = self._plugins, turn.commit
        facts = replace(watched.facts, seconds=self.clock() - watched.began)
        if not stands:
            if plugins.turn_dropped is not None:
                plugins.turn_dropped(turn=facts)
            return
        if plugins.run_turned is not None:
            plugins.run_turned(turn=facts)
        hook = self._status_hook(commit.status)
        if hook is not None:
            run = RunFacts(
                namespace=self._namespace,
                run_id=commit.run_id,
                machine=facts.machine,
                machine_version=facts.machine_version,
                fingerprint=commit.fingerprint,
                status=commit.status,
                version=facts.version,
                cause=commit.cause,
            )
            hook(run=run)

    def _status_hook(self, status: RunStatus) -> Hook | None:
        if status is RunStatus.RUNNING:
            return None
        if status is RunStatus.COMPLETED:
            return self._plugins.run_completed
        if status is RunStatus.FAILED:
            return self._plugins.run_failed
        if status is RunStatus.CANCELLED:
            return self._plugins.run_cancelled
        return self._plugins.run_parked if status is RunStatus.PARKED else None


def gathered_headers(plugins: Plugins, hook: Hook | None, **facts: object) -> Mapping[str, str]:
    """The headers that plugins give; what may not be stored is their failure, and nobody else's."""
    found: dict[str, str] = {}
    if hook is None:
        return found
    for plugin, answer in hook.answers(**facts):
        try:
            found = check_headers({**found, **answer})
        except (PayloadRefused, TypeError) as error:
            plugins.failed(plugin, hook.name, error)
    return found


def _carrying(commit: Commit, headers: Mapping[str, str]) -> Commit:
    """The commit, with headers on all that it asks for. Its records tell of the wishes without them."""
    return replace(
        commit,
        tasks=tuple([replace(t, payload=with_task_headers(t.payload, headers)) for t in commit.tasks]),
        deliveries=tuple([replace(d, payload=with_headers(d.payload, headers)) for d in commit.deliveries]),
    )


def machine_facts(chart: Chart) -> MachineFacts:
    """What plugins are told of a machine."""
    own = (chart.input_type, chart.context_type, chart.result_type, chart.verdict_type)
    asked = [tp for a in chart.activities.values() for tp in (a.input_type, a.output_type)]
    return MachineFacts(
        machine=chart.name,
        version=chart.version,
        fingerprint=fingerprint(chart),
        activities=tuple(sorted(chart.activities)),
        types=(*own, *chart.events.values(), *asked),
    )


def run_facts(namespace: str, new: NewRun, entry: Entry | None, status: RunStatus) -> RunFacts:
    """What plugins are told of a run that was just started."""
    return RunFacts(
        namespace=namespace,
        run_id=new.run_id,
        machine=new.machine,
        machine_version=0 if entry is None else entry.chart.version,
        fingerprint=new.fingerprint,
        status=status,
        version=0 if new.turn is None else new.turn.after,
        key=new.key,
    )


# --- batches -----------------------------------------------------------------------------------------


def batch_watch(plugins: Plugins, namespace: str, verb: str) -> Watch | None:
    """What a lane tells of each batch that the journal answered; None where no plugin listens."""
    if not plugins.implement("records_committed"):
        return None

    def told(members: Sequence[object], answers: Sequence[object], seconds: float) -> None:
        hook = plugins.records_committed
        if hook is not None:
            records = [r for m, a in zip(members, answers, strict=True) for r in _standing(m, a)]
            hook(batch=BatchFacts(namespace, verb, len(members), tuple(records), seconds))

    return told


def _standing(member: object, answer: object) -> tuple[Record, ...]:
    """The records of a member's turn, if it stands."""
    commit = member.turn if isinstance(member, NewRun | TaskFinish) else member
    committed = answer.committed if isinstance(answer, Started | Finished) else answer
    if not isinstance(commit, Commit) or not isinstance(committed, Committed):
        return ()
    return commit.records if committed.outcome is CommitOutcome.COMMITTED else ()
