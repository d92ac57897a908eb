"""The scripts: one a verb, each with what the verb reaches."""

from __future__ import annotations

import re

import pytest

from continuum_redis.script import script_of, verbs
from tests.redis.handles import asked, raw

_FUNCTION = re.compile(r"^(?:local )?function ([\w.]+)", re.MULTILINE)


def functions(verb: str) -> set[str]:
    return set(_FUNCTION.findall(script_of(verb.encode()).text.decode()))


async def test_the_server_takes_each_and_knows_it_by_its_digest(redis_url: str) -> None:
    async with raw(redis_url) as wire:
        for verb in verbs():
            script = script_of(verb.encode())
            assert await asked(wire, b"SCRIPT", b"LOAD", script.text) == script.digest


def test_a_script_has_one_verb_and_what_that_reaches_over_others() -> None:
    for verb in verbs():
        assert [name for name in functions(verb) if name.startswith("verbs.")] == [f"verbs.{verb}"]
    assert functions("now") == {"verbs.now"}
    rows = {"row_key", "row_of", "runs.get", "runs.shown"}
    assert functions("load") == {"verbs.load", "list", "number", "bytes"} | rows
    assert {"deliveries.bury", "tasks.close", "outbox.put"} <= functions(
        "commit"
    )  # by turns.close_everything


def test_a_script_that_puts_rows_writes_them_at_its_end() -> None:
    puts = {verb for verb in verbs() if "runs.put" in functions(verb)}
    assert {"commit", "start", "finish", "renew", "control", "restore", "receive"} <= puts
    for verb in verbs():
        assert script_of(verb.encode()).text.endswith(b"runs.write_changed() return told") == (verb in puts)


def test_a_script_that_drops_tasks_forgets_empty_lanes_at_its_end() -> None:
    drops = {verb for verb in verbs() if "tasks.drop" in functions(verb)}
    assert {"commit", "finish", "claim_tasks", "control", "prune_runs"} <= drops
    for verb in verbs():
        ends = script_of(verb.encode()).text.splitlines()[-1]
        assert (b"tasks.forget_lanes() " in ends) == (verb in drops)


def test_a_verb_that_is_not_there_has_no_script() -> None:
    with pytest.raises(KeyError):
        script_of(b"unheard_of")
