"""What is known to be pure, and what is known not to be, with what to do instead.

The tables name modules and functions of the standard library and of libraries that are often met.
What is in neither table is nobody's: user code of the machine's own package is read, other code is
reported as not vouched for, unless it is marked with `pure` or its module is trusted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, TypeVar

__all__ = [
    "MUTATORS",
    "PURE_MODULES",
    "Impurity",
    "home",
    "impurity",
    "is_marked",
    "method_impurity",
    "pure",
    "qualified",
    "within",
]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__continuum_pure__"

Impurity = tuple[str, str, str]
"""A fault's code, what the thing does, and the remedy."""

_ACTIVITY = "Move it into an activity, and give its result to assign="
_CLOCK = (
    "C501",
    "reads a clock",
    "Use now() or today() of continuum_core: the time of the record, on every replay",
)
_CHANCE = ("C502", "uses chance", "Use random() or uuid4() of continuum_core: the same on every replay")
_ENVIRONMENT = (
    "C503",
    "reads the environment of the process",
    "Read it where the run is started and carry it in the input, or read it in an activity",
)
_FILES = ("C504", "uses files or a database", _ACTIVITY)
_NETWORK = ("C505", "uses the network", _ACTIVITY)
_PROCESS = ("C506", "uses processes, threads or an event loop", _ACTIVITY)
_SLEEP = ("C507", "sleeps", "Wait with .after(timedelta(...), target): a timer that survives restarts")
_LOG = ("C508", "prints or logs", "Leave it out: the journal records every step; log in activities")
_LOCAL = (
    "C517",
    "depends on the process it runs in",
    "Write out what it does with plain expressions; of hash() and id(), compare the values themselves",
)
_SETS = ("C512", "changes an object", "Return a new value: attrs.evolve(c, ...), dataclasses.replace(c, ...)")

_BY_MODULE: dict[str, Impurity] = {
    **dict.fromkeys(("time",), _CLOCK),
    **dict.fromkeys(("random", "secrets", "numpy.random"), _CHANCE),
    **dict.fromkeys(("os", "platform", "sys", "locale", "getpass", "pwd", "contextvars", "gc"), _ENVIRONMENT),
    **dict.fromkeys(
        (
            "io",
            "genericpath",
            "shutil",
            "tempfile",
            "glob",
            "fileinput",
            "sqlite3",
            "dbm",
            "shelve",
            "mmap",
            "zipfile",
            "tarfile",
        ),
        _FILES,
    ),
    **dict.fromkeys(("dbm", "shelve", "mmap", "zipfile", "tarfile"), _FILES),
    **dict.fromkeys(("psycopg", "psycopg2", "asyncpg", "sqlalchemy", "redis", "pymongo", "boto3"), _FILES),
    **dict.fromkeys(
        (
            "socket",
            "ssl",
            "http",
            "urllib.request",
            "ftplib",
            "smtplib",
            "imaplib",
            "poplib",
            "xmlrpc",
            "select",
        ),
        _NETWORK,
    ),
    **dict.fromkeys(("requests", "httpx", "aiohttp", "urllib3", "grpc", "websockets"), _NETWORK),
    **dict.fromkeys(
        (
            "subprocess",
            "multiprocessing",
            "threading",
            "_thread",
            "asyncio",
            "concurrent",
            "signal",
            "queue",
            "trio",
        ),
        _PROCESS,
    ),
    **dict.fromkeys(("logging", "structlog", "loguru", "warnings"), _LOG),
}

_BY_NAME: dict[str, Impurity] = {
    "datetime.datetime.now": _CLOCK,
    "datetime.datetime.utcnow": _CLOCK,
    "datetime.datetime.today": _CLOCK,
    "datetime.date.today": _CLOCK,
    "uuid.uuid1": _CHANCE,
    "uuid.uuid4": _CHANCE,
    "uuid.uuid6": _CHANCE,
    "uuid.uuid7": _CHANCE,
    "uuid.uuid8": _CHANCE,
    "uuid.getnode": _ENVIRONMENT,
    "time.sleep": _SLEEP,
    "asyncio.sleep": _SLEEP,
    "asyncio.tasks.sleep": _SLEEP,
    "builtins.open": _FILES,
    "io.open": _FILES,
    "builtins.print": _LOG,
    "pprint.pprint": _LOG,
    "builtins.input": _ENVIRONMENT,
    "builtins.breakpoint": _ENVIRONMENT,
    **dict.fromkeys(
        [
            f"builtins.{name}"
            for name in ("eval", "exec", "compile", "__import__", "globals", "locals", "hash", "id")
        ],
        _LOCAL,
    ),
    "builtins.setattr": _SETS,
    "builtins.delattr": _SETS,
    "builtins.object.__setattr__": _SETS,
    "builtins.object.__delattr__": _SETS,
    "importlib.import_module": _LOCAL,
    "decimal.setcontext": _ENVIRONMENT,
}

_PATH_VERBS = frozenset(
    {
        "chmod",
        "cwd",
        "exists",
        "glob",
        "home",
        "is_dir",
        "is_file",
        "iterdir",
        "mkdir",
        "open",
        "owner",
        "read_bytes",
        "read_text",
        "rename",
        "replace",
        "resolve",
        "rglob",
        "rmdir",
        "samefile",
        "stat",
        "symlink_to",
        "touch",
        "unlink",
        "write_bytes",
        "write_text",
    }
)

PURE_MODULES = frozenset(
    {
        "abc",
        "array",
        "attr",
        "attrs",
        "base64",
        "binascii",
        "bisect",
        "builtins",
        "calendar",
        "cmath",
        "collections",
        "colorsys",
        "continuum_core",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "json",
        "keyword",
        "math",
        "msgspec",
        "ntpath",
        "numbers",
        "operator",
        "pathlib",
        "posixpath",
        "re",
        "statistics",
        "string",
        "stringprep",
        "struct",
        "textwrap",
        "types",
        "typing",
        "typing_extensions",
        "unicodedata",
        "urllib.parse",
        "uuid",
        "zlib",
        "zoneinfo",
    }
)

MUTATORS = frozenset(
    {
        "__delattr__",
        "__delitem__",
        "__setattr__",
        "__setitem__",
        "add",
        "append",
        "appendleft",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "intersection_update",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "setdefault",
        "sort",
        "subtract",
        "symmetric_difference_update",
        "update",
        "write",
        "writelines",
    }
)


def pure(function: F) -> F:
    """Vouch that a helper is pure: same arguments, same value, and nothing else happens.

    Machines may then call it from anywhere; its source is not read.
    """
    setattr(function, _MARK, True)
    return function


def is_marked(thing: object) -> bool:
    """Whether `pure` was put on it."""
    return getattr(thing, _MARK, False) is True


def home(thing: object) -> str:
    """The module something belongs to, by its public name."""
    owner = getattr(thing, "__self__", None)
    objclass = getattr(thing, "__objclass__", None)
    if isinstance(thing, ModuleType):
        module = thing.__name__
    elif isinstance(owner, ModuleType):
        module = str(getattr(thing, "__module__", None) or owner.__name__)
    elif objclass is not None:
        module = objclass.__module__
    elif owner is not None:
        module = (owner if isinstance(owner, type) else type(owner)).__module__
    elif isinstance(thing, FunctionType) and "__name__" in thing.__globals__:
        # Not `__module__`: attrs, from Python 3.13 on, writes the name of each class it makes into evolve's.
        module = str(thing.__globals__["__name__"])
    else:
        module = str(getattr(thing, "__module__", None) or type(thing).__module__)
    if module in ("posix", "nt"):
        return "os"
    # The C halves of the standard library carry an underscore that no user ever wrote.
    top, dot, rest = module.partition(".")
    public = top.lstrip("_")
    return public + dot + rest if top.startswith("_") and public in sys.stdlib_module_names else module


def qualified(thing: object) -> str:
    """The full name of something callable, such as ``datetime.datetime.now``."""
    owner = getattr(thing, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        cls = owner if isinstance(owner, type) else type(owner)
        return f"{home(cls)}.{cls.__qualname__}.{getattr(thing, '__name__', '?')}"
    name = (
        getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__
    )
    return f"{home(thing)}.{name}"


def within(module: str, names: frozenset[str] | tuple[str, ...]) -> bool:
    """Whether a module is one of these or inside one of them."""
    parts = module.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def impurity(thing: object) -> Impurity | None:
    """What is known against something; None where nothing is."""
    name = qualified(thing)
    if name in _BY_NAME:
        return _BY_NAME[name]
    module, _, verb = name.rpartition(".")
    if module.startswith("pathlib.") and verb in _PATH_VERBS:
        return _FILES
    parts = home(thing).split(".")
    for count in range(len(parts), 0, -1):
        found = _BY_MODULE.get(".".join(parts[:count]))
        if found is not None:
            return found
    return None


def method_impurity(cls: type, verb: str) -> Impurity | None:
    """What is known against a method of instances of this class."""
    if any(base.__module__.split(".")[0] == "pathlib" for base in cls.__mro__) and verb in _PATH_VERBS:
        return _FILES
    return None if home(cls) == "builtins" else impurity(cls)
