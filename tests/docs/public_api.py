"""Every public name with what it takes and gives, as text: what `docs/reference/public-api.md` shows.

Rule: a module's public names are those of its ``__all__``. Which modules are public, and for whom, is said
here.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Generic, cast, get_origin

import attrs
import msgspec
from attrs import frozen

__all__ = ["PUBLIC", "Section", "imported", "listing", "not_public", "page", "public_names"]


@frozen
class Section:
    """Modules that are for one kind of reader; `names` where only some of a module's are meant."""

    title: str
    text: str
    modules: Mapping[str, tuple[str, ...]]


_ALL: tuple[str, ...] = ()

PUBLIC = (
    Section(
        "For programs",
        "Import these from `continuum_core`.",
        {"continuum_core": _ALL},
    ),
    Section(
        "For queries in Python",
        "Import these from `continuum_core.query`; what the client's calls give and take comes from it, too.",
        {
            "continuum_core.query": ("field", "RunQuery", "SortBy", "Term"),
            "continuum_core.client": ("Broadcast", "Count", "Wanted"),
        },
    ),
    Section(
        "For drawings",
        "Import these from `continuum_core.drawing`.",
        {"continuum_core.drawing": _ALL},
    ),
    Section(
        "For tests",
        "Import these from `continuum_core.testing`, and private servers from "
        "`continuum_core.testing.servers`. The kit for backends is run, not imported: see "
        "[](../howto/write-a-backend.md).",
        {"continuum_core.testing": _ALL, "continuum_core.testing.servers": _ALL},
    ),
    Section(
        "Errors",
        "Also those that programs meet seldom.",
        {"continuum_core.errors": _ALL},
    ),
    Section(
        "For backends",
        "What a backend may import: these modules and `continuum_core.errors`, nothing else. The port's "
        "version is `PORT_VERSION`.",
        {
            "continuum_core.clock": _ALL,
            "continuum_core.journal.protocol": _ALL,
            "continuum_core.journal.records": _ALL,
            "continuum_core.journal.commit": _ALL,
            "continuum_core.journal.checking": _ALL,
            "continuum_core.journal.cursor": _ALL,
            "continuum_core.journal.dealing": _ALL,
            "continuum_core.journal.rate": _ALL,
            "continuum_core.journal.gauges": _ALL,
            "continuum_core.journal.presence": _ALL,
            "continuum_core.journal.transactions": _ALL,
            "continuum_core.journal.carrying": _ALL,
            "continuum_core.journal.carriers": _ALL,
            "continuum_core.journal.effects": _ALL,
            "continuum_core.journal.fences": _ALL,
            "continuum_core.journal.waiters": _ALL,
            "continuum_core.journal.undisturbed": _ALL,
            "continuum_core.journal.replies": _ALL,
            "continuum_core.journal.blobs": _ALL,
            "continuum_core.journal.wakeups": _ALL,
            "continuum_core.journal.attributes": _ALL,
            "continuum_core.journal.searching": _ALL,
            "continuum_core.journal.selecting": _ALL,
            "continuum_core.journal.connect": _ALL,
            "continuum_core.journal.declared": _ALL,
        },
    ),
    Section(
        "For plugins",
        "What a plugin may import, beside what programs do. The hooks themselves are functions of "
        "`continuum_core.hooks.spec`; their version is `HOOKS_VERSION`.",
        {"continuum_core.hooks": _ALL},
    ),
    Section(
        "Met, never imported",
        "What the names above give and take. Their members may be relied on; where they live may not.",
        {
            "continuum_core.view": ("Step", "TaskView", "Waiting"),
            "continuum_core.interpreter.snapshot": (
                "Disposition",
                "Outcome",
                "OutcomeKind",
                "Snapshot",
                "Step",
            ),
            "continuum_core.interpreter.commands": (
                "Close",
                "CloseRuns",
                "Send",
                "StartActivity",
                "StartRun",
                "StartTimer",
            ),
            "continuum_core.definition.declare": (
                "Choice",
                "Final",
                "History",
                "Parallel",
                "Root",
                "State",
                "Target",
                "To",
            ),
            "continuum_core.definition.steps": (
                "Arm",
                "Branch",
                "Caught",
                "Do",
                "End",
                "Instead",
                "Pause",
                "Step",
                "Steps",
                "Wait",
            ),
            "continuum_core.definition.fault": ("Fault",),
        },
    ),
)

_HOOKS = "continuum_core.hooks.spec"
_WIDTH = 100
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def public_names() -> dict[str, set[str]]:
    """Module → the names that others may import from it."""
    found: dict[str, set[str]] = {}
    for section in PUBLIC[:-1]:
        for module, names in section.modules.items():
            found[module] = set(names or importlib.import_module(module).__all__)
    return found


def imported(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every name that a source takes from the core; "" for a module itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "continuum_core":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "continuum_core":
                    yield alias.name, ""


def not_public(source: str) -> list[tuple[str, str]]:
    """Of these, those that are none of the public names: others import names, and no modules."""
    public = public_names()
    return [(module, name) for module, name in imported(source) if name not in public.get(module, set())]


def page() -> str:
    """The whole page."""
    lines = [
        "# The public API on one page",
        "",
        "Every public name, with what it takes and gives; [](api.md) and [](journal.md) say what each is",
        "for. What is not here may change without notice. A test compares this page with the code: a change",
        "of the API is a change of this page, and of the changelog.",
        "",
    ]
    for section in PUBLIC:
        lines += [f"## {section.title}", "", section.text, ""]
        for module, names in section.modules.items():
            lines += [f"### {module}", "", "```text", *listing(module, names), "```", ""]
        if "continuum_core.hooks" in section.modules:
            lines += [f"### {_HOOKS}", "", "```text", *_hooks(), "```", ""]
    return "\n".join(lines[:-1]) + "\n"


def listing(module: str, names: tuple[str, ...] = ()) -> list[str]:
    """A module's public names, one or more lines each."""
    found = importlib.import_module(module)
    told: list[str] = []
    for name in sorted(names or found.__all__):
        told += _told(name, getattr(found, name))
    return told


def _hooks() -> list[str]:
    spec = importlib.import_module(_HOOKS)
    hooks = [name for name, one in vars(spec).items() if hasattr(one, f"{spec.PROJECT}_spec")]
    return [line for name in sorted(hooks) for line in _told(name, getattr(spec, name))]


def _told(name: str, thing: Any) -> list[str]:
    if inspect.isclass(thing):
        return _class(name, thing)
    if inspect.isroutine(thing):
        return _wrapped(f"{_kind(thing)} {name}", thing)
    if inspect.ismodule(thing):
        return [f"module {name}"]
    if isinstance(thing, (bool, int, float, str)):
        return [f"{name} = {thing!r}"]
    if get_origin(thing) is not None:  # how it looks differs from one Python to the next
        return [f"{name}: a type"]
    return [f"{name}: {type(thing).__name__}"]


def _kind(function: Any) -> str:
    return "async def" if inspect.iscoroutinefunction(function) else "def"


def _class(name: str, found: type[Any]) -> list[str]:
    bases = [base.__name__ for base in found.__bases__ if base not in (object, Generic)]
    head = f"class {name}" + (f"({', '.join(bases)})" if bases else "")
    if issubclass(found, enum.Enum):
        return [head, *(f"    {member.name} = {member.value!r}" for member in found)]
    fields = list(_fields(found))
    members = [head, *(f"    {line}" for line in fields)]
    named = {line.partition(":")[0] for line in fields}
    if not fields and _is_made(found):
        members += _indented(_wrapped("def __init__", found.__init__))
    for one, what in sorted(_members(found)):
        if one not in named:
            members += _indented(what)
    return members


def _is_made(found: type[Any]) -> bool:
    """It has a constructor of ours, its own or one that it inherits."""
    ours = (base for base in found.__mro__ if base.__module__.startswith("continuum_core"))
    makers = [base for base in ours if "__init__" in vars(base) and not getattr(base, "_is_protocol", False)]
    return bool(makers) and not getattr(found, "_is_protocol", False)


def _fields(found: type[Any]) -> Iterator[str]:
    if attrs.has(found):
        for field in attrs.fields(found):
            if not field.name.startswith("_"):
                default = field.default
                yield _field(field.name, field.type, default is not attrs.NOTHING, default)
    elif issubclass(found, msgspec.Struct):
        for one in msgspec.structs.fields(found):
            optional = not one.required
            yield _field(one.name, _annotation_of(found, one.name), optional, one.default)


def _annotation_of(found: type[Any], name: str) -> Any:
    for base in found.__mro__:
        if name in (notes := inspect.get_annotations(base)):
            return notes[name]
    return Any


def _field(name: str, kind: Any, optional: bool, default: Any) -> str:
    return f"{name}: {_annotation(kind)}" + (f" = {_default(default)}" if optional else "")


def _members(found: type[Any]) -> Iterator[tuple[str, list[str]]]:
    """Public methods, properties and class attributes, inherited ones of ours included."""
    seen: set[str] = set()
    for base in found.__mro__:
        if not base.__module__.startswith("continuum_core"):
            continue
        for name, raw in vars(base).items():
            if name.startswith("_") or name in seen or inspect.ismemberdescriptor(raw):
                continue
            seen.add(name)
            yield name, _member(name, raw)


def _member(name: str, raw: Any) -> list[str]:
    if isinstance(raw, property):
        returns = inspect.signature(cast(Any, raw.fget)).return_annotation
        return [f"{name}: {_annotation(returns)}  # property"]
    if isinstance(raw, (classmethod, staticmethod)):
        function: Any = cast(Any, raw).__func__
        return [f"@{type(raw).__name__}", *_wrapped(f"{_kind(function)} {name}", function)]
    if inspect.isfunction(raw):
        return _wrapped(f"{_kind(raw)} {name}", raw)
    if isinstance(raw, (bool, int, float, str)):
        return [f"{name} = {raw!r}"]
    return [f"{name}: {_plain(type(raw).__name__)}"]


# --- signatures -----------------------------------------------------------------------------------------


def _wrapped(head: str, function: Any) -> list[str]:
    """A signature on one line, or one parameter a line where that is too long."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return [f"{head}(…)"]
    parameters = list(_parameters(signature))
    returns = "" if signature.return_annotation is inspect.Signature.empty else signature.return_annotation
    tail = f" -> {_annotation(returns)}" if returns != "" else ""
    line = f"{head}({', '.join(parameters)}){tail}"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{head}(", *(f"    {parameter}," for parameter in parameters), f"){tail}"]


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    starred = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        stars = _STARS.get(parameter.kind.name, "")
        text = stars + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        yield text


def _annotation(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind is None:
        return "None"
    return _plain(inspect.formatannotation(kind))


def _default(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str, bytes, timedelta)):
        return _plain(repr(value))
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (tuple, frozenset)) and not value:
        return "()" if isinstance(value, tuple) else "frozenset()"
    return "…"


def _plain(text: str) -> str:
    """Without the modules that a type's text names: where it lives is not what it is."""
    return text.replace("datetime.", "").replace("typing.", "").replace("collections.abc.", "")


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
