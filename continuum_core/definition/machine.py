"""The class that is a machine: its body is judged, and becomes a `Chart`, where the class statement ends."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from continuum_core.definition.bench import Bench, Header
from continuum_core.definition.build import build
from continuum_core.definition.chart import Chart
from continuum_core.definition.check import judge, settle
from continuum_core.definition.draft import Node
from continuum_core.definition.place import caller
from continuum_core.definition.target import target_node
from continuum_core.errors import UsageError

__all__ = ["Machine"]

C = TypeVar("C")  # the context
I = TypeVar("I")  # noqa: E741  # the input of a run
O = TypeVar("O")  # noqa: E741  # its result


class Machine(Generic[C, I, O]):
    """A machine with context `C`, started with an `I`, ending with an `O`. Never instantiated.

    The class attributes are the states; `init` makes the context from the input and `result` the
    result from the context. `verdict`, optional, makes the typed reason of an ``ok=False`` end. The
    names `chart`, `init`, `result` and `verdict` are therefore not for states.

    Class keywords: `name` and `version` are stored with every run. `trusted_modules` names modules
    whose functions are taken to be pure; `strict` makes an error of a call that nobody vouches for.

    Raises `DefinitionError` at the end of the class body, with every fault.
    """

    chart: ClassVar[Chart]

    @staticmethod
    def init(input: I, /) -> C:
        """The first context of a run."""
        raise NotImplementedError

    @staticmethod
    def result(context: C, /) -> O:
        """The result of a run that reached an ok final state."""
        raise NotImplementedError

    def __init_subclass__(
        cls, *, name: str = "", version: int = 1, trusted_modules: tuple[str, ...] = (), strict: bool = False
    ) -> None:
        super().__init_subclass__()
        types = next((typing.get_args(base) for base in getattr(cls, "__orig_bases__", ())), ())
        members = frozenset(vars(cls))
        header = Header(cls, name, version, types, trusted_modules, strict, caller()[0], members)
        bench = Bench(header)
        if _heirs(bench):
            settle(name or cls.__name__, tuple(bench.faults))
            return
        roots = _roots(cls)
        chart = build(bench, roots)
        for node in (node for top in roots for node in top.walk()):
            node.sealed = True
        settle(name or cls.__name__, judge(bench, chart))
        cls.chart = chart

    if not TYPE_CHECKING:  # mypy takes a class whose __new__ never returns for a function

        def __new__(cls, *_: Any, **__: Any) -> Any:
            raise UsageError(
                f"{cls.__name__} is a machine, not something to instantiate; start a run of it with "
                f"client.start({cls.__name__}, ...)"
            )


def _heirs(bench: Bench) -> bool:
    """States belong to one class: a machine that inherits another's would share them."""
    for base in bench.header.cls.__mro__[1:]:
        if base is not Machine and issubclass(base, Machine):
            what = f"it inherits from the machine {base.__name__}"
            remedy = "Inherit from Machine[...] alone; share functions and activities through the module"
            bench.fault("C121", f"class {bench.header.cls.__name__}", what, remedy)
            return True
    return False


def _roots(cls: type) -> list[Node]:
    """The states of the class that have no parent: one, unless the declaration is wrong."""
    nodes = (target_node(value) for value in vars(cls).values())
    return [node for node in nodes if isinstance(node, Node) and node.parent is None]
