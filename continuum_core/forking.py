"""A run that goes on from another run's past: what the client hands to the journal for it.

The run it comes from is read and never written. What had happened before the point stays happened: the
outcomes of activities are in the context. What was open there is asked for anew by the fork's first turn
(`mapper.forks`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from attrs import frozen
from msgspec import Raw

from continuum_core.envelope import FORMAT, ForkBody, OpenActivity, OpenTimer
from continuum_core.errors import UnknownVersion, UsageError
from continuum_core.interpreter.snapshot import Snapshot
from continuum_core.journal.commit import NewRun
from continuum_core.journal.records import ENDED, Definition, Delivery, DeliveryKind, Run
from continuum_core.mapper import derive_run_id, encode_fork, start_digest, take_up, unborn
from continuum_core.past import Past
from continuum_core.registry import Entry
from continuum_core.shape import check_context, parse_json

__all__ = ["Edit", "JsonEdit", "check_point", "new_fork"]

Edit = Callable[[Any], Any]
"""From the context at the point to the one that the fork begins with."""


@frozen
class JsonEdit:
    """An `Edit` of JSON values also where the machine's code is here, which checks what it gives."""

    edit: Edit

    def __call__(self, context: Any) -> Any:
        return self.edit(context)


def check_point(row: Run, past: Past, version: int) -> None:
    """Raises UsageError for a point that no run can go on from."""
    if version < 1 or past.version < version:
        raise UsageError(
            f"run {row.run_id} has no record {version}; fork it from one between 1 and {row.version}"
        )
    if past.status in ENDED:
        raise UsageError(
            f"run {row.run_id} was {past.status.name.lower()} by record {version}: there is nothing to go on "
            "with; fork it from an earlier one"
        )
    if past.vague:
        raise UsageError(
            f"of run {row.run_id} it is not known what it had open at record {version}, for steps before it "
            "left no record; fork it from an earlier one, before which every step left one"
        )
    if not past.states:
        raise UsageError(
            f"run {row.run_id} had not begun at record {version}; fork it from a later one, or start another"
        )


def new_fork(
    namespace: str,
    row: Run,
    past: Past,
    definition: Definition,
    entry: Entry | None,
    edit: Edit | None,
    key: str | None,
    new_id: Callable[[], UUID],
) -> NewRun:
    """The run to be created, without its first turn.

    :param past: the run that it comes from, as it was at the point.
    :param entry: the machine's code, and the edit takes a typed context; or None, and it takes JSON values.

    Raises PayloadRefused for a context that does not fit, UsageError where `entry` cannot go on from there.
    """
    _check_crews(row, past, definition)
    context = past.context if edit is None else _edited(past.context, definition, entry, edit)
    payload = encode_fork(
        ForkBody(
            v=FORMAT,
            run=str(row.run_id),
            version=past.version,
            states=past.states,
            context=Raw(context),
            edited=msgspec.json.decode(context) != msgspec.json.decode(past.context),
            history=past.history,
            timers=[
                OpenTimer(each.command.state, each.command.slot, each.command.due - past.at)
                for each in past.timers.values()
            ],
            activities=[_activity(each.command) for each in past.activities.values()],
            deferred=[Raw(each) for each in past.deferred.values()],
            patches=past.patches,
            deadline=None if past.deadline is None else past.deadline - past.at,
        )
    )
    run_id = new_id() if key is None else derive_run_id(namespace, definition.machine, key)
    if entry is not None:
        _try(entry, unborn().snapshot, payload, str(run_id))
    return NewRun(
        run_id=run_id,
        machine=definition.machine,
        fingerprint=definition.fingerprint,
        digest=start_digest(f"{definition.machine}/fork", payload),
        delivery=Delivery(new_id(), run_id, DeliveryKind.FORK, payload),
        key=key,
        parent=row.run_id,
        root=row.root or row.run_id,
    )


def _check_crews(row: Run, past: Past, definition: Definition) -> None:
    """Raises UsageError where the run waits for child runs or members: they are its own, and told to it."""
    active = {"", *(path[:at] for path in past.states for at in _dots(path))}
    for state in json.loads(definition.body)["states"]:
        waits = any(each["word"] != "spawn" for each in state.get("crews", ()))
        if waits and state["path"] in active:
            raise UsageError(
                f"run {row.run_id} waits at record {past.version} in {state['path'] or 'its root'} for child "
                "runs or members, which would tell it and no fork; fork it from a record before or after"
            )


def _dots(path: str) -> list[int]:
    """Where the names of a dotted path end."""
    return [at for at, letter in enumerate(path) if letter == "."] + [len(path)]


def _activity(command: Any) -> OpenActivity:
    return OpenActivity(command.state, command.slot, command.activity, command.input, command.key)


def _edited(data: bytes, definition: Definition, entry: Entry | None, edit: Edit) -> bytes:
    if entry is not None and not isinstance(edit, JsonEdit):
        return entry.context.encode(edit(entry.context.decode(data)))
    context = edit(msgspec.json.decode(data))
    if entry is None:
        return check_context(definition, context)
    return entry.context.encode(parse_json(entry.context, context))


def _try(entry: Entry, before: Snapshot, payload: bytes, run: str) -> None:
    """What a worker would park, the caller is told now."""
    try:
        take_up(entry, before, payload, 0, run)
    except UnknownVersion as error:
        raise UsageError(
            f"version {entry.chart.version} of {entry.chart.name} cannot go on from there: {error}"
        ) from error
