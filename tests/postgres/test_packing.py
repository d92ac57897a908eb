"""What is packed arrives as it was, and so does NULL, under one prepared text."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from continuum_postgres.direct import Direct
from continuum_postgres.packing import packed, stated
from continuum_postgres.source import connect
from continuum_postgres.statements.fused import FUSE_FINISH, FUSE_FINISHES, FUSE_START, FUSE_STARTS

_VALUES = (
    "SELECT $1::integer, $2::bigint, $3::integer, $4::smallint, $5::boolean, $6::bytea, $7::text, $8::uuid, "
    "$9::bigint, $10::bytea, $11::text, $12::uuid"
)
_COLUMNS = (
    "SELECT $1::integer, $2::bigint[], $3::integer[], $4::smallint[], $5::boolean[], $6::bytea[], "
    "$7::text[], $8::uuid[]"
)
_NS = struct.pack("!i", 3)
_ID = UUID(int=7)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Direct]:
    async with await connect(url) as connection:
        yield Direct(connection)


@pytest.mark.parametrize(
    ("number", "bits", "data", "text"),
    [(-5, True, b"\0\xff", "ümlaut"), (0, False, b"", ""), (32_767, True, b"x" * 70_000, "y" * 5_000)],
    ids=["ordinary", "empty", "large"],
)
async def test_values_come_back(postgres_url: str, number: int, bits: bool, data: bytes, text: str) -> None:
    values = (number, number, number, bits, data, text, _ID, None, None, None, None)
    sent = (_NS, *packed(_VALUES, values))
    async with opened(postgres_url) as direct:
        for prepare in (True, False):
            told = await direct.ask_packed(_VALUES.encode(), stated(_VALUES).types, sent, prepare)
            assert told.rows == [(3, *values)]


@pytest.mark.parametrize("ids", [[_ID, None], [None, _ID], [None, None], [_ID, UUID(int=0)]])
async def test_columns_come_back(postgres_url: str, ids: list[UUID | None]) -> None:
    columns = ([1, None], [2, -2], [3, 4], [True, False], [b"a", None], ["b", None], ids)
    sent = (_NS, *packed(_COLUMNS, columns))
    async with opened(postgres_url) as direct:
        told = await direct.ask_packed(_COLUMNS.encode(), stated(_COLUMNS).types, sent, True)
    assert told.rows == [(3, *columns)]


async def test_what_is_null_prepares_no_other_text(postgres_url: str) -> None:
    """A prepared form has its types: a NULL without its own would ask for one more."""
    sql = "SELECT $1::integer, $2::bigint, $3::text"
    async with opened(postgres_url) as direct:
        for values in ((1, "a"), (None, "a"), (1, None), (None, None)):
            told = await direct.ask_packed(sql.encode(), stated(sql).types, (_NS, *packed(sql, values)), True)
            assert told.rows == [(3, *values)]
        named = await direct.connection.execute(b"SELECT statement FROM pg_prepared_statements")
        assert [row[0] for row in await named.fetchall()] == [sql]


@pytest.mark.parametrize(
    ("stated", "value", "error"),
    [
        ("text", "\ud800", UnicodeEncodeError),
        ("text[]", ["\ud800"], UnicodeEncodeError),
        ("smallint", 32_768, struct.error),
        ("integer", 2**31, struct.error),
        ("bigint", 2**63, struct.error),
    ],
)
def test_what_the_server_cannot_hold_is_refused(stated: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        packed(f"SELECT $1::integer, $2::{stated}", (value,))


def test_a_value_for_each_parameter() -> None:
    with pytest.raises(ValueError, match="shorter"):
        packed("SELECT $1::integer, $2::bigint, $3::bigint", (1,))


@pytest.mark.parametrize(("one", "many"), [(FUSE_START, FUSE_STARTS), (FUSE_FINISH, FUSE_FINISHES)])
def test_one_member_takes_the_parameters_of_many_and_unpacks_nothing(one: str, many: str) -> None:
    assert set(re.findall(r"\$\d+", one)) == set(re.findall(r"\$\d+", many))
    assert "unnest" in many
    assert "unnest" not in one
    assert "[]" not in one
