"""The client and its handles, with a loop and without one, have the same methods that take the same.

Held against each other by reflection: what is added to one of the four, and not to the others, fails here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_overloads

import pytest

from continuum_core import Client, Handle, SyncClient, SyncHandle

FOR_WORKERS = {"borrow", "settled", "waiting_told"}
"""Of `Client`: for the worker that it belongs to."""

FOR_WORKERS_GIVEN = {"registry", "host"}
"""What only a worker gives its client."""

PLAIN_ONLY = {"wait_for"}
"""Of `SyncClient`: what it is made of."""

OF_THE_CLIENT = {
    "open",
    "close",
    "start",
    "get",
    "handle",
    "list",
    "find",
    "count",
    "runs",
    "prune",
    "broadcast",
}
"""What is about no single run, or gives the handle on one."""


def methods(cls: type) -> Mapping[str, Callable[..., Any]]:
    """The public methods, those of the classes above as well."""
    return {name: made for name, made in inspect.getmembers(cls, inspect.isfunction) if name[0] != "_"}


def shown(method: Callable[..., Any], leave: frozenset[str] = frozenset()) -> list[tuple[Any, ...]]:
    """What a method takes: names, kinds, defaults, and types as they are written."""
    taken = list(inspect.signature(method).parameters.values())[1:]
    return [
        (each.name, each.kind, each.default, str(each.annotation).replace("Sync", ""))
        for each in taken
        if each.name not in leave
    ]


def given(method: Callable[..., Any]) -> str:
    """What it gives, whether it is awaited or not."""
    written = str(inspect.signature(method).return_annotation).replace("Sync", "")
    if written.startswith("Coroutine["):  # that of an `async def` is not written down
        written = written.removeprefix("Coroutine[Any, Any, ").removesuffix("]")
    return written.replace("AsyncIterator", "Iterator")


CLIENT = {name: made for name, made in methods(Client).items() if name not in FOR_WORKERS}
PLAIN = {name: made for name, made in methods(SyncClient).items() if name not in PLAIN_ONLY}
PAIRS = [
    *((f"Client.{name}", made, PLAIN.get(name)) for name, made in CLIENT.items()),
    *((f"Handle.{name}", made, methods(SyncHandle).get(name)) for name, made in methods(Handle).items()),
]


def test_they_have_the_same_methods() -> None:
    assert CLIENT.keys() == PLAIN.keys()
    assert methods(Handle).keys() == methods(SyncHandle).keys()
    assert CLIENT.keys() - OF_THE_CLIENT == methods(Handle).keys()


@pytest.mark.parametrize(("method", "plain"), [each[1:] for each in PAIRS], ids=[each[0] for each in PAIRS])
def test_each_takes_and_gives_the_same_without_a_loop(
    method: Callable[..., Any], plain: Callable[..., Any] | None
) -> None:
    assert plain is not None
    assert shown(plain) == shown(method)
    assert given(plain) == given(method)
    assert list(map(shown, get_overloads(plain))) == list(map(shown, get_overloads(method)))


@pytest.mark.parametrize("name", sorted(CLIENT.keys() - OF_THE_CLIENT))
def test_a_handle_takes_the_same_but_for_the_run(name: str) -> None:
    assert shown(methods(Handle)[name]) == shown(CLIENT[name])[1:]


def test_both_clients_are_made_of_the_same() -> None:
    assert shown(SyncClient.__init__) == shown(Client.__init__, frozenset(FOR_WORKERS_GIVEN))
