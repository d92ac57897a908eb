"""A value packed by itself arrives as it was, and so does NULL, under one prepared text."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from continuum_postgres import scalars
from continuum_postgres.source import connect
from continuum_postgres.statements.fused import FUSE_FINISH, FUSE_FINISHES, FUSE_START, FUSE_STARTS

_SQL = (
    b"SELECT $1::bigint, $2::integer, $3::smallint, $4::boolean, $5::bytea, $6::text, $7::uuid, $8::bigint, "
    b"$9::bytea, $10::text, $11::uuid"
)


def _packed(number: int, bits: bool, data: bytes, text: str, id_: UUID) -> tuple[object, ...]:
    return (
        scalars.bigints([number]),
        scalars.integers([number]),
        scalars.smallints([number]),
        scalars.booleans([bits]),
        scalars.byteas([data]),
        scalars.texts([text]),
        scalars.uuids([id_]),
        scalars.bigints([None]),
        scalars.byteas([None]),
        scalars.texts([None]),
        scalars.uuids([None]),
    )


@pytest.mark.parametrize(
    ("number", "bits", "data", "text"),
    [(-5, True, b"\0\xff", "ümlaut"), (0, False, b"", ""), (32_767, True, b"x" * 70_000, "y" * 5_000)],
    ids=["ordinary", "empty", "large"],
)
async def test_values_come_back(postgres_url: str, number: int, bits: bool, data: bytes, text: str) -> None:
    id_ = UUID(int=7)
    async with await connect(postgres_url) as connection:
        cursor = await connection.execute(_SQL, _packed(number, bits, data, text, id_), binary=True)
        assert await cursor.fetchall() == [
            (number, number, number, bits, data, text, id_, None, None, None, None)
        ]


async def test_what_is_null_prepares_no_other_text(postgres_url: str) -> None:
    """The driver keeps a prepared form by text and types: a NULL without its own would ask for one more."""
    sql = b"SELECT $1::bigint, $2::text"
    async with await connect(postgres_url) as connection:
        for number, text in ((1, "a"), (None, "a"), (1, None), (None, None)):
            asked = (scalars.bigints([number]), scalars.texts([text]))
            cursor = await connection.execute(sql, asked, prepare=True, binary=True)
            assert await cursor.fetchall() == [(number, text)]
        named = await connection.execute(b"SELECT statement FROM pg_prepared_statements")
        assert [row[0] for row in await named.fetchall()] == [sql.decode()]


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        scalars.texts(["\ud800"])


@pytest.mark.parametrize(("one", "many"), [(FUSE_START, FUSE_STARTS), (FUSE_FINISH, FUSE_FINISHES)])
def test_one_member_takes_the_parameters_of_many_and_unpacks_nothing(one: str, many: str) -> None:
    assert set(re.findall(r"\$\d+", one)) == set(re.findall(r"\$\d+", many))
    assert "unnest" in many
    assert "unnest" not in one
    assert "[]" not in one
