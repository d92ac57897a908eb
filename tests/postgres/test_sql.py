"""The SQL keeps to what a distributed engine can carry out too, and to one prepared form a statement."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import continuum_postgres.statements
from continuum_postgres.migrations import MIGRATIONS
from continuum_postgres.schema import migration_sql

BANNED = {
    "a sequence": r"\b(serial|bigserial|nextval|sequence|identity)\b",
    "a trigger": r"\btrigger\b",
    "PL/pgSQL": r"\b(plpgsql|create\s+(or\s+replace\s+)?(function|procedure)|do\s+\$)",
    "a foreign key": r"\b(references|foreign\s+key)\b",
    "an advisory lock": r"pg_(try_)?advisory",
    "a session setting": r"\bset\s+(local|session)\b|\bset_config\b|^\s*set\s",
    "a savepoint": r"\bsavepoint\b",
    "an enum": r"\bas\s+enum\b",
    "a temporary table": r"\b(temp|temporary|unlogged)\b",
    "two-phase commit": r"\bprepare\s+transaction\b",
}

WITHOUT_RUN = frozenset({"namespaces", "claims", "results", "orders", "definitions", "schema", "workers"})
"""Tables of which no row belongs to one run."""

PER_NAMESPACE = re.compile(r"\bcontinuum\.(?!namespaces\b|schema\b)\w+")
RUN_TABLES = ("runs", "records", "deliveries", "seen", "dead", "tasks")


def statements() -> Iterator[tuple[str, str]]:
    """(name, text) of every statement."""
    package = continuum_postgres.statements
    for module in pkgutil.iter_modules(package.__path__):
        found = importlib.import_module(f"{package.__name__}.{module.name}")
        for name in found.__all__:
            value = getattr(found, name)
            for number, text in enumerate((value,) if isinstance(value, str) else value):
                if "_COLUMNS" not in name:
                    yield f"{module.name}.{name}[{number}]", text


def definitions() -> list[str]:
    return [statement for migration in MIGRATIONS for statement in migration.statements]


ALL = dict(statements())


def test_there_is_something_to_look_at() -> None:
    assert len(ALL) > 60


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_statement_uses_what_is_banned(name: str) -> None:
    found = [what for what, pattern in BANNED.items() if re.search(pattern, ALL[name], re.IGNORECASE)]
    assert not found


@pytest.mark.parametrize("number", range(len(definitions())))
def test_no_definition_uses_what_is_banned(number: int) -> None:
    text = definitions()[number]
    assert not [what for what, pattern in BANNED.items() if re.search(pattern, text, re.IGNORECASE)]


@pytest.mark.parametrize("what", sorted(BANNED))
def test_the_linter_finds_what_is_planted(what: str) -> None:
    planted = {
        "a sequence": "SELECT nextval('x')",
        "a trigger": "CREATE TRIGGER t",
        "PL/pgSQL": "CREATE FUNCTION f() RETURNS int",
        "a foreign key": "run_id uuid REFERENCES runs",
        "an advisory lock": "SELECT pg_advisory_xact_lock(1)",
        "a session setting": "SET LOCAL enable_seqscan = off",
        "a savepoint": "SAVEPOINT a",
        "an enum": "CREATE TYPE x AS ENUM ('a')",
        "a temporary table": "CREATE TEMP TABLE x ()",
        "two-phase commit": "PREPARE TRANSACTION 'x'",
    }
    assert re.search(BANNED[what], planted[what], re.IGNORECASE)


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_statement_names_the_namespace(name: str) -> None:
    """`$1` is its number; what reads or writes a table of a namespace has it in each of its parts."""
    text = ALL[name]
    if PER_NAMESPACE.search(text):
        assert "$1::integer" in text
        assert text.count("$1::integer") >= 1


@pytest.mark.parametrize("table", RUN_TABLES)
def test_the_shard_leads_every_key_of_a_run(table: str) -> None:
    (text,) = (one for one in definitions() if f"CREATE TABLE continuum.{table} " in one)
    assert re.search(r"PRIMARY KEY \(shard, ns, run_id", text)


def test_every_parameter_states_its_type() -> None:
    """Else the server guesses it, once for each type the driver happens to send."""
    for name, text in ALL.items():
        assert not re.search(r"\$\d+(?!\d|::)", text), name


def test_the_script_for_teams_is_the_same_schema() -> None:
    script = migration_sql("elsewhere")
    assert "continuum." not in script
    assert script.count("CREATE TABLE") == 1 + sum("CREATE TABLE" in one for one in definitions())
