"""Runs and records as JSON values for programs. Keys are part of the interface: they are only added."""

from __future__ import annotations

from typing import Any

from continuum_core.cli.reasons import Reason
from continuum_core.cli.times import stamp
from continuum_core.view import RunView, Step, TaskView, Waiting

__all__ = ["run_facts", "step_facts"]


def run_facts(
    view: RunView, *, whole: bool, unclaimable: bool | None = None, reason: Reason | None = None
) -> dict[str, Any]:
    """A run; `whole` with what it has open, which a list does not read.

    :param unclaimable: whether no live worker takes it; None where nobody asked.
    :param reason: why it is over; None where nobody asked.
    """
    facts: dict[str, Any] = {
        "run": str(view.id),
        "machine": view.machine,
        "key": view.key,
        "status": view.status.name.lower(),
        "cause": view.cause or None,
        "version": view.version,
        "states": list(view.states),
        "context": view.context,
        "outcome": view.outcome,
        "created": stamp(view.created),
        "updated": stamp(view.updated),
        "definition": view.fingerprint,
        "parent": None if view.parent is None else str(view.parent),
        "root": None if view.root is None else str(view.root),
        "begun": view.begun,
    }
    if unclaimable is not None:
        facts["unclaimable"] = unclaimable
    if reason is not None:
        facts |= {"reason": reason.words or None, "moved_to": reason.moved or None}
    if view.begins is not None:
        facts["begins"] = stamp(view.begins)
    if whole:
        facts["waiting"] = [_waiting(each) for each in view.waiting]
        facts["activities"] = [_task(each) for each in view.tasks]
        facts["dead_letters"] = [_dead(each) for each in view.dead]
    return facts


def _waiting(each: Waiting) -> dict[str, Any]:
    return {
        "event": each.what,
        "state": each.state or None,
        "due": stamp(each.due),
        "held": each.held or None,
    }


def _task(each: TaskView) -> dict[str, Any]:
    return {
        "activity": each.activity,
        "state": each.state or None,
        "queue": each.queue,
        "due": stamp(each.due),
        "attempt": each.attempt,
        "losses": each.losses,
        "claimed": each.claimed,
        "leased_until": stamp(each.leased_until),
        "cancel_requested": each.cancel_requested,
        "place": each.place,
        "failure": each.failure or None,
    }


def _dead(each: Waiting) -> dict[str, Any]:
    return {"event": each.what, "at": stamp(each.due), "reason": each.reason}


def step_facts(step: Step) -> dict[str, Any]:
    """One record of a history."""
    return {
        "version": step.version,
        "at": stamp(step.at),
        "kind": step.kind.name.lower(),
        "event": step.event,
        "data": step.data,
        "disposition": step.disposition or None,
        "edges": list(step.edges),
        "states": list(step.states),
        "changed": step.changed,
        "asked": list(step.asked),
        "cause": str(step.cause),
        "who": step.who or None,
        "why": step.why or None,
        "patches": dict(step.patches),
    }
