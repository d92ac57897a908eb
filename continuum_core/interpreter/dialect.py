"""Where SCXML proper differs from a durable machine: the hooks that a loader of SCXML files fills in.

A product chart has no dialect. SCXML goes on where we roll back (an error becomes an event), names its
done events, carries data in them, and looks for eventless transitions even after an event that nothing
wanted. Everything else (event names, the datamodel, executable content) a loader expresses in plain
guards and actions. Functions of a dialect's chart may have arity 3: their third argument is the
configuration at that very moment, as a bit mask, which is what ``In()`` asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

__all__ = ["Dialect"]


@frozen
class Dialect:
    """The differences of SCXML, as functions.

    :ivar done: called as (context, event, state, final) when a state is complete; `state` is its
        number and `final` that of the final child just entered, None for a parallel state. Returns
        the events to put into the internal queue.
    :ivar error: called as (context, exception) when a guard, an invocation's input or an action
        raised. Returns the event for the internal queue; the guard counts as false, the action or
        the invocation as left out.
    """

    done: Callable[[Any, Any, int, int | None], Sequence[Any]]
    error: Callable[[Any, Exception], Any]
