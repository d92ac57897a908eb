"""A stranger's backend that is broken is told of by name, and stops nobody who does not ask for it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from continuum_core.cli.main import app
from continuum_core.errors import UnknownBackend, UsageError
from continuum_core.journal.connect import available, connect, wakeups
from tests.conformance.strange import WORKING, Install

BROKEN = {
    "raises": ("raise RuntimeError('broken on purpose')", "imported: RuntimeError: broken on purpose"),
    "no Python": ("def connect(:", "imported: SyntaxError"),
    "exits": ("import sys; sys.exit(3)", "imported: SystemExit: 3"),
    "attribute": ("import os; os.nothing_there", "imported: AttributeError"),
    "no capabilities": (WORKING.replace("CAPABILITIES", "CAPABLE"), "has no CAPABILITIES, a frozenset"),
    "a text": (WORKING.replace('frozenset({"durable"})', '"durable"'), "has no CAPABILITIES, a frozenset"),
    "misspelt": (WORKING.replace('"durable"', '"durabel"'), "declares 'durabel'.*did you mean 'durable'"),
    "no connect": (WORKING.replace("def connect", "def conect"), "has no function `connect`"),
    "a text's version": (WORKING.replace("VERSION = 1", "VERSION = '1'"), "'1', which is no whole number"),
}
"""What is wrong with a module, and what is told of it."""

HANDLES = {
    "raises": ("raise ValueError('no such place')", "could not make .* ValueError: no such place"),
    "None": ("return None", "gave None in the place of a journal"),
    "another object": ("return object()", "gave an object of type object .* no claim_runs, .*, wait"),
    "one that lacks a verb": (
        "Handle.reserve = None; return Handle(url, namespace, limits)",
        "no reserve; its author has to return",
    ),
    "another namespace": ("return Handle(url, 'other', limits)", "namespace 'other' where 'default' was"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_backend_says_why_and_hides_no_other(install: Install, what: str) -> None:
    source, why = BROKEN[what]
    module, distribution = install("broken", source)
    whose = rf"the backend for 'broken' journals \({module}, of {distribution}\)"
    with pytest.raises(UnknownBackend, match=f"{whose} .*{why}"):
        connect("broken://")
    listed = {each.scheme: each.fault for each in available()}
    assert distribution in listed["broken"]
    assert listed["memory"] == ""
    assert connect("memory://").namespace == "default"
    with pytest.raises(UsageError, match=rf"object is no journal[\s\S]*{whose}"):
        connect(object())
    shown = CliRunner().invoke(app, ["backends", "--json"])
    assert shown.exit_code == 0
    assert {json.loads(line)["scheme"] for line in shown.stdout.splitlines()} >= {"broken", "memory"}


@pytest.mark.parametrize("what", HANDLES)
def test_what_connect_gives_is_looked_over(install: Install, what: str) -> None:
    made, why = HANDLES[what]
    source = WORKING.replace("return Handle(url, namespace, limits)", made)
    _, distribution = install("broken", source)
    with pytest.raises(UnknownBackend, match=f"of {distribution}.*{why}"):
        connect("broken://")


def test_what_is_declared_must_be_there(install: Install) -> None:
    """Found when the journal is made, and not by the first run that needs it."""
    install("broken", WORKING.replace('{"durable"}', '{"durable", "crews", "transactions"}'))
    with pytest.raises(UnknownBackend, match="declares 'crews', and its journal has no members: its author"):
        connect("broken://")


def test_an_error_of_the_port_passes_as_it_is(install: Install) -> None:
    own = "from continuum_core.errors import UsageError; raise UsageError('write strange://host')"
    install("strange", WORKING.replace("return Handle(url, namespace, limits)", own))
    with pytest.raises(UsageError, match=r"^write strange://host$"):
        connect("strange://")


def test_a_backend_that_cannot_take_an_object_keeps_no_other_from_it(install: Install) -> None:
    """`adopt` of every backend is shown the object: one that raises is passed over."""
    install("aaa", WORKING + "\ndef adopt(target, namespace, limits):\n    return target.nothing_there\n")
    with pytest.raises(UsageError, match=r"is no journal[\s\S]*'aaa'.*whether it takes the object: Attr"):
        connect(object())
    install("bbb", WORKING + "\ndef adopt(target, namespace, limits):\n    return Handle('', namespace, 0)\n")
    assert connect(object(), "shop").namespace == "shop"
    install("ccc", WORKING + "\ndef adopt(target, namespace, limits):\n    return target\n")
    assert connect(object(), "shop").namespace == "shop"


def test_hints_of_a_broken_carrier_say_whose_they_are(install: Install) -> None:
    _, distribution = install("broken", WORKING + "\ndef wakeups(url):\n    raise KeyError('host')\n")
    with pytest.raises(UnknownBackend, match=f"of {distribution}.* hints of its URL: KeyError: 'host'"):
        wakeups("broken://")
