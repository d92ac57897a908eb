"""The file of an archive: JSON Lines, written safely, read strictly.

Format 1. Every line is one JSON object with `v`, `kind`, `check` and `body`; `check` is the BLAKE2b (16
bytes, hexadecimal) of the body as it is written. Kinds, in this order: one ``archive`` (where and when), any
number of ``definition`` and then of ``run``, one ``end`` (how many runs). The body of a run is the JSON of
its `RunImage`.

Rule: a file is written beside its name and synced, and only a whole one gets the name. It is read to its end
before anything of it is used: a line that is damaged, or missing, is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import msgspec
from attrs import define, field
from msgspec import Raw, Struct

from continuum_core.clock import Micros
from continuum_core.errors import CallerError, UsageError
from continuum_core.journal.carrying import RunImage, check_image
from continuum_core.journal.records import Definition

__all__ = ["ArchiveHead", "DamagedArchive", "Found", "NewFile", "read_archive"]

FORMAT = 1
_SUFFIX = ".partial"

Kind = Literal["archive", "definition", "run", "end"]
Body = TypeVar("Body")


class DamagedArchive(CallerError):
    """A line of an archive cannot be read. `line` counts from 1."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(path, line, what)
        self.path = path
        self.line = line
        self.what = what

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}"


class ArchiveHead(Struct, frozen=True):
    """Where an archive comes from, and the journal's time when it was begun."""

    namespace: str
    at: Micros


class ArchiveEnd(Struct, frozen=True):
    runs: int


class _Line(Struct, frozen=True):
    v: int
    kind: Kind
    check: str
    body: Raw


_encode = msgspec.json.Encoder().encode
_BODIES: dict[Kind, msgspec.json.Decoder[ArchiveHead | Definition | RunImage | ArchiveEnd]] = {
    "archive": msgspec.json.Decoder(ArchiveHead),
    "definition": msgspec.json.Decoder(Definition),
    "run": msgspec.json.Decoder(RunImage),
    "end": msgspec.json.Decoder(ArchiveEnd),
}
_line = msgspec.json.Decoder(_Line)


def _check(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()


# --- written


@define
class NewFile:
    """A file in the making; leaving it without `keep` removes what was written.

    :ivar size: bytes so far.
    """

    path: Path
    size: int = 0
    _file: int = field(default=-1)

    def __enter__(self) -> NewFile:
        """Raises UsageError where the file is there already, OSError."""
        if self.path.exists():
            raise UsageError(
                f"{self.path} is there already; an archive is never written over: name another file"
            )
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.open(self._beside, flags, 0o600)  # payloads are whoever's may read the journal
        return self

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + _SUFFIX)

    def line(self, kind: Kind, body: bytes) -> None:
        written = _encode(_Line(FORMAT, kind, _check(body), Raw(body))) + b"\n"
        left = memoryview(written)
        while left:
            left = left[os.write(self._file, left) :]
        self.size += len(written)

    def keep(self) -> None:
        """The file is whole: sync it, give it its name, and sync that."""
        os.fsync(self._file)
        os.link(self._beside, self.path)  # unlike a rename, it never takes the place of another file
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._beside.unlink(missing_ok=True)


# --- read


@define
class Found:
    """What one reading of an archive gives, line by line.

    :ivar head: None where its line is damaged.
    """

    path: Path
    damaged: list[DamagedArchive] = field(factory=list[DamagedArchive])
    head: ArchiveHead | None = None
    definitions: list[Definition] = field(factory=list[Definition])
    runs: int = 0

    def note(self, line: int, what: str) -> None:
        self.damaged.append(DamagedArchive(self.path, line, what))


def read_archive(found: Found) -> Iterator[tuple[int, RunImage]]:
    """The images that can be read, with their lines; what cannot is noted in `found.damaged`.

    Raises UsageError for a file that cannot be opened.
    """
    ended = number = 0
    try:
        with found.path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                try:
                    body = _read(found.path, number, text)
                except DamagedArchive as damage:
                    found.damaged.append(damage)
                    continue
                if ended:
                    found.damaged.append(
                        DamagedArchive(found.path, number, "it stands behind the archive's end")
                    )
                elif isinstance(body, RunImage):
                    found.runs += 1
                    yield number, body
                elif isinstance(body, Definition):
                    found.definitions.append(body)
                elif isinstance(body, ArchiveHead):
                    found.head = body
                else:
                    ended = number
                    if body.runs != found.runs and not found.damaged:
                        what = f"it ends after {found.runs} runs and says {body.runs}: lines are missing"
                        found.note(number, what)
    except OSError as error:
        raise UsageError(f"{found.path} cannot be read: {error.strerror or error}") from error
    if not ended:
        found.damaged.append(
            DamagedArchive(found.path, number + 1, "the file ends here, without its last line")
        )
    if found.head is None and not found.damaged:
        found.note(1, "the archive does not say where it comes from")


def _read(path: Path, number: int, text: bytes) -> ArchiveHead | Definition | RunImage | ArchiveEnd:
    """The body of a line. Raises DamagedArchive."""
    if not text.endswith(b"\n"):
        raise DamagedArchive(path, number, "it is cut off")
    try:
        line = _line.decode(text)
        if line.v != FORMAT:
            what = f"it has format {line.v}; this release reads {FORMAT}: upgrade continuum-core"
            raise DamagedArchive(path, number, what)
        if _check(bytes(line.body)) != line.check:
            raise DamagedArchive(path, number, "its body is not what was written (its check differs)")
        body = _BODIES[line.kind].decode(line.body)
        if isinstance(body, RunImage):
            check_image(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedArchive(path, number, f"it is no line of an archive: {error}") from error
    except UsageError as error:
        raise DamagedArchive(path, number, str(error)) from error
    return body
