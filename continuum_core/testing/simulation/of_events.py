"""Invariants of timers, events and orders: 7, 15, 19-24 of the project's list. Each yields what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from msgspec import Raw

from continuum_core.interpreter.bounds import FORCED, OWN
from continuum_core.journal.commit import OrderKind
from continuum_core.journal.records import ENDED, DeliveryKind, RunStatus
from continuum_core.mapper import (
    peek_event,
)
from continuum_core.testing.simulation.evidence import Evidence, accounted, signals
from continuum_core.testing.simulation.workload import Doing, Verdict

__all__ = [
    "acknowledged_is_present",
    "messages_arrive_once",
    "one_key_one_run",
    "orders_win",
    "senders_keep_their_order",
    "timers_are_not_early",
]


def timers_are_not_early(evidence: Evidence) -> Iterator[str]:
    """19: by the journal's clock."""
    for story in evidence.stories.values():
        due = {
            (command.token, command.slot): command.due
            for _, command in story.asked()
            if command.do == "start-timer"
        }
        for record, body in story.steps():
            if body.event.kind == DeliveryKind.TIMER:
                token, slot = body.event.token, body.event.slot
                when = due.get((token, slot if token != OWN else slot % FORCED))
                if when is None or record.at < when:
                    yield f"{story.name}: a timer due at {when} fired at {record.at}"
            applied = evidence.witness.applied.get(record.commit_id)
            if applied is not None and record.at > applied.at:
                yield f"{story.name}: record {record.version} was written before its time"


def acknowledged_is_present(evidence: Evidence) -> Iterator[str]:
    """7, 21-23: what a client was told is so: runs exist, events are accounted for exactly once."""
    accounts = {run_id: accounted(story) for run_id, story in evidence.stories.items()}
    best: dict[tuple[str, str, int], Verdict] = {}
    nobody: Counter[tuple[str, int]] = Counter()
    early: set[tuple[str, str, int]] = set()  # sent before the run was there: a late copy may find it there
    for result in evidence.results:
        action = result.action
        started = action.doing is Doing.START and result.verdict is Verdict.OK
        if started and (not result.run_id or UUID(result.run_id) not in evidence.stories):
            yield f"{action} was acknowledged, and there is no such run"
        if action.doing is Doing.SEND and result.run_id:
            name = (result.run_id, f"c{action.client}", action.number)
            if result.error == "RunNotFound":
                early.add(name)
            known = best.get(name, Verdict.REFUSED)
            best[name] = result.verdict if known is not Verdict.OK else known
            if known is Verdict.UNKNOWN and result.verdict is Verdict.REFUSED:
                best[name] = known
    for (run_id, sender, number), verdict in best.items():
        count = accounts.get(UUID(run_id), nobody)[sender, number]
        if verdict is Verdict.OK and count != 1:
            yield f"event {sender}:{number} to run {run_id} was acknowledged and is there {count} times"
        elif verdict is Verdict.REFUSED and count and (run_id, sender, number) not in early:
            yield f"event {sender}:{number} to run {run_id} was refused and is there"
    for target, account in accounts.items():
        for (sender, number), count in account.items():
            if count > 1:
                yield f"event {sender}:{number} is {count} times with run {target}"


def one_key_one_run(evidence: Evidence) -> Iterator[str]:
    """15: the same key and input give the same run, another input a conflict, never silently the old run."""
    digests: dict[str, Doing] = {}
    for result in evidence.results:
        action = result.action
        if action.doing not in (Doing.START, Doing.CLASH) or not action.run.keyed:
            continue
        if result.verdict is Verdict.OK:
            before = digests.setdefault(action.run.label, action.doing)
            if before is not action.doing:
                yield f"{action}: two inputs were both accepted under one key"


def senders_keep_their_order(evidence: Evidence) -> Iterator[str]:
    """22: acknowledged events of one sender and one class are consumed in the order of their sending."""
    clear = {
        (result.run_id, f"c{result.action.client}", result.action.number)
        for result in evidence.results
        if result.action.doing is Doing.SEND and result.verdict is Verdict.OK
    }
    repeated = Counter(
        (result.run_id, f"c{result.action.client}", result.action.number)
        for result in evidence.results
        if result.action.doing is Doing.SEND
    )
    for run_id, story in evidence.stories.items():
        last: dict[tuple[str, str], int] = {}
        for name, sender, number, consumed in signals(story):
            one = (str(run_id), sender, number)
            if not consumed or (sender.startswith("c") and (one not in clear or repeated[one] > 1)):
                continue
            if number < last.get((name, sender), 0):
                yield f"{story.name}: {name} {sender}:{number} came after {last[name, sender]}"
            last[name, sender] = number


def messages_arrive_once(evidence: Evidence) -> Iterator[str]:
    """8, 22: what one run sends another is there once, or a dead letter, with a reason."""
    for story in evidence.stories.values():
        for letter in story.found.dead:
            if not letter.reason:
                yield f"{story.name} has a dead letter without a reason"
    pinged = {s.found.run.key: s for s in evidence.stories.values() if s.found.run.machine == "sim.pinged"}
    for story in evidence.stories.values():
        if story.found.run.machine != "sim.pinger":
            continue
        for record, command in story.asked():
            if command.do != "send" or not isinstance(command.event, Raw):
                continue
            _, data = peek_event(DeliveryKind.SIGNAL, bytes(command.event))
            target = pinged.get(command.to.partition(":")[2])
            # To a run that is not there (yet) it is a dead letter under an id that no run may have.
            if target is None or target.found.run.created > record.at - 1_000:
                continue
            count = accounted(target)[data["sender"], data["number"]]
            if count != 1:
                yield f"{story.name}: its event {data['number']} is {count} times with its peer"


def orders_win(evidence: Evidence) -> Iterator[str]:
    """24: after an acknowledged cancel the next step is the cancel; after a terminate there is none."""
    for run_id, story in evidence.stories.items():
        for at, record in enumerate(story.records):
            given = evidence.witness.ordered.get(record.commit_id)
            if given is None:
                continue
            kind = given[0].kind
            after = [body for body in story.bodies[at + 1 :] if body is not None]
            if kind is OrderKind.TERMINATE and (after or story.found.run.status is not RunStatus.TERMINATED):
                yield f"run {run_id} went on after it was terminated"
            if kind is OrderKind.CANCEL:
                stopped = story.found.run.status in ENDED
                if after and after[0].event.kind != DeliveryKind.CANCEL:
                    yield f"run {run_id} took another step between the order to cancel and the cancel"
                if not stopped:
                    yield f"run {run_id} was cancelled and never ended"
