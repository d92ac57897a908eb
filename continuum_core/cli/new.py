"""The verb `new`: a whole distribution for an author to begin with, a backend or a plugin.

What it writes are the files in `templates`, with the names filled in; nothing else of the author's disk is
touched, and nothing that is there is written over.
"""

from __future__ import annotations

import enum
import importlib.util
import keyword
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from continuum_core.cli.options import AsJson, Debug
from continuum_core.cli.output import print_json, say
from continuum_core.errors import UsageError
from continuum_core.hooks.loading import GROUP as PLUGINS
from continuum_core.hooks.spec import HOOKS_VERSION
from continuum_core.journal.connect import GROUP as BACKENDS
from continuum_core.journal.protocol import PORT_VERSION

__all__ = ["Kind", "new"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST = 40
_PACKAGE = "package"  # the folder of the templates that gets the package's name
_ENDING = ".tmpl"


class Kind(enum.Enum):
    """What can be begun."""

    BACKEND = "backend"
    PLUGIN = "plugin"


_GROUPS = {Kind.BACKEND: BACKENDS, Kind.PLUGIN: PLUGINS}


def new(
    kind: Annotated[Kind, typer.Argument(metavar="backend|plugin", help="What it is to be.")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The scheme of a backend's URLs, a plugin's name; the distribution is continuum-NAME.",
        ),
    ],
    directory: Annotated[
        Path, typer.Option("--directory", "-d", metavar="DIR", help="Where the new folder goes.")
    ] = Path(),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a new distribution: code, tests that run at once, entry point.

    Its folder is continuum-NAME; one that is there already is left alone.
    """
    words = _words(kind, name)
    target = directory / words["distribution"]
    if target.exists():
        raise UsageError(f"{target} is there already: choose another name or --directory, or move it away")
    written = [_write(target / path, text) for path, text in _filled(kind, words)]
    if as_json:
        print_json({"folder": str(target), "files": [str(path) for path in written]})
        return
    say(f"{target}: {len(written)} files")
    say(f"next:\n  cd {target}\n  pip install -e '.[test]'\n  pytest")


def _words(kind: Kind, name: str) -> Mapping[str, str]:
    """What the templates are filled with. Raises UsageError for a name that will not do."""
    bare = name.removeprefix("continuum-")
    if bare != name:
        raise UsageError(f"the distribution is called continuum-NAME by itself: write {bare!r}")
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r} will not do as a name: write letters a-z, digits and single hyphens, a letter first, "
            f"{_LONGEST} characters at most, such as my-store"
        )
    function = name.replace("-", "_")
    package = f"continuum_{function}"
    if importlib.util.find_spec(package) is not None:
        raise UsageError(f"a package {package} is installed here already: choose another name")
    if any(point.name == name for point in entry_points(group=_GROUPS[kind])):
        raise UsageError(f"a {kind.value} {name!r} is installed here already: choose another name")
    return {
        "name": name,
        "distribution": f"continuum-{name}",
        "package": package,
        "function": f"{function}_" if keyword.iskeyword(function) else function,
        "title": "".join(part.capitalize() for part in name.split("-")),
        "version": version("continuum-core"),
        "port_version": str(PORT_VERSION),
        "hooks_version": str(HOOKS_VERSION),
    }


def _filled(kind: Kind, words: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Every file's path below the new folder, and its text."""
    root = files("continuum_core.cli") / "templates" / kind.value
    for path, template in _templates(root, Path()):
        parts = [words["package"] if part == _PACKAGE else part for part in path.parts]
        yield Path(*parts), Template(template.read_text(encoding="utf-8")).substitute(words)


def _templates(folder: Traversable, path: Path) -> Iterator[tuple[Path, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        elif entry.name.endswith(_ENDING):
            yield path / entry.name.removesuffix(_ENDING), entry


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    return path
