"""Why a run ended as it did, in a line: by its row where that tells, else by its last record.

Rule: the words of what failed come first to whoever looks. Of a run that ends in a final state after an
activity failed, the row may know the state alone; the record that led there has the failure's message.
"""

from __future__ import annotations

import json
from typing import Any, cast

from attrs import frozen

from continuum_core.client import Client
from continuum_core.journal.records import RecordKind, RunStatus
from continuum_core.view import RunView, Step

__all__ = ["Reason", "reason_of", "said_by"]

_MOVED = "moved to "
"""How the reason of a run begins that left for another journal; its last record is the order `_MOVE`."""

_MOVE = "move"


@frozen
class Reason:
    """Why a run is over.

    :ivar words: "" where there is nothing to say: it goes on, or completed.
    :ivar moved: the journal that it left for; "" of one that did not.
    """

    words: str = ""
    moved: str = ""


async def reason_of(client: Client, view: RunView) -> Reason:
    """Why a run is over. Its last record is read where its row does not say."""
    outcome = view.outcome
    if outcome is None or view.status is RunStatus.COMPLETED:
        return Reason()
    reason = str(outcome.get("reason", ""))
    if view.status is RunStatus.TERMINATED and reason.startswith(_MOVED):
        last = await _last(client, view)
        if last is not None and (last.kind, last.event) == (RecordKind.CONTROL, _MOVE):
            return Reason(reason, reason.removeprefix(_MOVED))
    failure = outcome.get("failure")
    if failure:
        kind = str(failure.get("type", "")).rpartition(".")[2]
        return Reason(f"{kind}: {failure.get('message')}")
    verdict = outcome.get("value")
    if verdict:
        return Reason(verdict if isinstance(verdict, str) else json.dumps(verdict, ensure_ascii=False))
    if reason or view.status is not RunStatus.FAILED:
        return Reason(reason)
    last = await _last(client, view)
    if last is None:
        return Reason()
    said = said_by(last)
    return Reason(f"after {last.event}" + (f": {said}" if said else ""))


async def _last(client: Client, view: RunView) -> Step | None:
    """Its last record; None where it left none, or it was pruned meanwhile."""
    steps = await client.history(view.id, max(view.version - 1, 1), 1) if view.version > 1 else []
    return steps[0] if steps else None


def said_by(step: Step) -> str:
    """The message of what failed with a step; "" where nothing did."""
    data: Any = step.data
    if not step.event.startswith("failed") or not isinstance(data, dict):
        return ""
    return str(cast("dict[str, Any]", data).get("message", ""))
