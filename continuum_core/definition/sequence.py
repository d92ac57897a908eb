"""A linear process, written as a list of steps, is an ordinary machine.

`sequence` writes the class that its author would have written: everything behind it (checks, drawings,
fingerprints, the interpreter, the journal) meets a `Machine` with a chart, and none of it knows how the
machine was written. `steps` has the steps, `course` the states and edges they become.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from types import new_class
from typing import Any, TypeVar, cast

from continuum_core.definition.course import Course
from continuum_core.definition.declare import Machine, Root, root
from continuum_core.definition.naming import LISTED
from continuum_core.definition.place import caller
from continuum_core.definition.steps import Instead, Step

__all__ = ["sequence"]

C = TypeVar("C")  # the context
I = TypeVar("I")  # noqa: E741  # the input of a run
O = TypeVar("O")  # noqa: E741  # its result


def sequence(
    name: str,
    /,
    *listed: Step[C],
    init: Callable[[I], C],
    result: Callable[[C], O],
    verdict: Callable[[C], object] | None = None,
    anytime: Instead[C] | tuple[Instead[C], ...] = (),
    version: int = 1,
    trusted_modules: tuple[str, ...] = (),
    strict: bool = False,
) -> type[Machine[C, I, O]]:
    """The machine of a linear process.

    :param name: the machine's name; stored with every run, as `version` is.
    :param listed: the steps, in their order, made by `steps(Context)`. After the last the run has ended.
    :param init: an annotated function: the first context of the input. The machine's types are read from it.
    :param result: an annotated function: the result of the context.
    :param verdict: the typed reason of a failed end, of the context.
    :param anytime: other events that end whatever the process is at, made by `on`.
    :param trusted_modules: as in the class statement of a machine, and `strict`, too.

    Raises `DefinitionError` with every fault, as a class does.
    """
    place, frame = caller()
    types = _types(init, result)
    top: Root[Any] = root(types[0] if types else Any)
    top.node.place = place
    course = Course(top, place)
    course.write(listed, anytime if isinstance(anytime, tuple) else (anytime,))
    members: dict[str, Any] = {
        LISTED: top,
        **course.states,
        "__module__": frame.f_globals.get("__name__", ""),
    }
    members |= {"init": staticmethod(init), "result": staticmethod(result)}
    if verdict is not None:
        members["verdict"] = staticmethod(verdict)
    machine: Any = Machine  # subscripted with values, which only the type checkers' own eyes could mind
    keywords = {"name": name, "version": version, "trusted_modules": trusted_modules, "strict": strict}
    made = new_class(
        _class_name(name),
        (machine[types] if types else machine,),
        keywords,
        lambda body: body.update(members),
    )
    return cast("type[Machine[C, I, O]]", made)


def _types(init: Any, result: Any) -> tuple[Any, Any, Any] | None:
    """Context, input and result, as annotated; None where one of them is not."""
    try:
        begins, ends = typing.get_type_hints(init), typing.get_type_hints(result)
    except (NameError, TypeError):
        return None
    given = next((tp for parameter, tp in begins.items() if parameter != "return"), None)
    types = (begins.get("return"), given, ends.get("return"))
    return None if None in types else types


def _class_name(name: Any) -> str:
    words = "".join(c if c.isalnum() else " " for c in str(name)).split()
    made = "".join(word[0].upper() + word[1:] for word in words)
    return made if made.isidentifier() else "Sequence"
