"""Runs that released versions left in a journal: they decode, fold and show as they did, for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continuum_core.ending import result_of
from continuum_core.errors import RunCancelled, RunEnded, RunFailed, RunTerminated
from continuum_core.interpreter.events import Undeclared
from continuum_core.journal.records import DeliveryKind, Held, RecordKind, RunStatus
from continuum_core.mapper import (
    decode_control,
    decode_event,
    decode_failure,
    decode_image,
    decode_migration,
    encode_image,
)
from continuum_core.registry import Registry
from continuum_core.replay import fold
from continuum_core.testing.histories import golden, history_text
from continuum_core.view import RunView, run_view, step_view
from tests.golden.journals import FrozenRun, freeze, load, stored_runs
from tests.golden.meters_0_1 import Metering
from tests.golden.parcels_0_1 import PARCELS, Third
from tests.golden.release_0_1 import MACHINES, Receipt, Refusal

FILES = stored_runs()
SHOWN = Path(__file__).parent / "shown"


def each(argument: str = "file") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(argument, FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")


def registry(run: FrozenRun) -> Registry:
    """What a worker of today knows that has the frozen machines and met the stored definitions."""
    known = Registry((*MACHINES, Third, Metering))
    known.learn(run.definitions)
    return known


@each()
def test_it_may_be_taken_by_the_machines_of_today(file: Path) -> None:
    run = load(file)
    assert run.found.run.fingerprint in registry(run).takes()


@each()
def test_its_snapshot_is_read_and_would_be_written_again_byte_for_byte(file: Path) -> None:
    run = load(file)
    entry = registry(run).entry(run.found.run.fingerprint)
    image = decode_image(entry, run.found.run.version, run.found.run.snapshot)
    assert encode_image(entry, image) == run.found.run.snapshot


@each()
def test_its_records_fold_to_its_snapshot(file: Path) -> None:
    run = load(file)
    entry = registry(run).entry(run.found.run.fingerprint)
    image, drift = fold(entry, run.found.run.run_id, run.records)
    assert drift is None
    assert image.snapshot.version == run.found.run.version == len(run.records)
    assert encode_image(entry, image) == run.found.run.snapshot


@each()
def test_it_folds_with_the_code_of_every_version_that_it_ever_had(file: Path) -> None:
    run = load(file)
    known = Registry((*MACHINES, *PARCELS, Metering))
    known.learn(run.definitions)
    entry = known.entry(run.found.run.fingerprint)
    image, drift = fold(entry, run.found.run.run_id, run.records, known)
    assert drift is None
    assert encode_image(entry, image) == run.found.run.snapshot


@each()
def test_it_shows_as_it_did(file: Path) -> None:
    run = load(file)
    known = registry(run)
    view = run_view(run.found, known.find(run.found.run.fingerprint))
    steps = [step_view(record, known) for record in run.records]
    shown = f"{view_text(view)}\n{history_text(steps)}"
    golden(shown, SHOWN / file.parent.name / f"{file.stem}.txt")


def view_text(view: RunView) -> str:
    told = [f"{view.machine} {view.key!r}: {view.status.name} {view.cause}", f"states: {view.states}"]
    told += [f"context: {view.context}", f"outcome: {view.outcome}"]
    told += [f"waiting: {each}" for each in view.waiting]
    told += [f"task: {each}" for each in view.tasks]
    told += [f"dead: {each}" for each in view.dead]
    return "\n".join(told)


@each()
def test_it_can_be_looked_at_without_its_code(file: Path) -> None:
    run = load(file)
    known = registry(run)
    there, here = run_view(run.found, None), run_view(run.found, known.find(run.found.run.fingerprint))
    assert (there.states, there.status, there.waiting) == (here.states, here.status, here.waiting)
    for record in run.records:
        bare, full = step_view(record, Registry()), step_view(record, known)
        assert (bare.event, bare.data, bare.states) == (full.event, full.data, full.states)
        assert len(bare.edges) == len(full.edges)


@each()
def test_what_it_waits_for_can_still_be_taken(file: Path) -> None:
    run = load(file)
    entry = registry(run).entry(run.found.run.fingerprint)
    snapshot = decode_image(entry, run.found.run.version, run.found.run.snapshot).snapshot
    for each in run.found.deliveries:
        event = decode_event(entry, snapshot, each.kind, each.payload, each.token, each.slot)
        assert not isinstance(event, Undeclared)
        if each.kind is DeliveryKind.TIMER:
            assert each.token in snapshot.tokens.values()
    for task in run.found.tasks:
        entry.activities[task.activity].input.decode(task.payload)
        assert task.token in snapshot.tokens.values()
        assert task.failure is None or decode_failure(task.failure).message == "come back later"


ENDS: dict[RunStatus, type[RunEnded]] = {
    RunStatus.FAILED: RunFailed,
    RunStatus.CANCELLED: RunCancelled,
    RunStatus.TERMINATED: RunTerminated,
}


@each()
def test_its_end_reaches_whoever_asks(file: Path) -> None:
    run = load(file)
    row = run.found.run
    entry = registry(run).entry(row.fingerprint)
    if row.outcome is None:
        assert row.status in (RunStatus.RUNNING, RunStatus.SUSPENDED, RunStatus.PARKED)
    elif row.status is RunStatus.COMPLETED:
        assert isinstance(result_of("r", row.outcome, entry), Receipt | str | int)
    else:
        with pytest.raises(ENDS[row.status]) as caught:
            result_of("r", row.outcome, entry)
        if isinstance(caught.value, RunFailed):
            assert isinstance(caught.value.verdict, Refusal)


@each()
def test_the_file_says_which_release_wrote_it(file: Path) -> None:
    run = load(file)
    assert run.release.startswith(f"{file.parent.name}.")
    assert run.about
    assert freeze(run) == file.read_text(encoding="utf-8"), "nothing of it is lost in reading"


def test_the_frozen_runs_cover_every_construct() -> None:
    runs = [load(file) for file in FILES]
    others = (RecordKind.CONTROL, RecordKind.MIGRATION)
    steps = [body(r) for run in runs for r in run.records if r.kind not in others]
    assert {r.kind for run in runs for r in run.records} == set(RecordKind)
    orders = {decode_control(r).order for run in runs for r in run.records if r.kind is RecordKind.CONTROL}
    assert {run.found.run.status for run in runs} == set(RunStatus)
    assert {DeliveryKind(step["event"]["kind"]) for step in steps} == set(DeliveryKind)
    assert {step.get("disposition", "taken") for step in steps} >= {"taken", "unhandled", "deferred"}
    assert orders == {"cancel", "park", "resume", "set", "suspend", "terminate", "unpark"}
    assert {c["do"] for step in steps for c in step.get("commands", ())} == {
        "close",
        "send",
        "start-activity",
        "start-timer",
    }
    assert {d.held for run in runs for d in run.found.deliveries} == set(Held)
    moved = [decode_migration(r) for run in runs for r in run.records if r.kind is RecordKind.MIGRATION]
    assert {(m.since_version, m.version) for m in moved} == {(1, 2)}
    assert any(m.commands for m in moved)
    assert {new for step in steps for new in step.get("patches", {}).values()} == {True, False}
    assert any(b'"history"' in run.found.run.snapshot for run in runs)
    assert any(run.found.dead for run in runs)
    assert any(task.attempt for run in runs for task in run.found.tasks)
    assert any("context" in step for step in steps), "a context that is no object"
    assert any(len(step["states"]) > 1 for step in steps), "parallel regions"


def body(record: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(record.body)
    return told
