"""From `--app MODULE[:MACHINE]` to machine classes: imports what the user named, and tells what went wrong.

Names come from the command line or the user's own environment, never from a journal. Errors at import are
shown with the user's frames alone: the frames of the import system and of this library say nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from attrs import frozen

import continuum_core.errors as _errors
from continuum_core.arguments import suggestion
from continuum_core.cli.output import say
from continuum_core.definition.declare import Machine
from continuum_core.definition.fault import DefinitionWarning
from continuum_core.errors import DefinitionError, UnknownMachine, UsageError
from continuum_core.hooks.loading import installed
from continuum_core.watch import machine_facts

__all__ = [
    "ImportFault",
    "MachineClass",
    "Wanted",
    "import_app",
    "load",
    "load_resources",
    "machine_named",
    "machines_of",
    "one_machine",
]

MachineClass = type[Machine[Any, Any, Any]]

_OWN = str(Path(_errors.__file__).parent)


class ImportFault(UsageError):
    """A module that the user named cannot be imported; the text shows where, in the user's own code."""


@frozen
class Wanted:
    """What ``MODULE[:MACHINE]`` asks for; `machine` is "" for all of them."""

    module: str
    machine: str

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Raises ImportFault for what cannot name a module."""
        module, _, machine = text.partition(":")
        if module.endswith(".py") or "/" in module or os.sep in module:
            dotted = module.removesuffix(".py").strip("./").replace("/", ".").replace(os.sep, ".")
            raise ImportFault(f"{module!r} is a file's name; name the module instead: {dotted}")
        if not all(part.isidentifier() for part in module.split(".")):
            raise ImportFault(f"{text!r} is no module; write MODULE or MODULE:MACHINE, as shop.orders:Order")
        return cls(module, machine)


def _warn(text: str) -> None:
    say(f"warning: {text}", stderr=True, style="yellow")


def load(apps: Sequence[str] | None, warn: Callable[[str], object] = _warn) -> list[MachineClass]:
    """The machine classes that these apps name, in their order, each once.

    :param warn: is given the text of each warning about a definition; prints to stderr unless given.

    Raises ImportFault, DefinitionError, UnknownMachine; UsageError for a module without machines,
    PluginRefused.
    """
    found: dict[MachineClass, None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DefinitionWarning)
        for app in apps or ():
            wanted = Wanted.parse(app)
            module = import_app(wanted.module)
            found.update(dict.fromkeys(_chosen(module, wanted)))
    for each in caught:
        if isinstance(each.message, DefinitionWarning):
            warn(f"{each.message.machine}: {each.message.fault}")
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    registered = installed().machine_registered
    if registered is not None:
        for machine in found:
            registered(machine=machine_facts(machine.chart))
    return list(found)


def one_machine(app: str) -> MachineClass:
    """The machine of ``MODULE:MACHINE``; of ``MODULE`` where that has one only. Raises like `load`."""
    found = load([app])
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{app}:{machine.__name__}" for machine in found)
    raise UsageError(f"{app} has {len(found)} machines; say which: {names}")


def machine_named(machines: Sequence[MachineClass], name: str) -> MachineClass:
    """The newest of these machines that has this name, the stored or the class's. Raises UnknownMachine."""
    found = [m for m in machines if name in (m.chart.name, m.__name__)]
    if not found:
        known = sorted({m.chart.name for m in machines})
        error = UnknownMachine(name, known)
        if hint := suggestion(name, known):
            error.add_note(hint)
        raise error
    return max(found, key=lambda m: m.chart.version)


def machines_of(module: ModuleType) -> list[MachineClass]:
    """The machines that a module, or for a package a module in it, defines; others' are left out."""
    inside = module.__name__ + "."
    return [m for m in _all_machines(module) if f"{m.__module__}.".startswith(inside)]


def _all_machines(module: ModuleType) -> Iterable[MachineClass]:
    for value in cast("dict[str, object]", vars(module)).values():
        if isinstance(value, type) and issubclass(value, Machine) and "chart" in value.__dict__:
            yield value


def _chosen(module: ModuleType, wanted: Wanted) -> list[MachineClass]:
    everything = list(_all_machines(module))
    if wanted.machine:
        return [machine_named(everything, wanted.machine)]
    own = machines_of(module)
    if own:
        return own
    others = sorted({f"{m.__module__}:{m.__name__}" for m in everything})
    hint = f"; it imports machines from elsewhere: name those, --app {others[0]}" if others else ""
    raise UsageError(f"module {wanted.module!r} defines no machine (a subclass of Machine){hint}")


def load_resources(text: str) -> Mapping[Any, Any]:
    """The mapping of resources that ``MODULE:NAME`` names. Raises ImportFault, UsageError."""
    wanted = Wanted.parse(text)
    value: Any = getattr(import_app(wanted.module), wanted.machine or "resources", None)
    if not _is_mapping(value):
        raise UsageError(f"{text} is no mapping of resource types to functions that open them")
    resources: Mapping[Any, Any] = value
    return resources


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


# --- importing ---------------------------------------------------------------------------------------


def import_app(name: str) -> ModuleType:
    """Import a module that a user named, from the current directory first.

    Raises DefinitionError as the module did, ImportFault for anything else that went wrong.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)  # noqa: TID251 - the user typed this name
    except DefinitionError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _missing(name, error.name) from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _missing(name: str, part: str) -> ImportFault:
    folder = Path.cwd().joinpath(*part.split(".")[:-1])
    known = [path.stem for path in folder.glob("*.py") if path.stem.isidentifier()]
    known += [path.parent.name for path in folder.glob("*/__init__.py")]
    hint = suggestion(part.rpartition(".")[2], sorted(known))
    fault = ImportFault(f"no module {part!r} here, in {Path.cwd()}, or among what is installed")
    if hint:
        fault.add_note(hint)
    return fault


def _broken(name: str, error: BaseException) -> ImportFault:
    if isinstance(error, SystemExit):
        what = [f"SystemExit: {error.code} (put what the program does below `if __name__ == '__main__':`)"]
    else:
        what = "".join(traceback.format_exception_only(error)).rstrip().split("\n")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _of_user(frame.filename)]
    shown = "".join(traceback.format_list(frames)).rstrip("\n").split("\n") if frames else []
    return ImportFault("\n".join([f"module {name!r} cannot be imported:", *shown, *what]))


def _of_user(filename: str) -> bool:
    return not (filename.startswith((_OWN, "<frozen ")) or f"importlib{os.sep}" in filename)
