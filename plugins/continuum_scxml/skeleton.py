"""An outline as Python code that declares the machine, with a marked gap for every function.

Every gap says ``GAP``. A guard, reducer or activity that was not filled in raises NotImplementedError: such
a run is parked, or the attempt fails, and nothing is decided by accident. Texts of the file stand in the
code as comments and names alone (see `names`); before it is given out, the code is parsed, and holds
nothing but imports, classes, functions and calls on the machine's own states.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable

from attrs import define, evolve, field

from continuum_core.definition.chart import Kind, TriggerKind
from continuum_scxml.gaps import Gaps
from continuum_scxml.names import Names, literal, machine_name, string
from continuum_scxml.outline import HISTORIES, Edge, FormatRefused, Invoke, Outline, Part, histories_last
from continuum_scxml.words import length_code

__all__ = ["skeleton"]

_IMPORTED = (
    "AnyEvent",
    "Failure",
    "Machine",
    "Message",
    "activity",
    "event",
    "frozen",
    "root",
    "timedelta",
    "to",
)
_OWN = ("Context", "Input", "Result", "chart", "init", "result", "verdict")
_METHODS = {
    Kind.PARALLEL: "parallel",
    Kind.FINAL: "final",
    Kind.CHOICE: "choice",
    Kind.SHALLOW_HISTORY: "history",
    Kind.DEEP_HISTORY: "history",
}
_WIDTH = 100
_CAN_STAY = (TriggerKind.EVENT, TriggerKind.ANY)
"""What kinds of edges can be declared as internal."""


def skeleton(outline: Outline, source: str) -> str:
    """The code of a module that declares the outline's machine.

    :param source: what it was made from, in a word, such as ``SCXML``.

    Raises FormatRefused where no valid code comes of it.
    """
    text = _Writing(outline, source).module()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormatRefused(f"the document gives no valid code: {error}") from error
    _looked_through(tree)
    return text


def _looked_through(tree: ast.Module) -> None:
    """A last look at what was written: only what a skeleton consists of."""
    plain = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if not all(isinstance(each, plain) for each in tree.body[1:]):
        raise FormatRefused("the document gives code that is no skeleton")


@define(eq=False)
class _Writing:
    outline: Outline
    source: str
    names: Names = field(init=False)
    states: dict[str, str] = field(factory=dict[str, str])  # id → attribute
    events: dict[str, str] = field(factory=dict[str, str])  # event → class
    errors: dict[str, str] = field(factory=dict[str, str])
    activities: dict[str, str] = field(factory=dict[str, str])
    machine: str = ""
    gaps: Gaps = field(init=False)
    body: list[str] = field(factory=list[str])
    branches: list[str] = field(factory=list[str])  # choices that the document has no state for

    def module(self) -> str:
        self._named()
        states = self._states(self.outline.root)
        edges = [line for part in self.outline.root.walk() for line in self._spaced(part)]
        inside = [*states, *self.branches, "", *_METHODS_OF_MACHINE, *edges]
        name = machine_name(self.outline.name)
        base = f"Machine[Context, Input, Result], name={string(name)}, version={self.outline.version}"
        lines = [
            *self._classes(),
            *self._activities(),
            *self.gaps.lines,
            "",
            "",
            f"class {self.machine}({base}):",
        ]
        lines += [f"    {line}".rstrip() for line in inside]
        return "\n".join([*self._head("\n".join(lines)), *lines]).rstrip("\n") + "\n"

    def _named(self) -> None:
        self.names = Names((*_IMPORTED, *_OWN))
        parts = list(self.outline.root.walk())
        edges = [edge for part in parts for edge in part.edges]
        for part in parts:
            self.states[part.id] = self.names.state("s" if part.name == "root" else part.name)
        self.machine = self.names.type(self.outline.name)
        actions = [each for part in parts for each in (*part.entry, *part.exit, *part.opening)]
        actions += [each for edge in edges for each in edge.actions]
        events = [edge.event for edge in edges if edge.trigger is TriggerKind.EVENT]
        events += [name for part in parts for name in part.deferred]
        events += [action.event for action in actions if action.event is not None]
        self.events = {name: self.names.type(name) for name in dict.fromkeys(events)}
        errors = dict.fromkeys(e.error for e in edges if e.trigger is TriggerKind.INVOKE_ERROR)
        self.errors = {name: name if _is_builtin_error(name) else self.names.type(name) for name in errors}
        activities = dict.fromkeys(invoke.activity for part in parts for invoke in part.invokes)
        self.activities = {name: self.names.state(name) for name in activities}
        self.gaps = Gaps(self.names, self.events)

    # --- above the machine ----------------------------------------------------------------------------

    def _head(self, code: str) -> list[str]:
        used = [name for name in _IMPORTED if re.search(rf"\b{name}\b", code)]
        ours = [name for name in used if name not in ("frozen", "timedelta")]
        return [
            f'"""A machine\'s skeleton, made from {self.source}: fill in what is marked GAP."""',
            "",
            "from __future__ import annotations",
            "",
            *(["from datetime import timedelta", ""] if "timedelta" in used else []),
            "from attrs import frozen",
            "",
            f"from continuum_core import {', '.join(ours)}",
            *([""] if self.outline.notes else []),
            *(f"# Left out: {literal(note)}" for note in self.outline.notes),
        ]

    def _classes(self) -> list[str]:
        lines: list[str] = []
        kept = [f"    # {literal(name)}: {literal(value)}" for name, value in self.outline.data]
        for name, what in (
            ("Input", "What a run is started with."),
            ("Context", "What a run remembers."),
            ("Result", "What a run results in."),
        ):
            lines += ["", "", "@frozen", f"class {name}:", f'    """{what} GAP: its fields."""']
            lines += kept if name == "Context" else []
        for event, name in self.events.items():
            mark = "@event" if event == name or not event.strip() else f"@event(name={string(event)})"
            lines += ["", "", mark, f"class {name}:", '    """GAP: its fields."""']
        for error, name in self.errors.items():
            if not _is_builtin_error(error):
                known = [] if error == name else [f"    # {literal(error)}"]
                lines += ["", "", f"class {name}(Exception):", *known, '    """GAP: when."""']
        return lines

    def _activities(self) -> list[str]:
        lines: list[str] = []
        for activity, name in self.activities.items():
            mark = "@activity()" if activity == name else f"@activity(name={string(activity)})"
            lines += ["", "", mark, f"async def {name}(value: Context) -> None:"]
            lines += [
                '    """GAP: what it does, and the types it takes and gives."""',
                f'    raise NotImplementedError("{name}")',
            ]
        return lines

    # --- the states -----------------------------------------------------------------------------------

    def _states(self, part: Part) -> list[str]:
        lines = [f"{self.states[part.id]} = root(Context)"]
        return [*lines, *(line for child in histories_last(part) for line in self._state(part, child))]

    def _state(self, above: Part, part: Part) -> list[str]:
        arguments: list[str] = []
        if part.kind is Kind.DEEP_HISTORY:
            arguments.append("deep=True")
        if part.kind in HISTORIES and self._needs_default(above, part):
            arguments.append(f"default={self._targets(part.default)}")
        if above.kind is Kind.COMPOUND and self._enters(above) == part.id:
            arguments.append("initial=True")
        if not part.ok:
            arguments.append("ok=False")
        name = self.states[part.id]
        made = f"{name} = {self.states[above.id]}.{_METHODS.get(part.kind, 'state')}({', '.join(arguments)})"
        lines = [f"# {literal(note)}" for note in part.notes]
        if part.name != name:
            lines.append(f"# {literal(part.name)} in the document")
        if part.kind in HISTORIES and part.opening:
            lines.append("# GAP: what the document does on the way to the default has no place here")
        inside = [line for child in histories_last(part) for line in self._state(part, child)]
        if part.kind is Kind.COMPOUND:
            self._opening(part)
        return [*lines, made, *inside]

    def _needs_default(self, above: Part, part: Part) -> bool:
        real = tuple(child.id for child in above.children if child.kind not in HISTORIES)
        usual = real if above.kind is Kind.PARALLEL else above.initial
        return part.default != usual or part.id in above.initial

    def _enters(self, part: Part) -> str | None:
        """The child that is marked initial; None where a choice of our own has to lead further."""
        children = {child.id for child in part.children}
        plain = len(part.initial) == 1 and part.initial[0] in children and not part.opening
        return part.initial[0] if plain else None

    def _opening(self, part: Part) -> None:
        """A way in that no mark can say: to states further down, to several, or with actions."""
        if self._enters(part) is not None or not part.initial:
            return
        start = self.names.state(f"{part.id}_start")
        self.branches.append(f"{start} = {self.states[part.id]}.choice(initial=True)")
        edge = Edge(TriggerKind.ALWAYS, targets=part.initial, actions=part.opening)
        self.body += _call(f"{start}.always", self._arguments(start, edge))

    def _targets(self, targets: Iterable[str]) -> str:
        named = [self.states[target] for target in targets]
        return named[0] if len(named) == 1 else f"({', '.join(named)})"

    # --- the edges ------------------------------------------------------------------------------------

    def _spaced(self, part: Part) -> list[str]:
        lines = self._of_part(part)
        return ["", *lines] if lines else []

    def _of_part(self, part: Part) -> list[str]:
        me = self.states[part.id]
        if part is self.outline.root:
            self._opening(part)
        lines, self.body = self.body, []
        for verb, actions in (("entry", part.entry), ("exit", part.exit)):
            words = self.gaps.actions(f"{me}_{verb}", actions, ())
            if words:
                lines += _call(f"{me}.{verb}", words)
        if part.deferred:
            lines += _call(f"{me}.defer", [self.events[name] for name in part.deferred])
        written: set[int] = set()
        for edge in part.edges:
            if edge.trigger in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR):
                if edge.invoke not in written:
                    lines += self._invoke(part, edge.invoke)
                    written.add(edge.invoke)
                continue
            lines += [f"# {literal(note)}" for note in edge.notes]
            if edge.internal and edge.trigger not in _CAN_STAY:
                lines.append(f"# GAP: the document stays inside {me} here; this edge leaves and enters it")
            lines += self._edge(me, edge)
        for slot in range(len(part.invokes)):
            if slot not in written:
                lines += self._invoke(part, slot)
        return [*lines, *self._taken()]

    def _taken(self) -> list[str]:
        lines, self.body = self.body, []
        return lines

    def _edge(self, me: str, edge: Edge) -> list[str]:
        match edge.trigger:
            case TriggerKind.EVENT:
                return _call(f"{me}.on", self._arguments(me, edge, self.events[edge.event]))
            case TriggerKind.ANY:
                return _call(f"{me}.on", self._arguments(me, edge, "AnyEvent"))
            case TriggerKind.AFTER:
                length = edge.delay if isinstance(edge.delay, int) else None
                first = self.gaps.delay(me, str(edge.delay)) if length is None else length_code(length)
                return _call(f"{me}.after", self._arguments(me, edge, first))
            case _:
                return _call(f"{me}.{edge.trigger.value}", self._arguments(me, edge))

    def _arguments(self, me: str, edge: Edge, *first: str) -> list[str]:
        words = list(first)
        if edge.targets:
            words.append(self._targets(edge.targets))
        given = self._given(edge)
        if edge.guard is not None:
            words.append(f"when={self.gaps.guard(me, edge.guard, given)}")
        words += self.gaps.actions(me, edge.actions, given, keywords=True)
        if edge.internal and edge.trigger in _CAN_STAY:
            words.append("internal=True")
        return words

    def _given(self, edge: Edge) -> tuple[str, ...]:
        """The type of what a function of the edge is given beside the context."""
        types = {
            TriggerKind.EVENT: self.events.get(edge.event, ""),
            TriggerKind.ANY: "object",
            TriggerKind.INVOKE_DONE: "None",
            TriggerKind.INVOKE_ERROR: "Failure",
        }
        return (types[edge.trigger],) if edge.trigger in types else ()

    # --- invokes --------------------------------------------------------------------------------------

    def _invoke(self, part: Part, slot: int) -> list[str]:
        me, invoke = self.states[part.id], part.invokes[slot]
        ends = [edge for edge in part.edges if edge.invoke == slot]
        done = [edge for edge in ends if edge.trigger is TriggerKind.INVOKE_DONE]
        errors = [edge for edge in ends if edge.trigger is TriggerKind.INVOKE_ERROR]
        words = [self.activities[invoke.activity], "lambda c: c", *self._done(me, invoke, done)]
        lines = [f"# {literal(note)}" for edge in ends for note in edge.notes]
        lines += [f"# {literal(note)}" for note in invoke.notes]
        if invoke.input:
            lines.append(f"# GAP: the input is {literal(invoke.input)}")
        if errors:
            words.append(f"error={self._errors(me, errors)}")
        if not any(edge.error == "Exception" and edge.guard is None for edge in errors):
            lines.append("# GAP: error= must say where every other Exception leads")
        if invoke.key is not None:
            words.append(f"key={self.gaps.key(me, invoke.key)}")
        return [*lines, *_call(f"{me}.invoke", words)]

    def _done(self, me: str, invoke: Invoke, edges: list[Edge]) -> list[str]:
        """What `done=` is. Guards on it have no place in an invoke: a choice decides behind it."""
        if not edges:
            return []
        if len(edges) == 1 and edges[0].guard is None:
            words = [f"done={self._targets(edges[0].targets)}"] if edges[0].targets else []
            return [*words, *self.gaps.actions(me, edges[0].actions, ("None",), keywords=True)]
        return [f"done={self._branch(f'{me}_done', edges)}"]

    def _errors(self, me: str, edges: list[Edge]) -> str:
        pairs: list[str] = []
        for name in dict.fromkeys(edge.error for edge in edges):
            ways = [edge for edge in edges if edge.error == name]
            if len(ways) > 1:
                pairs.append(f"{self.errors[name]}: {self._branch(f'{me}_failed', ways)}")
                continue
            (way,) = ways
            target = self._targets(way.targets) if way.targets else "None"
            single = len(way.targets) == 1 and way.guard is None and not way.actions
            words = self._arguments(me, evolve(way, targets=()))
            whole = target if single else f"to({', '.join([target, *words])})"
            pairs.append(f"{self.errors[name]}: {whole}")
        return "{" + ", ".join(pairs) + "}"

    def _branch(self, name: str, edges: list[Edge]) -> str:
        """A choice with these edges; its guards and reducers are given the context alone."""
        start = self.names.state(name)
        self.branches.append(f"{start} = {self.states[self.outline.root.id]}.choice()  # GAP: see its edges")
        for edge in edges:
            way = evolve(edge, trigger=TriggerKind.ALWAYS, internal=False)
            self.body += _call(f"{start}.always", self._arguments(start, way))
        return start


def _call(name: str, words: list[str]) -> list[str]:
    """A call on one line, or with a line for each argument."""
    line = f"{name}({', '.join(words)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name}(", *(f"    {word}," for word in words), ")"]


def _is_builtin_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


_METHODS_OF_MACHINE = (
    "@staticmethod",
    "def init(i: Input) -> Context:",
    "    return Context()  # GAP",
    "",
    "@staticmethod",
    "def result(c: Context) -> Result:",
    "    return Result()  # GAP",
)
