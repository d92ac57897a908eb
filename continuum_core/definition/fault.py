"""A fault of a definition: a stable code, where, what, and what to do about it.

`CODES` is the authority for which codes exist. A code is never reused for another meaning; texts may
be improved at any time, so tools match codes and never texts.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from continuum_core.definition.chart import Place

__all__ = ["CODES", "DefinitionWarning", "Fault", "Severity"]


class Severity(enum.Enum):
    """An error refuses the definition; a warning lets it pass and says so."""

    ERROR = "error"
    WARNING = "warning"


_ERRORS = {
    "C101": "the machine has no usable name",
    "C102": "the machine's version is not a whole number from 1",
    "C103": "the machine does not state its three types",
    "C104": "the machine has no root, or several",
    "C105": "the root has another context type than the machine",
    "C106": "init is missing",
    "C107": "result is missing",
    "C108": "init, result or verdict has the wrong form",
    "C109": "a state is not kept under a name",
    "C110": "a state has two names",
    "C111": "a state's name is reserved",
    "C112": "a compound state has no initial child",
    "C113": "a compound state has several initial children",
    "C114": "a region of a parallel state is marked initial",
    "C115": "a parallel state has fewer than two regions",
    "C116": "a pseudo-state or final state stands where a region should",
    "C117": "a final state has what only other states have",
    "C118": "a choice has what only other states have",
    "C119": "a history has what only other states have",
    "C120": "a history's default is not valid",
    "C121": "a machine inherits from another machine",
    "C123": "a step of a sequence has no name of its own",
    "C124": "a sequence does not list steps",
    "C201": "a target is not a state",
    "C202": "a target belongs to another machine",
    "C203": "a target is the root",
    "C204": "targets cannot be active together",
    "C205": "two unguarded edges wait for the same",
    "C206": "an edge is shadowed by an earlier unguarded one",
    "C207": "an error class is shadowed by an earlier one",
    "C208": "an invoke does not handle every error",
    "C209": "an edge is declared twice",
    "C210": "a choice has no default",
    "C211": "an event is both deferred and handled in one state",
    "C212": "a delay is not a length of time above zero",
    "C213": "an event is not an event class",
    "C214": "an event class is not marked",
    "C215": "a function cannot be called as it will be",
    "C216": "a done edge waits for what never completes",
    "C219": "an invoke is not given an activity",
    "C220": "a key of error= is not an exception class",
    "C224": "a compensate leads nowhere",
    "C225": "two states that can be active together both compensate",
    "C230": "what a state remembers is said wrong, or twice",
    "C229": "a run continues as new with what is not its input",
    "C231": "what is answered is no question",
    "C232": "a question is taken without a reply",
    "C233": "how long a run may take is said twice",
    "C240": "a crew is given neither a machine nor, as each may be, an activity",
    "C241": "a limit is not a whole number in its range",
    "C242": "a parent-close policy is none",
    "C243": "two machines of child runs share a name",
    "C244": "a child run is given a key",
    "C301": "a state is unreachable",
    "C302": "a state is a trap",
    "C304": "eventless edges go round without changing anything",
    "C401": "the context type cannot be carried",
    "C402": "an input, result or verdict type cannot be carried",
    "C403": "an event class cannot be carried",
    "C404": "an activity's type cannot be carried",
    "C405": "two event classes share a name",
    "C406": "two activities share a name",
    "C407": "an activity's body is not annotated",
    "C408": "an activity's body has the wrong form",
    "C409": "an activity's policy does not fit",
    "C410": "two activities declare one queue differently",
    "C501": "a pure function reads a clock",
    "C502": "a pure function uses chance",
    "C503": "a pure function reads the environment",
    "C504": "a pure function uses files or a database",
    "C505": "a pure function uses the network",
    "C506": "a pure function uses processes, threads or an event loop",
    "C507": "a pure function sleeps",
    "C508": "a pure function prints or logs",
    "C509": "a pure function is a coroutine or a generator",
    "C510": "a pure function declares a global or nonlocal name",
    "C511": "a pure function changes what it captured",
    "C512": "a pure function changes the context or the event",
    "C513": "a pure function captures a mutable value",
    "C516": "a pure function uses a name that it will not find",
    "C517": "a pure function depends on the process it runs in",
    "C518": "a patch's name is not written out",
    "C601": "an upgrade does not start from an older version",
    "C602": "an upgrade leaves a state unmapped",
    "C603": "an upgrade names a state that the older version has not",
    "C604": "an upgrade leads to what a run cannot be in",
    "C605": "an upgrade leaves contexts unreadable",
    "C606": "a lock file cannot be used",
    "C701": "an attribute has no name that queries could use",
    "C702": "two attributes share a name",
    "C703": "an attribute's type cannot be searched",
}

_WARNINGS = {
    "C122": "a verdict is never used",
    "C217": "internal=True changes nothing here",
    "C221": "an assign uses the output of an activity that gives none",
    "C222": "an ancestor's edge can re-enter its own target",
    "C223": "two regions can leave their parallel state on one event",
    "C226": "a machine that compensates has nothing to undo",
    "C227": "an undo is never asked for",
    "C228": "an activity with an undo has no timeout",
    "C234": "an event that comes early is lost",
    "C235": "a timer that the run's deadline is before",
    "C238": "a checkpoint changes nothing",
    "C303": "no path leads to the end of the run",
    "C514": "a pure function calls code that nobody vouches for",
    "C515": "a function's source is not to be had",
    "C607": "an upgrade cannot be checked, for there is no lock file",
}

CODES: Mapping[str, str] = MappingProxyType(dict(sorted({**_ERRORS, **_WARNINGS}.items())))
"""Every code with its short title."""


def _severity(fault: Fault) -> Severity:
    return Severity.WARNING if fault.code in _WARNINGS else Severity.ERROR


def _known(_: object, attribute: object, value: str) -> None:
    if value not in CODES:
        raise ValueError(f"{value} is not a code of a fault")


@frozen
class Fault:
    """One fault.

    :ivar code: what kind of fault, see `CODES`.
    :ivar where: the state, edge or function concerned, in the words of the declaration.
    :ivar what: one sentence on what is wrong.
    :ivar remedy: one sentence on what to do.
    :ivar place: file and line of the declaration.
    """

    code: str = field(validator=_known)
    where: str
    what: str
    remedy: str
    place: Place | None = None
    severity: Severity = field(init=False, eq=False)
    strict: bool = field(default=False, eq=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        severity = Severity.ERROR if self.strict else _severity(self)
        object.__setattr__(self, "severity", severity)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place is not None else ""
        return f"{place}{self.code} {self.where}: {self.what}. {self.remedy}."


class DefinitionWarning(UserWarning):
    """A definition passed with a fault of severity warning; `fault` is that fault."""

    def __init__(self, machine: str, fault: Fault) -> None:
        super().__init__(machine, fault)
        self.machine = machine
        self.fault = fault

    def __str__(self) -> str:
        fault = self.fault
        return f"{self.machine}: {fault.code} {fault.where}: {fault.what}. {fault.remedy}."
