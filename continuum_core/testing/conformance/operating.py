"""Machines of promise 22 choose their steps by weight, among those that have something to work on.

Not by hypothesis' own rules: for each example it leaves out a random part of them, which suits independent
rules. Here most steps need others before them, and examples without starts, claims or commits, which were
most, compare next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

__all__ = ["Operating", "operation"]

_F = TypeVar("_F", bound=Callable[..., None])
_MARK = "_continuum_operation"


@frozen
class _Operation:
    name: str
    weight: int
    when: Callable[[Any], object]
    arguments: st.SearchStrategy[dict[str, Any]]


def operation(
    *, weight: int = 1, when: Callable[[Any], object] = bool, **given: st.SearchStrategy[Any]
) -> Callable[[_F], _F]:
    """Mark a method of a machine as one of its steps.

    :param weight: how often it is chosen, beside the others.
    :param when: told the machine: whether there is something to work on.
    :param given: what each of its arguments is drawn from.
    """

    def mark(method: _F) -> _F:
        setattr(method, _MARK, _Operation(method.__name__, weight, when, st.fixed_dictionaries(given)))
        return method

    return mark


@cache
def _operations(machine: type) -> Mapping[str, _Operation]:
    found = (getattr(getattr(machine, name), _MARK, None) for name in sorted(dir(machine)))
    return {each.name: each for each in found if each is not None}


class Operating(RuleBasedStateMachine):
    """A machine whose steps are its operations."""

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Draw an operation by its weight, then what it is given."""
        every = _operations(type(self))
        names = [name for name, each in every.items() if each.when(self) for _ in range(each.weight)]
        chosen = every[data.draw(st.sampled_from(names), label="operation")]
        getattr(self, chosen.name)(**data.draw(chosen.arguments, label=chosen.name))
