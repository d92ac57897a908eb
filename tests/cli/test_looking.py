"""Which verbs make a journal, and which are about one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

ORDER = '{"order_id": "o-1", "total": 5}'
APP = ("--app", "tests.cli.shop")

ABOUT_WHAT_IS_THERE = [
    *(("list",), ("count",), ("stats",), ("health",), ("list", "-q", "total > 5")),
    *((verb, "order/o-1") for verb in ("show", "history", "graph", "why", "cancel", "suspend", "resume")),
    *(("unpark", "order/o-1"), ("terminate", "order/o-1", "--yes"), ("set", "order/o-1", "a=1")),
    ("blame", "order/o-1", "total"),
    ("send", "order/o-1", "Paid"),
    ("ask", "order/o-1", "Quote"),
    ("broadcast", "machine = order", "Paid", "--key", "k"),
    ("fork", "order/o-1", "--at", "1"),
    ("replay", "--all", *APP),
    ("prune", "--older-than", "0", "--yes"),
    ("archive", "--older-than", "0", "--dry-run"),
    ("migrate-runs", *APP),
    ("audit", "patches", *APP),
]


@pytest.mark.parametrize("typed", ABOUT_WHAT_IS_THERE, ids=lambda typed: typed[0])
def test_a_mistyped_journal_is_refused_and_not_made(
    continuum: Command, tmp_path: Path, typed: tuple[str, ...]
) -> None:
    done = continuum(*typed)
    assert done.code == 3
    assert done.err.startswith(
        f"error: {tmp_path}/journal.db: there is no journal, and what only looks makes"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_namespace_is_refused_and_not_made(continuum: Command) -> None:
    assert continuum("start", "order", "--key", "o-1", "--input", ORDER, *APP).code == 0
    for _ in range(2):
        done = continuum("list", "--namespace", "prd")
        assert done.code == 3
        assert "nobody has opened namespace 'prd' there" in done.err


def test_a_dry_run_makes_neither_journal(continuum: Command, tmp_path: Path, url: str) -> None:
    source, target = f"sqlite:///{tmp_path}/source.db", f"sqlite:///{tmp_path}/target.db"
    asked = ("copy", "--dry-run", "--from", source, "--to", target)
    assert continuum(*asked).code == 3
    assert list(tmp_path.iterdir()) == []
    made = ("--journal", source)
    assert continuum("start", "order", "--key", "o-1", "--input", ORDER, *APP, *made).code == 0
    assert "going on and would be moved: 1" in continuum(*asked).out
    assert continuum("cancel", "order/o-1", *made).code == 0
    assert continuum("terminate", "order/o-1", "--yes", *made).code == 0
    assert continuum("archive", "--older-than", "0", "--to", "old.jsonl", *made).code == 0
    assert "1 run would be restored" in continuum("restore", "old.jsonl", "--dry-run", "--to", target).out
    assert not (tmp_path / "target.db").exists()
    assert continuum("restore", "old.jsonl", "--to", target).code == 0
    assert "there already: 1" in continuum("restore", "old.jsonl", "--dry-run", "--to", target).out
