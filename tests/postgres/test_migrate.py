"""The schema brought forward apart from opening, by its owner, for roles that may only read and write."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner, Result

from continuum_core import Client, Worker
from continuum_core.cli.main import app
from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.commit import PrunePlan
from continuum_core.journal.protocol import Limits
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.migrations import MIGRATIONS, Migration
from continuum_postgres.place import parse
from continuum_postgres.schema import grants, migration_sql
from continuum_postgres.shards import shard
from continuum_postgres.statements import qualified
from tests.postgres.handles import opened, raw, soon
from tests.postgres.machines import Steps
from tests.postgres.roles import as_role, role

NEWEST = MIGRATIONS[-1].version


def _continuum(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


async def _open(url: str, namespace: str = "test") -> None:
    journal = PostgresJournal(parse(url), namespace, Limits())
    try:
        await journal.open()
    finally:
        await journal.close()


# --- the command


@pytest.mark.parametrize("asked", [("--check",), ("--sql",), ()], ids=str)
def test_a_schema_that_only_a_newer_release_may_use_is_refused(
    empty_url: str, asked: tuple[str, ...]
) -> None:
    """A gate that lets the deployment through while its workers refuse is none."""
    assert _continuum("migrate", "--journal", empty_url).exit_code == 0
    _state(empty_url, NEWEST + 1, NEWEST + 1)
    refused = _continuum("migrate", "--journal", empty_url, *asked)
    assert refused.exit_code == 3
    assert f"needs a release that knows version {NEWEST + 1} or later" in refused.stderr
    _state(empty_url, NEWEST + 1, NEWEST)
    assert _continuum("migrate", "--journal", empty_url, *asked).exit_code == 0, "it may be used"


def _state(url: str, version: int, min_reader: int) -> None:
    with psycopg.connect(parse(url).conninfo) as connection:
        connection.execute(
            f"UPDATE {parse(url).schema}.schema SET version = %s, min_reader = %s".encode(),
            (version, min_reader),
        )


def test_the_command_checks_migrates_and_is_through(empty_url: str) -> None:
    behind = _continuum("migrate", "--journal", empty_url, "--check")
    assert behind.exit_code == 3
    assert f"needs version {NEWEST}" in behind.stdout
    done = _continuum("migrate", "--journal", f"{empty_url}&migrate=no")  # a worker's URL serves as well
    assert done.exit_code == 0, done.stderr
    assert f"from nothing to version {NEWEST}" in done.stdout
    again = _continuum("migrate", "--journal", empty_url, "--check", "--json")
    assert again.exit_code == 0
    told = json.loads(again.stdout)
    assert (told["from"], told["to"], told["release"]) == (NEWEST, NEWEST, NEWEST)
    assert "postgres@" not in told["journal"]


def test_the_script_reaches_no_server_when_told_from_where() -> None:
    url = "postgresql://nobody@host.invalid/x?schema=other"
    printed = _continuum("migrate", "--journal", url, "--sql", "--from", "0")
    assert printed.exit_code == 0, printed.stderr
    assert printed.stdout == migration_sql("other")
    assert 'CREATE TABLE "other".runs' in printed.stdout
    nothing = _continuum("migrate", "--journal", url, "--sql", "--from", str(NEWEST))
    assert (nothing.exit_code, nothing.stdout) == (0, "")


async def test_the_script_asks_the_database_else(empty_url: str, namespace: str) -> None:
    printed = await asyncio.to_thread(_continuum, "migrate", "--journal", empty_url, "--sql")
    async with raw(empty_url) as other:
        await other.execute(printed.stdout.encode())
    await _open(f"{empty_url}&migrate=no", namespace)
    again = await asyncio.to_thread(_continuum, "migrate", "--journal", empty_url, "--sql")
    assert (again.exit_code, again.stdout) == (0, "")


async def test_each_step_of_the_script_leads_to_the_same(empty_url: str) -> None:
    """From nothing at once, and from version to version: what is in the database is the same."""
    name = parse(empty_url).schema
    async with raw(empty_url) as other:
        for until in range(1, NEWEST + 1):
            script = migration_sql(name, MIGRATIONS[:until], since=until - 1)
            await other.execute(script.encode())
            stated = await (await other.execute(f'SELECT version FROM "{name}".schema'.encode())).fetchone()
            assert stated == (until,)
    await _open(f"{empty_url}&migrate=no")


async def test_a_script_for_another_version_changes_nothing(empty_url: str) -> None:
    later = Migration(NEWEST + 2, 1, ("ALTER TABLE continuum.runs ADD COLUMN later integer",))
    name = parse(empty_url).schema
    await _open(empty_url)
    async with raw(empty_url) as other:
        script = migration_sql(name, (*MIGRATIONS, later), since=NEWEST + 1)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await other.execute(script.encode())
        await other.execute(b"ROLLBACK")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            await other.execute(f'SELECT later FROM "{name}".runs'.encode())


def test_other_backends_say_what_they_can(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    assert _continuum("migrate", "--journal", url).exit_code == 0
    refused = _continuum("migrate", "--journal", url, "--check")
    assert refused.exit_code == 1
    assert "when it is opened" in refused.stderr


# --- never at open


async def test_migrate_no_refuses_what_is_behind(empty_url: str, namespace: str) -> None:
    with pytest.raises(IncompatibleJournal, match=r"no journal yet.*migrate=no.*`continuum migrate`"):
        await _open(f"{empty_url}&migrate=no", namespace)
    async with raw(empty_url) as other:
        asked = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
        assert await (await other.execute(asked, (parse(empty_url).schema,))).fetchone() == (0,)
    await _open(empty_url, namespace)
    await _open(f"{empty_url}&migrate=no", namespace)
    async with raw(empty_url) as other:
        await other.execute(f'UPDATE "{parse(empty_url).schema}".schema SET version = version - 1'.encode())
    with pytest.raises(IncompatibleJournal, match=f"has schema version {NEWEST - 1}.*needs {NEWEST}"):
        await _open(f"{empty_url}&migrate=no", namespace)


# --- roles


@pytest.fixture
def clerk(empty_url: str) -> Iterator[str]:
    """The URL of the schema for a role that may do nothing yet."""
    with role(empty_url) as name:
        yield as_role(empty_url, name)


def _grant(url: str, to: str) -> None:
    name = parse(url).schema
    with psycopg.connect(parse(url).conninfo, autocommit=True) as connection:
        connection.execute(grants(name, to).encode())


async def test_an_app_role_works_with_no_more_than_the_grants(empty_url: str, clerk: str) -> None:
    """The owner migrates; the role that works may neither create nor alter anything, and runs complete."""
    name = parse(empty_url).schema
    await _open(empty_url)
    user = clerk.split("//")[1].partition("@")[0]
    _grant(empty_url, user)
    async with raw(clerk) as other:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await other.execute(f'CREATE TABLE "{name}".more (x int)'.encode())
    async with Worker(clerk, [Steps], poll=0.5), Client(clerk, [Steps], poll=0.5) as client:
        handles = [await client.start(Steps, n) for n in range(5)]
        assert [await soon(handle.result(20)) for handle in handles] == [n + 3 for n in range(5)]


async def test_a_role_without_grants_is_told_which(empty_url: str, clerk: str) -> None:
    await _open(empty_url)
    with pytest.raises(IncompatibleJournal, match="GRANT USAGE ON SCHEMA"):
        await _open(clerk)


async def test_a_role_that_lacks_one_table_is_told_which(empty_url: str, clerk: str) -> None:
    await _open(empty_url)
    user = clerk.split("//")[1].partition("@")[0]
    _grant(empty_url, user)
    async with raw(empty_url) as other:
        await other.execute(f'REVOKE UPDATE ON "{parse(empty_url).schema}".tasks FROM {user}'.encode())
    with pytest.raises(IncompatibleJournal, match=r"may not read and write tasks;.*\nGRANT"):
        await _open(clerk)


async def test_tables_of_others_beside_ours_are_not_our_affair(empty_url: str, clerk: str) -> None:
    await _open(empty_url)
    _grant(empty_url, clerk.split("//")[1].partition("@")[0])
    async with raw(empty_url) as other:
        await other.execute(f'CREATE TABLE "{parse(empty_url).schema}".theirs (x integer)'.encode())
    await _open(clerk)


async def test_a_role_that_may_not_migrate_is_told_who_must(empty_url: str, clerk: str) -> None:
    with pytest.raises(IncompatibleJournal, match=r"may not change it.*`continuum migrate`"):
        await _open(clerk)
    await _open(empty_url)
    _grant(empty_url, clerk.split("//")[1].partition("@")[0])
    async with raw(empty_url) as other:
        await other.execute(f'UPDATE "{parse(empty_url).schema}".schema SET version = version - 1'.encode())
    with pytest.raises(IncompatibleJournal, match=r"`continuum migrate`"):
        await _open(clerk)


# --- together

_OPENER = """
import asyncio, sys
from continuum_core.journal.connect import connect

async def main():
    journal = connect(sys.argv[1], "together")
    print("ready", flush=True)
    sys.stdin.readline()
    print((await journal.open()).schema, flush=True)
    await journal.close()

asyncio.run(main())
"""


_BEGINS = 120
"""Seconds that five interpreters may take to begin, where others keep the machine busy."""


async def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    """Several workers of a new release start at the same moment on a database that nobody prepared."""
    openers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _OPENER,
            empty_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(5)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert await soon(opener.stdout.readline(), _BEGINS) == b"ready\n"
    told = await soon(asyncio.gather(*(opener.communicate(b"go\n") for opener in openers)))
    assert [out for out, _ in told] == [b"%d\n" % NEWEST] * len(openers)
    async with opened(empty_url, "together") as journal:
        assert (await journal.open()).schema == NEWEST


# --- what a migration does with what is there


_ENDED_RUN = """
INSERT INTO continuum.runs (shard, status, ns, run_id, version, fence, created, updated, ended, tries,
  generation, machine, fingerprint, cause, digest, snapshot)
SELECT {shard}, 1, 1, '{run_id}', 1, 1, 0, {ended}, {ended}, 0, 0, 'm', 'f', '', '', ''
"""
_ETERNAL_RUN = "INSERT INTO continuum.eternal VALUES ({shard}, 1, '{run_id}')"


async def _put(connection: psycopg.AsyncConnection[Any], name: str, text: str, run_id: UUID, at: int) -> None:
    filled = text.format(shard=shard(run_id), run_id=run_id, ended=at)
    await connection.execute(qualified(filled, name).encode())


@pytest.mark.parametrize("since", [8, NEWEST])
async def test_eternal_runs_are_set_apart(empty_url: str, since: int) -> None:
    """Version 9 marks them in their rows. What the release before makes eternal has no mark, and is kept."""
    name, runs = parse(empty_url).schema, [UUID(int=number) for number in range(3)]
    async with raw(empty_url) as other:
        await other.execute(migration_sql(name, MIGRATIONS[:since]).encode())
        await other.execute(f"""INSERT INTO "{name}".namespaces VALUES ('test', 1)""".encode())
        for at, run_id in enumerate(runs):
            await _put(other, name, _ENDED_RUN, run_id, at)
        await _put(other, name, _ETERNAL_RUN, runs[0], 0)
    async with opened(empty_url, "test") as journal:
        pruned = await journal.prune(PrunePlan(before=2, limit=10))
        assert (pruned.runs, pruned.eternal) == (1, 1 if since == 8 else 0)
        assert [run is not None for run in await journal.load(runs)] == [True, False, True]
    async with raw(empty_url) as other:
        told = await other.execute(f'SELECT run_id, eternal FROM "{name}".runs ORDER BY run_id'.encode())
        assert await told.fetchall() == [(runs[0], True if since == 8 else None), (runs[2], None)]
