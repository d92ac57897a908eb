"""No engine: a loop that group-commits exactly the rows that our W1 writes. It is what W1 can be at best.

The rows are not described here but recorded: triggers watch our own engine carry one run through, and what
they saw (which tables, which columns, which bytes, in which transactions) is written again, with new ids, for
many runs a transaction: one statement for each kind of row, prepared, binary arrays. It claims nothing,
checks nothing, knows no results, and survives nothing. For W2 it commits two small rows, one after the other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen
from psycopg import sql
from psycopg.types.json import Jsonb

from benchmarks.load import summary
from benchmarks.peers.machines import Steps
from benchmarks.wire import Contender, elapsed_ms, serve, versions
from continuum_core import Worker
from continuum_core.asyncio_host import AsyncioHost
from continuum_postgres.shards import shard

_TABLES = ("runs", "records", "tasks", "deliveries", "seen", "results")
_WRITERS = 2
"""Connections with half of the runs each: while one's batch is in the server, the other's is made."""

_SEEN = """
CREATE TABLE public.seen_rows (seq bigserial, tx xid8 DEFAULT pg_current_xact_id(), tab text, op text,
  old jsonb, new jsonb);
CREATE FUNCTION public.saw() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.seen_rows (tab, op, old, new) VALUES (TG_TABLE_NAME, TG_OP,
    CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
  RETURN NULL;
END $$;
"""


@frozen
class Write:
    """One kind of row in one transaction of a run.

    :ivar statement: takes an array a column.
    :ivar columns: their names, in the order of the arrays.
    :ivar values: a run's value of each of those columns, as it was recorded.
    """

    statement: bytes
    columns: tuple[str, ...]
    values: tuple[Any, ...]


async def record(url: str) -> None:
    """Make our schema, and let one run through it be seen."""
    async with Worker(url, [Steps]):
        pass
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SEEN)
        for table in _TABLES:
            text = sql.SQL(
                "CREATE TRIGGER saw AFTER INSERT OR UPDATE OR DELETE ON continuum.{} "
                "FOR EACH ROW EXECUTE FUNCTION public.saw()"
            )
            connection.execute(text.format(sql.Identifier(table)))
    async with Worker(url, [Steps]) as worker:
        assert await (await worker.client.start(Steps, 1)).result() == 4
    with psycopg.connect(url, autocommit=True) as connection:
        for table in _TABLES:
            connection.execute(sql.SQL("DROP TRIGGER saw ON continuum.{}").format(sql.Identifier(table)))
        connection.execute("TRUNCATE continuum.runs, continuum.records, continuum.tasks")


def script(connection: psycopg.Connection[Any]) -> list[list[Write]]:
    """What was seen: for each transaction, its writes in their order."""
    rows = connection.execute(
        "SELECT tx::text, tab, op, old, new FROM public.seen_rows ORDER BY seq"
    ).fetchall()
    stages: dict[str, list[Write]] = {}
    for tx, table, op, old, new in rows:
        stages.setdefault(tx, []).append(_write(connection, table, op, old, new))
    return list(stages.values())


def _write(connection: psycopg.Connection[Any], table: str, op: str, old: Any, new: Any) -> Write:
    was, now = _typed(connection, table, old), _typed(connection, table, new)
    types = _types(connection, table)
    keys = _key(connection, table)
    if op == "INSERT":
        columns = [name for name, value in now.items() if value is not None]
        text = f"INSERT INTO continuum.{table} ({', '.join(columns)}) SELECT * FROM {_unnest(columns, types)}"
        taken = [now[name] for name in columns]
    else:
        changed = [name for name in now if now[name] != was[name]] if op == "UPDATE" else []
        given = [name for name in changed if now[name] is not None]
        columns = [*keys, *(f"new_{name}" for name in given)]
        source = _unnest(columns, {**types, **{f"new_{name}": types[name] for name in given}})
        where = " AND ".join(f"t.{key} = u.{key}" for key in keys)
        sets = ", ".join(f"{n} = u.new_{n}" if n in given else f"{n} = NULL" for n in changed)
        text = (
            f"UPDATE continuum.{table} t SET {sets} FROM {source} WHERE {where}"
            if op == "UPDATE"
            else f"DELETE FROM continuum.{table} t USING {source} WHERE {where}"
        )
        taken = [was[key] for key in keys] + [now[name] for name in given]
    return Write(text.encode(), tuple(columns), tuple(taken))


def _unnest(columns: Sequence[str], types: dict[str, str]) -> str:
    arrays = ", ".join(f"%b::{types[name]}[]" for name in columns)
    return f"unnest({arrays}) AS u({', '.join(columns)})"


def _typed(connection: psycopg.Connection[Any], table: str, row: Any) -> dict[str, Any]:
    """The values of a row that went through JSON."""
    if row is None:
        return {}
    text = sql.SQL("SELECT (jsonb_populate_record(NULL::continuum.{}, %s)).*").format(sql.Identifier(table))
    cursor = connection.execute(text, (Jsonb(row),))
    found = cursor.fetchone()
    assert cursor.description is not None
    assert found is not None
    return dict(zip([column.name for column in cursor.description], found, strict=True))


def _types(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    text = (
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return dict(connection.execute(text, (f"continuum.{table}",)).fetchall())


def _key(connection: psycopg.Connection[Any], table: str) -> list[str]:
    text = (
        "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(attnum, n) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY k.n"
    )
    return [row[0] for row in connection.execute(text, (f"continuum.{table}",)).fetchall()]


class Writer:
    """A connection, and the runs it carries through together."""

    def __init__(self, url: str, stages: list[list[Write]], run: UUID) -> None:
        self.connection = psycopg.connect(
            url, autocommit=True, prepare_threshold=0, options="-c jit=off -c enable_seqscan=off"
        )
        self.stages = stages
        self.run = run
        self.ids = sorted({v for stage in stages for w in stage for v in w.values if isinstance(v, UUID)})
        self.new_id = AsyncioHost().new_id

    def batch(self, count: int) -> None:
        """So many runs from nothing to their end, four transactions."""
        fresh = {old: [self.new_id() for _ in range(count)] for old in self.ids}
        shards = [shard(run) for run in fresh[self.run]]
        for stage in self.stages:
            with self.connection.pipeline(), self.connection.transaction():
                for write in stage:
                    arrays = [
                        fresh[value] if isinstance(value, UUID) else [value] * count for value in write.values
                    ]
                    arrays[write.columns.index("shard")] = shards
                    self.connection.execute(write.statement, arrays)


class Bare(Contender):
    async def prepare(self, url: str) -> None:
        await record(url)

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            stages = script(connection)
        first = stages[0][0]
        run: UUID = first.values[first.columns.index("run_id")]
        self.writers = [Writer(url, stages, run) for _ in range(_WRITERS)]
        self.url = url
        return {"versions": versions("psycopg"), "transactions": len(stages)}

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        return await asyncio.to_thread(self._steps, seconds, flying)

    def _steps(self, seconds: float, flying: int) -> dict[str, Any]:
        took: list[float] = []
        failed: list[BaseException] = []
        begun = time.perf_counter()
        each = max(1, flying // len(self.writers))

        def loop(writer: Writer) -> None:
            try:
                while (started := time.perf_counter()) < begun + seconds:
                    writer.batch(each)
                    took.extend([time.perf_counter() - started] * each)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=loop, args=(writer,)) for writer in self.writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return summary(took, time.perf_counter() - begun)

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        """Two small rows, each committed by itself: no run of one step can do with less."""
        took: list[float] = []
        with psycopg.connect(self.url, autocommit=True, prepare_threshold=0) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS public.commits (id uuid PRIMARY KEY, body bytea)")
            for number in range(samples):
                await asyncio.sleep(pause)
                begun = time.perf_counter()
                for body in (b"started", b"done"):
                    row = (self.writers[0].new_id(), body + str(number).encode())
                    connection.execute("INSERT INTO public.commits VALUES (%b, %b)", row)
                took.append(elapsed_ms(begun))
        return {"ms": took}

    async def close(self) -> None:
        for writer in self.writers:
            writer.connection.close()


if __name__ == "__main__":
    serve(Bare())
