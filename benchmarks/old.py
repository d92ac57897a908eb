"""A journal with very many runs that ended, made inside the database from one that really did.

Rule: every byte of a row but its id and its times is what the engine wrote. Ids are version 7 and times are
spread evenly over the days before, as if the runs had come in one after the other; so tables and indexes
look as after so much work, freshly vacuumed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from uuid import UUID

import psycopg
from attrs import frozen
from psycopg import sql

from benchmarks.measure import Stage
from benchmarks.process import Contestant, Process
from continuum_postgres.shards import shard

__all__ = ["Old", "old_runs"]

_DAYS = 30
_TIMES = ("created", "updated", "ended", "at")


@frozen
class Old:
    """:ivar template: the database's name.
    :ivar size: bytes of tables and indexes.
    """

    template: str
    size: int
    seconds: float


def old_runs(stage: Stage, worker: Contestant, count: int) -> Old:
    """Make it. Raises Broken."""
    begun = time.perf_counter()
    name = f"template_old_{count}"
    url = stage.server.create(name, stage.template(worker).name)
    with Process(worker) as process:
        process.ask("open", url=url, options={})
        process.ask("steps", seconds=0.05, flying=1)
        process.ask("close")
    with stage.server.connection(name) as connection:
        _copy_ids(connection, count)
        for table in ("runs", "records"):
            _multiply(connection, table)
        connection.execute("DROP TABLE public.old_ids")
        connection.execute("VACUUM ANALYZE")
    stage.server.checkpoint()
    return Old(name, stage.server.size(name), time.perf_counter() - begun)


def _copy_ids(connection: psycopg.Connection[tuple[object, ...]], count: int) -> None:
    """The ids, their shards and how much earlier each was."""
    connection.execute("CREATE UNLOGGED TABLE public.old_ids (shard smallint, id uuid, earlier bigint)")
    with connection.cursor() as cursor, cursor.copy("COPY public.old_ids FROM STDIN") as copy:
        for row in _ids(count):
            copy.write_row(row)


def _ids(count: int) -> Iterator[tuple[int, UUID, int]]:
    """RFC 9562, version 7; oldest first."""
    now = int(time.time() * 1000)
    span = _DAYS * 86_400_000
    for number in range(count):
        earlier = span - number * span // count
        chance = secrets.randbits(74)
        value = (now - earlier) << 80 | 7 << 76 | (chance >> 62) << 64 | 2 << 62 | chance & (1 << 62) - 1
        run = UUID(int=value)
        yield shard(run), run, earlier * 1000


def _multiply(connection: psycopg.Connection[tuple[object, ...]], table: str) -> None:
    """The rows of one ended run, once for each id."""
    text = (
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = ''"
    )
    columns = [str(row[0]) for row in connection.execute(text, (f"continuum.{table}",))]
    values = [
        sql.SQL("o.shard")
        if name == "shard"
        else sql.SQL("o.id")
        if name == "run_id"
        else sql.SQL("s.{} - o.earlier").format(sql.Identifier(name))
        if name in _TIMES
        else sql.SQL("s.{}").format(sql.Identifier(name))
        for name in columns
    ]
    connection.execute(
        sql.SQL(
            "INSERT INTO continuum.{table} ({columns}) SELECT {values} FROM public.old_ids o CROSS JOIN"
            " (SELECT r.* FROM continuum.{table} r WHERE r.run_id ="
            " (SELECT run_id FROM continuum.runs WHERE ended IS NOT NULL"
            "  AND run_id NOT IN (SELECT id FROM public.old_ids) LIMIT 1)) s"
        ).format(
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(values),
        )
    )
