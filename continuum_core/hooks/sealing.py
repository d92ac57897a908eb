"""How a payload is sealed: a short head that names its payload codecs, and what they made of it.

0x1f format kind version (8 bytes) tags, with commas \\n bytes

Rules:

- *A payload names its codecs by tag, and a tag is looked up among the codecs that are loaded.* Nothing is
  imported or called by a stored name.
- *What a payload is, is bound to it*: its head, namespace, run, kind, version and whatever else tells it from
  another are handed to each codec; one that authenticates refuses a payload that was put in another's place.
- *What cannot be opened is not lost*: it is handed on as `Unopened`, with the reason, and written back as it
  was.
- *Plain payloads stay readable* beside sealed ones, unless a codec is `required`: a journal may be sealed
  from some day on.
"""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from continuum_core.errors import JournalUnavailable, PayloadLocked
from continuum_core.hooks.contributions import PayloadCodec
from continuum_core.hooks.plugins import PluginRefused, Plugins
from continuum_core.unopened import FIXED, FORMAT, MARK, Head, Unopened, is_sealed

__all__ = ["Kind", "Pipeline", "Place", "pipeline_of"]

_TEXT = "sealed:"
_TAG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_TAG = 16
_MEMBERS = ("tag", "order", "writes", "required", "encode", "decode", "digest")
_NOBODY = UUID(int=0)


class Kind(enum.IntEnum):
    """What a payload is. The numbers are stored: never renumber."""

    SNAPSHOT = 1
    RECORD = 2
    ORDER = 3  # the body of an order, which becomes a record whose version nobody knows yet
    DELIVERY = 4
    TASK = 5
    DETAILS = 6
    FAILURE = 7
    OUTCOME = 8
    RESULT = 9
    CAUSE = 10
    REPLY = 11
    MEMBER = 12  # what came of a member of a crew


class Place(Struct, frozen=True, gc=False):
    """Where a payload belongs.

    :ivar run_id: of results, which are shared among runs, the nil id.
    :ivar version: of the run, where the payload belongs to one version of it, else 0.
    :ivar other: what else tells it from others of its kind: the id of a delivery, the key of a result.
    """

    kind: Kind
    namespace: str
    run_id: UUID = _NOBODY
    version: int = 0
    other: bytes = b""

    def bound(self, head: bytes) -> bytes:
        """These facts and the payload's head, as no other facts give them."""
        namespace = self.namespace.encode()
        lengths = len(head).to_bytes(2) + len(namespace).to_bytes(2)
        return b"continuum-sealed" + lengths + head + namespace + self.run_id.bytes + self.other


def _whole(plugin: str, codec: PayloadCodec) -> tuple[str, PayloadCodec]:
    """The pair again. Raises PluginRefused where the codec lacks something, for its author to add."""
    if lacking := [name for name in _MEMBERS if not hasattr(codec, name)]:
        raise PluginRefused(
            f"plugin {plugin!r}: its payload codec {type(codec).__name__} has no {', '.join(lacking)}; "
            "continuum_core.hooks.PayloadCodec says what each is"
        )
    return plugin, codec


class Pipeline:
    """The payload codecs of a worker or client, in order.

    Raises PluginRefused for an object that is no payload codec, for two codecs of one tag, and for a tag that
    is none.
    """

    def __init__(self, codecs: Iterable[tuple[str, PayloadCodec]]) -> None:
        self._codecs: dict[str, PayloadCodec] = {}
        whole = [_whole(plugin, codec) for plugin, codec in codecs]
        for plugin, codec in sorted(whole, key=lambda each: (each[1].order, each[1].tag)):
            tag = codec.tag
            if not 0 < len(tag) <= _LONGEST_TAG or not _TAG.issuperset(tag):
                raise PluginRefused(f"plugin {plugin!r}: a payload codec's tag cannot be {tag!r}")
            if tag in self._codecs:
                raise PluginRefused(f"plugin {plugin!r}: another payload codec has the tag {tag!r}")
            self._codecs[tag] = codec
        self._writing = [codec for codec in self._codecs.values() if codec.writes]
        self._required = [codec.tag for codec in self._writing if codec.required]
        self._tags = ",".join(codec.tag for codec in self._writing).encode()

    def __bool__(self) -> bool:
        return bool(self._codecs)

    def seal(self, data: bytes, place: Place) -> bytes:
        """What is stored for a payload; nothing stays nothing, and what is sealed stays as it is.

        Raises JournalUnavailable where a codec cannot write: then work waits, as if the store were away.
        """
        if not data or not self._writing:
            return bytes(data)
        if is_sealed(data):  # an `Unopened` on its way back
            return bytes(data)
        head = bytes((MARK, FORMAT, place.kind)) + place.version.to_bytes(8) + self._tags + b"\n"
        bound = place.bound(head)
        made = data
        for codec in self._writing:
            try:
                made = codec.encode(made, bound)
            except Exception as error:
                raise JournalUnavailable(f"payload codec {codec.tag} cannot write: {error}") from error
        return head + made

    def open(self, data: bytes, place: Place) -> bytes:
        """The payload that was sealed, or an `Unopened`. A snapshot's version is the caller's to check."""
        try:
            return self._open(data, place)
        except PayloadLocked as error:
            return Unopened(data, str(error))

    def _open(self, data: bytes, place: Place) -> bytes:
        if isinstance(data, Unopened):  # its blob is missing: there is nothing to open, and it says why
            return data
        if not is_sealed(data):
            if data and self._required:
                raise PayloadLocked(f"a stored {_word(place)} is plain, and {self._required[0]} is required")
            return data
        head = Head.read(data)
        if head.kind != place.kind or head.version != place.version:
            raise PayloadLocked(f"a stored {_word(place)} was put in the place of another payload")
        lacking = [tag for tag in self._required if tag not in head.tags]
        if lacking:
            what = f"a stored {_word(place)} was written without {lacking[0]}, which is required"
            raise PayloadLocked(what)
        bound, made = place.bound(head.data), data[len(head.data) :]
        for tag in reversed(head.tags):
            codec = self._codecs.get(tag)
            if codec is None:
                loaded = ", ".join(self._codecs)
                raise PayloadLocked(
                    f"a stored {_word(place)} needs payload codec {tag!r}; configured here: {loaded}"
                )
            try:
                made = codec.decode(made, bound)
            except PayloadLocked as error:
                raise PayloadLocked(f"a stored {_word(place)} cannot be opened: {error}") from error
            except Exception as error:
                raise PayloadLocked(f"a stored {_word(place)} cannot be opened by {tag}: {error}") from error
        return made

    @staticmethod
    def version(data: bytes) -> int | None:
        """The version that a sealed payload says it belongs to; None for a plain one."""
        if not is_sealed(data) or len(data) < FIXED:
            return None
        return int.from_bytes(data[3:FIXED])

    @staticmethod
    def kind(data: bytes) -> int | None:
        """The kind that a sealed payload says it has; None for a plain one."""
        return data[2] if is_sealed(data) and len(data) >= FIXED else None

    @property
    def required(self) -> bool:
        """Whether plain payloads are refused."""
        return bool(self._required)

    # --- texts and digests -------------------------------------------------------------------------------

    def seal_text(self, text: str, place: Place) -> str:
        """A text for a column that keeps text."""
        sealed = self.seal(text.encode(), place)
        return _TEXT + base64.b64encode(sealed).decode() if is_sealed(sealed) else text

    def open_text(self, text: str, place: Place) -> str:
        """The text that was sealed, or why it cannot be shown."""
        if not text.startswith(_TEXT):
            return text
        try:
            opened = self.open(base64.b64decode(text[len(_TEXT) :], validate=True), place)
        except binascii.Error:
            return text  # somebody's own words
        return f"({opened.reason})" if isinstance(opened, Unopened) else opened.decode(errors="replace")

    def digest(self, data: bytes) -> bytes:
        """A digest that tells nothing of what it was made of, where a codec has a key."""
        for codec in reversed(self._writing):
            made = codec.digest(data)
            if made is not None:
                return made
        return data


def _word(place: Place) -> str:
    return place.kind.name.lower()


def pipeline_of(plugins: Plugins) -> Pipeline:
    """The payload codecs that plugins contribute. Raises PluginRefused."""
    hook = plugins.payload_codecs
    return Pipeline([] if hook is None else hook.demanded())
