"""Payload codecs: what reaches a journal is sealed, what was sealed opens in its own place only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_compress import Compress
from continuum_core import AlreadyStarted, Client, Worker
from continuum_core.errors import JournalUnavailable, PayloadLocked
from continuum_core.hooks import PayloadCodec, PluginRefused, Plugins, hookimpl
from continuum_core.hooks.sealing import Kind, Pipeline, Place
from continuum_core.journal.records import RunStatus
from continuum_core.journal.replies import Asked, replying
from continuum_core.mapper import start_digest
from continuum_core.unopened import Unopened, is_sealed, locked
from continuum_crypto import Crypto, Key
from tests.runtime.machines import Finish, Go, Job, Waits
from tests.runtime.talks import Buy, Open, Shop

OLD = Key("old", b"o" * 32)
NEW = Key("new", b"n" * 32)


def crypto(*keys: Key, required: bool = False) -> Plugins:
    return Plugins(Crypto(lambda: keys, required=required), Compress())


def pipeline(*keys: Key, required: bool = False) -> Pipeline:
    codecs: list[tuple[str, PayloadCodec]] = []
    for plugin in (Crypto(lambda: keys, required=required), Compress()) if keys else ():
        codecs += [("test", codec) for codec in plugin.payload_codecs()]
    return Pipeline(codecs)


PLACE = Place(Kind.TASK, "default", UUID(int=1), other=b"1:0")


# --- one payload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"{}", b'"text"', b"x" * 10_000, b"\x1e{}\n12"])
def test_what_was_sealed_opens(data: bytes) -> None:
    sealing = pipeline(NEW)
    sealed = sealing.seal(data, PLACE)
    assert is_sealed(sealed)
    assert data not in sealed
    assert sealing.open(sealed, PLACE) == data
    assert sealing.seal(data, PLACE) != sealed, "no two are alike"
    assert sealing.seal(b"", PLACE) == b""


def test_compression_comes_before_encryption() -> None:
    sealed = pipeline(NEW).seal(b"x" * 100_000, PLACE)
    assert b"zstd,aes\n" in sealed
    assert len(sealed) < 1_000


@pytest.mark.parametrize(
    "other",
    [
        replace(PLACE, run_id=UUID(int=2)),
        replace(PLACE, namespace="other"),
        replace(PLACE, other=b"1:1"),
        replace(PLACE, version=1),
        replace(PLACE, kind=Kind.DETAILS),
    ],
)
def test_a_payload_in_anothers_place_does_not_open(other: Place) -> None:
    sealing = pipeline(NEW)
    opened = sealing.open(sealing.seal(b"{}", PLACE), other)
    assert isinstance(opened, Unopened)
    assert "in the place of another" in opened.reason


def test_no_changed_byte_goes_unnoticed() -> None:
    sealing = pipeline(NEW)
    sealed = sealing.seal(b'{"amount":100}', PLACE)
    for index in range(1, len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        opened = sealing.open(bytes(changed), PLACE)
        assert isinstance(opened, Unopened), index
    for cut in range(2, len(sealed)):
        assert isinstance(sealing.open(sealed[:cut], PLACE), Unopened)


def test_what_cannot_be_opened_says_why_and_is_written_back_as_it_was() -> None:
    sealed = pipeline(OLD).seal(b"{}", PLACE)
    opened = pipeline(NEW).open(sealed, PLACE)
    assert isinstance(opened, Unopened)
    assert opened == sealed
    assert "needs key 'old', and this process has: new" in opened.reason
    assert pipeline(NEW).seal(opened, PLACE) == sealed
    without = Pipeline([("test", codec) for codec in Compress().payload_codecs()]).open(sealed, PLACE)
    assert isinstance(without, Unopened)
    assert "needs payload codec 'aes'; configured here: zstd" in without.reason
    error = locked(sealed)
    assert error is not None
    assert "sealed by zstd, aes, and no payload codec is configured here" in str(error)
    assert locked(b"{}") is None


def test_after_a_rotation_old_payloads_open_and_new_ones_have_the_new_key() -> None:
    old = pipeline(OLD).seal(b"{}", PLACE)
    both = pipeline(NEW, OLD)
    assert both.open(old, PLACE) == b"{}"
    assert pipeline(NEW).open(both.seal(b"{}", PLACE), PLACE) == b"{}"


def test_plain_payloads_are_read_until_encryption_is_required() -> None:
    assert pipeline(NEW).open(b"{}", PLACE) == b"{}"
    strict = pipeline(NEW, required=True)
    refused = strict.open(b"{}", PLACE)
    assert isinstance(refused, Unopened)
    assert "is plain, and aes is required" in refused.reason
    compressed = Pipeline([("test", codec) for codec in Compress().payload_codecs()]).seal(b"{}", PLACE)
    weaker = strict.open(compressed, PLACE)
    assert isinstance(weaker, Unopened)
    assert "written without aes" in weaker.reason
    assert strict.open(b"", PLACE) == b""


def test_texts_are_sealed_as_text() -> None:
    sealing = pipeline(NEW)
    sealed = sealing.seal_text("fault: no such card 4111", PLACE)
    assert "4111" not in sealed
    assert sealing.open_text(sealed, PLACE) == "fault: no such card 4111"
    assert sealing.open_text("somebody's words", PLACE) == "somebody's words"
    assert "needs key" in pipeline(OLD).open_text(sealed, PLACE)
    assert sealing.seal_text("", PLACE) == ""


def test_digests_are_keyed() -> None:
    digest = b"d" * 16
    assert Pipeline([]).digest(digest) == digest
    keyed = pipeline(NEW).digest(digest)
    assert len(keyed) == 16
    assert keyed not in (digest, pipeline(OLD).digest(digest))
    assert pipeline(NEW, OLD).digest(digest) == keyed


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    [writer] = Compress().payload_codecs()
    bomb = writer.encode(b"\x00" * 1_000_000, b"")
    assert len(bomb) < 1_000
    [reader] = Compress(limit=999_999).payload_codecs()
    with pytest.raises(PayloadLocked, match="more than 999,999 bytes"):
        reader.decode(bomb, b"")
    for damaged in (b"", b"\x07abc", b"\x01", b"\x01garbage", bomb[:-3]):
        with pytest.raises(PayloadLocked):
            reader.decode(damaged, b"")


class _Codec:
    order = 1
    writes = True
    required = False

    def __init__(self, tag: str = "mine", error: Exception | None = None) -> None:
        self.tag = tag
        self._error = error

    def encode(self, data: bytes, bound: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        return data[::-1]

    def decode(self, data: bytes, bound: bytes) -> bytes:
        if self._error is not None:
            raise self._error
        return data[::-1]

    def digest(self, data: bytes) -> bytes | None:
        return None


def test_codecs_of_others_are_held_to_the_rules() -> None:
    for tag in ("", "Upper", "a" * 17, "com,ma", "a\n"):
        with pytest.raises(PluginRefused, match="tag cannot be"):
            Pipeline([("theirs", _Codec(tag))])
    with pytest.raises(PluginRefused, match="another payload codec has the tag 'mine'"):
        Pipeline([("one", _Codec()), ("two", _Codec())])
    broken = Pipeline([("theirs", _Codec(error=RuntimeError("no luck")))])
    with pytest.raises(
        JournalUnavailable, match="'mine' of plugin 'theirs' cannot write: RuntimeError: no luck"
    ):
        broken.seal(b"{}", PLACE)
    sealed = Pipeline([("theirs", _Codec())]).seal(b"{}", PLACE)
    opened = broken.open(sealed, PLACE)
    assert isinstance(opened, Unopened)
    assert "cannot be opened by mine: no luck" in opened.reason

    class Raises:
        @hookimpl
        def payload_codecs(self) -> Sequence[PayloadCodec]:
            raise ValueError("key 'x' is no base64")

    with pytest.raises(PluginRefused, match="plugin 'Raises' raised in payload_codecs: key 'x'"):
        Client("memory://", plugins=Plugins(Raises()))


# --- a journal ---------------------------------------------------------------------------------------


async def test_runs_work_on_a_sealed_journal(shared_journal: str) -> None:
    plugins = crypto(NEW)
    async with Worker(shared_journal, [Job, Waits], plugins=plugins) as worker:
        async with Client(shared_journal, [Job, Waits], plugins=plugins) as client:
            job = await client.start(Job, "secret-7c1f", key="k")
            assert await job.result(20) == "done secret-7c1f"
            assert (await client.start(Job, "secret-7c1f", key="k")).id == job.id
            with pytest.raises(AlreadyStarted):
                await client.start(Job, "another", key="k")
            waits = await client.start(Waits, "a")
            await client.suspend(waits, "why-secret-7c1f")
            view = await waits.view()
            assert (view.status, view.cause) == (RunStatus.SUSPENDED, "why-secret-7c1f")
            await client.resume(waits)
            await waits.send(Go("word"))
            await waits.send(Finish())
            assert await waits.result(20) == "word"
            history = await waits.history()
            assert [step.event for step in history][:3] == ["start", "suspend", "resume"]
            assert history[1].why == "why-secret-7c1f"
        assert worker.plugins.failures == {}
    async with Client(shared_journal, plugins=Plugins()) as plain:
        for row in await plain.journal.load([job.id, waits.id]):
            assert row is not None
            assert is_sealed(row.snapshot)
            assert row.outcome is not None
            assert is_sealed(row.outcome)
        for run in (job.id, waits.id):
            assert all(is_sealed(record.body) for record in await plain.journal.history(run))
        view = await plain.handle(job.id).view()
        assert "no payload codec is configured here" in str(view.context)
        with pytest.raises(PayloadLocked):
            await plain.handle(job.id).history()


async def test_where_encryption_is_required_a_worker_and_its_own_client_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Worker(url, [Job, Waits], plugins=crypto(NEW, required=True)) as worker:
        run = await worker.client.start(Job, "a", key="k")
        assert await run.result(20) == "done a"
        waits = await worker.client.start(Waits, "b")
        await worker.client.suspend(waits)
        assert (await waits.view()).states == ("waiting",)
    async with Client(url, [Job], plugins=crypto(NEW, required=True)) as client:
        assert (await client.start(Job, "a", key="k")).id == run.id
        [row] = await client.journal.load([run.id])
    async with Client(url, plugins=Plugins()) as plain:
        [stored] = await plain.journal.load([run.id])
    assert row is not None
    assert stored is not None
    first, second = (pipeline(NEW).digest(start_digest("job", b'"a"')), stored.digest)
    assert first == second, "keyed once, whoever starts it"


async def test_a_start_stays_the_same_start_after_a_rotation_and_after_sealing_began(
    shared_journal: str,
) -> None:
    async with Client(shared_journal, [Waits], plugins=Plugins()) as client:
        first = await client.start(Waits, "a", key="plain")
    async with Client(shared_journal, [Waits], plugins=crypto(OLD)) as client:
        assert (await client.start(Waits, "a", key="plain")).id == first.id
        second = await client.start(Waits, "b", key="old")
        await client.suspend(second)  # a record of an order does not hide the input
    async with Client(shared_journal, [Waits], plugins=crypto(NEW, OLD)) as client:
        assert (await client.start(Waits, "a", key="plain")).id == first.id
        assert (await client.start(Waits, "b", key="old")).id == second.id
        with pytest.raises(AlreadyStarted):
            await client.start(Waits, "c", key="old")
    async with Client(shared_journal, [Waits], plugins=crypto(NEW)) as client:
        with pytest.raises(AlreadyStarted):  # whether it is the same nobody can tell without the key
            await client.start(Waits, "b", key="old")


async def test_without_its_key_a_run_parks_and_goes_on_when_the_key_is_back(shared_journal: str) -> None:
    async with Client(shared_journal, [Waits], plugins=crypto(OLD)) as client:
        run = await client.start(Waits, "a")
        await run.send(Go("word"))
    async with Worker(shared_journal, [Waits], plugins=crypto(NEW)) as worker:
        while (await worker.client.view(run.id)).status is not RunStatus.PARKED:
            await worker.client.journal.wait(1)
        view = await worker.client.view(run.id)
        assert "needs key 'old', and this process has: new" in view.cause
    async with Worker(shared_journal, [Waits], plugins=crypto(NEW, OLD)) as worker:
        await worker.client.unpark(run.id)
        await worker.client.send(run.id, Finish())
        assert await worker.client.result(run.id, 20) == "word"


async def test_a_task_without_its_key_is_handed_back_and_nothing_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Client(url, [Job], plugins=crypto(OLD)) as client:
        run = await client.start(Job, "a")  # its first turn asks for the activity
    async with Worker(url, [Job], plugins=crypto(NEW)) as worker:
        while not any("cannot be read" in record.getMessage() for record in caplog.records):
            await worker.client.journal.wait(1)
    assert "needs key 'old', and this process has: new" in caplog.text
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database, database:
        assert database.execute("SELECT attempt, losses FROM continuum_tasks").fetchall() == [(0, 0)]
        database.execute("UPDATE continuum_tasks SET due = 0")  # no minute is waited for here
    async with Worker(url, [Job], plugins=crypto(NEW, OLD)) as worker:
        assert await worker.client.result(run, 20) == "done a"


async def test_what_somebody_moves_about_in_the_store_is_noticed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    plugins = crypto(NEW)
    async with Client(url, [Waits], plugins=plugins) as client:
        run, other = await client.start(Waits, "a"), await client.start(Waits, "b")
        await client.suspend(run)
        await client.resume(run)
        assert (await run.view()).states == ("waiting",), "orders move the version, and the snapshot stays"
        with closing(sqlite3.connect(tmp_path / "runs.db")) as database:
            older = _snapshot(database, run.id)
            elsewhere = _snapshot(database, other.id)
        async with Worker(url, [Waits], plugins=plugins) as worker:
            await run.send(Go("word"))
            while (await run.view()).states != ("ready",):
                await worker.client.journal.wait(1)
        with closing(sqlite3.connect(tmp_path / "runs.db")) as database:
            newest = _snapshot(database, run.id)
            for moved, reason in (
                (older, "is of version 1, and the run is at 4"),
                (elsewhere, "put in the place of another one"),
                (newest[:-1] + bytes([newest[-1] ^ 1]), "it was changed"),
            ):
                _replace(database, run.id, moved)
                assert reason in str((await run.view()).context)
            _replace(database, run.id, newest)
            assert (await run.view()).states == ("ready",)
            with database:  # a record in the place of another one, of this run and of another
                database.execute(
                    "UPDATE continuum_records SET body = (SELECT r.body FROM continuum_records r WHERE "
                    "r.run_id = ? AND r.version = 1) WHERE run_id = ? AND version = 4",
                    (other.id.bytes, run.id.bytes),
                )
        with pytest.raises(PayloadLocked, match="in the place of another"):
            await run.history()


def _snapshot(database: sqlite3.Connection, run_id: UUID) -> bytes:
    query = "SELECT snapshot FROM continuum_runs WHERE run_id = ?"
    [(snapshot,)] = database.execute(query, (run_id.bytes,)).fetchall()
    return bytes(snapshot)


def _replace(database: sqlite3.Connection, run_id: UUID, snapshot: bytes) -> None:
    with database:
        database.execute("UPDATE continuum_runs SET snapshot = ? WHERE run_id = ?", (snapshot, run_id.bytes))


async def test_a_tampered_event_parks_its_run(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    plugins = crypto(NEW)
    async with Client(url, [Waits], plugins=plugins) as client:
        run = await client.start(Waits, "a")
        await run.send(Go("word"))
        with closing(sqlite3.connect(tmp_path / "runs.db")) as database, database:
            database.execute(
                "UPDATE continuum_deliveries SET payload = "
                "CAST(substr(payload, 1, length(payload) - 1) || x'00' AS BLOB) WHERE kind = 1"
            )
        async with Worker(url, [Waits], plugins=plugins) as worker:
            while (await run.view()).status is not RunStatus.PARKED:
                await worker.client.journal.wait(1)
        view = await run.view()
        assert view.cause.startswith("unreadable event: a stored delivery cannot be opened: it was changed")
        assert view.states == ("waiting",), "the run itself is unharmed"


async def test_replies_and_postponed_starts_are_sealed(shared_journal: str) -> None:
    async with Worker(shared_journal, [Shop], plugins=crypto(NEW), poll=0.05) as worker:
        client = worker.client
        run = await client.start(Shop, 10, key="a")
        await run.send(Open())
        assert await run.ask(Buy(4), timeout=30, id="b") == 6
        async with Client(shared_journal, [Shop], plugins=Plugins()) as plain:
            asked = Asked(run.id, "ask:b")
            (stored,) = await replying(plain.journal).replies([asked])
            assert stored.body is not None
            assert is_sealed(stored.body)
            (opened,) = await replying(client.journal).replies([asked])
            assert opened.body is not None
            assert b'"value":6' in opened.body
            for stock in (1, 2):
                other = await client.start(Shop, stock, key="c", debounce=timedelta(hours=1))
            assert (await client.start(Shop, 2, key="c")).id == other.id
            with pytest.raises(AlreadyStarted):
                await client.start(Shop, 1, key="c")
            found = await plain.journal.inspect(other.id)
            assert found is not None
            assert all(is_sealed(each.payload) for each in found.deliveries)
