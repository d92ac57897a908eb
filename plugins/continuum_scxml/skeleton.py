"""An outline as Python code that declares the machine, with a marked gap for every function.

Every gap says ``GAP``. A guard, reducer or activity that was not filled in raises NotImplementedError: such
a run is parked, or the attempt fails, and nothing is decided by accident. Texts of the file stand in the
code as comments and names alone (see `names`); before it is given out, the code is parsed, and holds
nothing but imports, classes, functions and calls on the machine's own states.
"""

from __future__ import annotations

import ast
import re

from attrs import define, field

from continuum_core.texts import text_flaw
from continuum_scxml.edge_code import EdgeCode
from continuum_scxml.gaps import Gaps
from continuum_scxml.names import literal, machine_name, string
from continuum_scxml.outline import FormatRefused, Outline
from continuum_scxml.state_code import StateCode
from continuum_scxml.vocabulary import IMPORTED, OTHERS, Vocabulary, is_builtin_error

__all__ = ["skeleton"]

_METHODS_OF_MACHINE = (
    "@staticmethod",
    "def init(i: Input) -> Context:",
    "    return Context()  # GAP",
    "",
    "@staticmethod",
    "def result(c: Context) -> Result:",
    "    return Result()  # GAP",
)


def skeleton(outline: Outline, source: str) -> str:
    """The code of a module that declares the outline's machine.

    :param source: what it was made from, in a word, such as ``SCXML``.

    Raises FormatRefused where no valid code comes of it.
    """
    text = _Module(outline, source).text()
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


def _machine(stored: str, name: str) -> list[str]:
    """The machine of child runs, of which the document has the name alone."""
    return [
        "",
        "",
        f"class {name}(Machine[Context, Context, None], name={string(machine_name(stored))}):",
        '    """GAP: the machine of these child runs; import it, or declare it here."""',
        "",
        "    s = root(Context)",
        "    begun = s.choice(initial=True)",
        "    ended = s.final()",
        "    begun.always(ended)",
        "",
        "    @staticmethod",
        "    def init(i: Context) -> Context:",
        "        return i",
        "",
        "    @staticmethod",
        "    def result(c: Context) -> None:",
        f'        raise NotImplementedError("{name}")  # GAP',
    ]


@define(eq=False)
class _Module:
    outline: Outline
    source: str
    words: Vocabulary = field(init=False)

    def text(self) -> str:
        self.words = words = Vocabulary.of(self.outline)
        states, gaps = StateCode(words), Gaps(words.names, words.events)
        edges = EdgeCode(words, gaps)
        body = states.lines(self.outline.root)
        does = [edges.lines(part) for part in self.outline.root.walk()]
        root = words.states[self.outline.root.id]
        body += [f"{name} = {root}.choice()  # GAP: see its edges" for name, _ in edges.branches]
        does += [edges.branch(branch) for branch in (*states.branches, *edges.branches)]
        if self.outline.deadline is not None:
            does.insert(0, [f"{root}.deadline({edges.length(root, self.outline.deadline)})"])
        body += ["", *_METHODS_OF_MACHINE, *(line for lines in does if lines for line in ("", *lines))]
        stored = string(machine_name(self.outline.name))
        base = f"Machine[Context, Input, Result], name={stored}, version={self.outline.version}"
        lines = [
            *self._classes(),
            *self._activities(),
            *(line for name in words.machines for line in _machine(name, words.machines[name])),
            *gaps.lines,
            "",
            "",
            f"class {words.machine}({base}):",
        ]
        lines += [f"    {line}".rstrip() for line in body]
        return "\n".join([*self._head("\n".join(lines)), *lines]) + "\n"

    def _head(self, code: str) -> list[str]:
        used = [name for name in IMPORTED if re.search(rf"\b{name}\b", code)]
        ours = [name for name in used if name not in OTHERS]
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
        for event, name in self.words.events.items():
            mark = "@event" if event == name or not event.strip() else f"@event(name={string(event)})"
            lines += ["", "", mark, f"class {name}:", '    """GAP: its fields."""']
        for error, name in self.words.errors.items():
            if not is_builtin_error(error):
                known = [] if error == name else [f"    # {literal(error)}"]
                lines += ["", "", f"class {name}(Exception):", *known, '    """GAP: when."""']
        return lines

    def _activities(self) -> list[str]:
        lines: list[str] = []
        named, undos = self.words.activities, self.words.undos
        invokes = [invoke for part in self.outline.root.walk() for invoke in part.invokes]
        invoked = {invoke.activity for invoke in invokes if not invoke.machine}
        for activity, name in named.items():
            undo = undos[activity]
            flaw = text_flaw(activity)
            policy = [] if activity == name or flaw else [f"name={string(activity)}"]
            policy += [] if undo is None else [f"undo={named[undo]}"]
            given = "Context" if activity in invoked else "None"  # an undo is given what the other one gave
            lines += ["", ""]
            lines += [] if undo is None else ["# GAP: timeout=, or undoing may wait for it for ever"]
            lines += [f"# GAP: it was named {literal(activity)}, which {flaw}"] if flaw else []
            lines += [f"@activity({', '.join(policy)})", f"async def {name}(value: {given}) -> None:"]
            lines += [
                '    """GAP: what it does, and the types it takes and gives."""',
                f'    raise NotImplementedError("{name}")',
            ]
        return lines
