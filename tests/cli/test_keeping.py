"""The verbs about what a journal keeps: stats, prune, archive, restore, copy; and bench."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from continuum_core.cli import retention
from continuum_core.journal.connect import shown
from tests.cli.conftest import Command
from tests.cli.work import work_until_over

ETERNAL_RUN = """
INSERT INTO continuum_runs (namespace, run_id, machine, fingerprint, digest, generation, version, status,
  cause, fence, tries, created, updated, snapshot, eternal)
VALUES (1, ?, 'kept', 'f', x'', 0, 1, 1, '', 1, 0, 0, 0, x'', 1)
"""
SHOP = ("--app", "tests.cli.shop")
PAID = ("Paid", "--data", '{"amount": 100}')


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://user:secret@host:5432/shop?schema=a&password=b", "postgresql://host:5432/shop"),
        ("redis://:secret@host/0", "redis://host/0"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
        ("sqlite:///a@b/shop.db", "sqlite:///a@b/shop.db"),
        ("memory://name", "memory://name"),
    ],
)
def test_what_is_kept_of_a_url_has_no_secret(url: str, told: str) -> None:
    assert shown(url) == told


def _orders(continuum: Command, url: str) -> None:
    """One that has ended, and one that waits."""
    for key in ("old", "new"):
        order = f'{{"order_id": "{key}", "total": 100}}'
        assert continuum("start", "order", "-k", key, "-i", order, *SHOP).code == 0
    assert continuum("send", "order/old", *PAID, *SHOP).code == 0
    work_until_over(url, "old")


def test_stats_tell_machines_and_days(continuum: Command, url: str) -> None:
    _orders(continuum, url)
    rows = continuum("stats", "--json").jsons()
    assert [(row["machine"], row["status"], row["runs"]) for row in rows] == [
        ("order", "running", 1),
        ("order", "completed", 1),
    ]
    assert all(row["bytes"] > 0 and row["records"] > 0 for row in rows)
    shown = continuum("stats", "--days", "2").out
    assert "completed" in shown
    assert shown.count(rows[0]["day"]) == 1
    assert continuum("stats", "--machine", "other", "--json").out == ""


def test_prune_counts_before_it_deletes(continuum: Command, url: str) -> None:
    _orders(continuum, url)
    assert continuum("prune", "--older-than", "30d", "--json").json()["runs"] == 0
    told = continuum("prune", "--older-than", "0", "--json").json()
    assert (told["runs"], told["deleted"]) == (1, False)
    assert "would be deleted: 1 run with" in continuum("prune", "--older-than", "0").out
    assert len(continuum("list", "--json").jsons()) == 2
    assert continuum("prune", "--older-than", "0", "--yes", "--json").json()["runs"] == 1
    assert [row["key"] for row in continuum("list", "--json").jsons()] == ["new"]


@pytest.mark.parametrize("verb", [("prune",), ("archive", "--dry-run")])
def test_a_run_that_has_not_ended_is_neither_pruned_nor_archived(
    continuum: Command, url: str, verb: tuple[str, ...]
) -> None:
    """Asked for by a status that no ended run has, it would be "0 runs": nothing would say why."""
    refused = continuum(*verb, "--older-than", "0", "--status", "parked", "--status", "failed")
    assert refused.code == 2
    told = " ".join(refused.err.split())
    assert "a run that is parked has not ended; runs end completed, failed, cancelled, terminated" in told


@pytest.mark.parametrize("verb", [("prune",), ("archive", "--dry-run"), ("stats",)])
def test_a_machine_that_never_ran_is_told(continuum: Command, url: str, verb: tuple[str, ...]) -> None:
    """A misspelt name finds nothing, as one that has nothing old does."""
    _orders(continuum, url)
    age = () if verb == ("stats",) else ("--older-than", "0")
    done = continuum(*verb, *age, "--machine", "ordr")
    assert (done.code, done.err) == (0, "no machine 'ordr' ever ran in this journal; did you mean 'order'?\n")
    assert continuum(*verb, *age, "--machine", "order").err == ""


def test_prune_tells_all_that_are_never_pruned(
    continuum: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the batches in which it deletes: each of them counts no more than it holds."""
    monkeypatch.setattr(retention, "_BATCH", 1)
    _orders(continuum, url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
        for number in range(3):
            file.execute(ETERNAL_RUN, (bytes([number] * 16),))
        file.commit()
    told = continuum("prune", "--older-than", "0").out
    assert "never pruned: 3 eternal runs" in told
    assert "would be deleted: 1 run with" in told
    gone = continuum("prune", "--older-than", "0", "--yes").out
    assert "never pruned: 3 eternal runs" in gone
    assert "deleted: 1 run with" in gone


def test_archive_and_restore(continuum: Command, url: str, tmp_path: Path) -> None:
    _orders(continuum, url)
    asked = ("archive", "--older-than", "0")
    assert continuum(*asked).code == 2
    assert "1 run with" in continuum(*asked, "--dry-run").out
    assert "0 runs with" in continuum(*asked, "--dry-run", "--query", 'key = "new"').out
    only = ("--status", "completed", "--query", 'key in ("new", "old")')
    told = continuum(*asked, "--to", "old.jsonl", "--prune", *only, "--json").json()
    assert (told["runs"], told["pruned"]) == (1, 1)
    assert [row["key"] for row in continuum("list", "--json").jsons()] == ["new"]
    back = continuum("restore", "old.jsonl", *SHOP, "--json").json()
    assert (back["restored"], back["folded"]) == (1, 1)
    assert [row["key"] for row in continuum("list", "--json").jsons()] == ["new", "old"]
    (tmp_path / "old.jsonl").write_text('{"v": 1}\n')
    damaged = continuum("restore", "old.jsonl")
    assert (damaged.code, "old.jsonl, line 1: " in damaged.err) == (1, True)
    assert continuum("restore", "old.jsonl", "--salvage").code == 1


def test_copy_moves_what_lives(continuum: Command, url: str, tmp_path: Path) -> None:
    _orders(continuum, url)
    target = f"sqlite:///{tmp_path}/target.db"
    asked = ("copy", "--from", url, "--to", target, *SHOP)
    assert continuum("copy", "--from", url, "--to", url).code == 1
    assert "would be moved: 1" in continuum(*asked, "--dry-run").out
    told = continuum(*asked, "--json").json()
    assert (told["finished"], told["moved"], told["folded"], told["complete"]) == (1, 1, 2, True)
    assert "there already: 2" in continuum(*asked).out
    last = continuum("history", "order/new", "--json").jsons()[-1]
    assert (last["event"], last["who"], "moved to sqlite:///" in last["why"]) == ("move", "ada", True)
    place = f"sqlite:///{tmp_path}/target.db"
    shown = continuum("show", "order/new").out
    assert shown.startswith(f"order/new  moved\nmoved to {place}: it goes on there\n")
    assert " moved " in continuum("list").out
    assert continuum("list", "--json").jsons()[0]["moved_to"] == place
    sent = continuum("send", "order/new", "Paid", "--data", '{"amount": 1}')
    assert (sent.code, sent.err) == (
        1,
        f"error: run order/new moved to {place}, and takes no more events here\n"
        f"hint: give --journal {place}\n",
    )
    there = continuum("list", "--journal", target, "--json").jsons()
    assert [(row["key"], row["status"]) for row in there] == [("new", "running"), ("old", "completed")]


def test_who_is_ended_by_hand_did_not_move(continuum: Command, url: str) -> None:
    _orders(continuum, url)
    assert continuum("terminate", "order/new", "--yes", "--why", "moved to the shop next door").code == 0
    assert continuum("list", "--json").jsons()[0]["moved_to"] is None
    assert continuum("show", "order/new").out.startswith("order/new  terminated\n")
    assert "is over" in continuum("cancel", "order/new").err


def test_copy_says_what_it_left(continuum: Command, url: str, tmp_path: Path) -> None:
    """The exit code tells that something is not in the target."""
    _orders(continuum, url)
    target = f"sqlite:///{tmp_path}/target.db"
    other = '{"order_id": "another", "total": 1}'
    continuum("start", "order", "-k", "new", "-i", other, *SHOP, "--journal", target)
    done = continuum("copy", "--from", url, "--to", target)
    assert (done.code, "left where it is: order" in done.err) == (3, True)


def test_bench_tells_and_draws(continuum: Command, url: str, tmp_path: Path) -> None:
    asked = ("bench", "--size", "2", "--rounds", "2", "--plot", "figures.svg")
    told = continuum(*asked, "--json").json()
    assert {figure["size"] for figure in told["figures"]} == {2}
    assert told["conditions"]["rounds"] == 2
    assert (tmp_path / "figures.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "members/s" in continuum(*asked).out
    assert continuum("bench", "--rounds", "1", "--size", "1", "--plot", "none/figures.svg").code == 1
