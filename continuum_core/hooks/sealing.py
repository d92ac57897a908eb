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
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from msgspec import Struct

from continuum_core.errors import PayloadCodecFailed, PayloadLocked
from continuum_core.hooks.contributions import PayloadCodec
from continuum_core.hooks.plugins import PluginRefused, Plugins
from continuum_core.unopened import FIXED, FORMAT, MARK, Head, Unopened, is_sealed

__all__ = ["Kind", "Pipeline", "Place", "pipeline_of"]

_TEXT = "sealed:"
_TAG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_TAG = 16
_DIGEST = 16
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


def _plain(plugin: str) -> str:
    return f"plugin {plugin!r}"


def _check_shape(whose: str, codec: Any) -> None:
    """Raises PluginRefused where the codec lacks something, or has it wrong, for its author to mend."""
    name = type(codec).__name__
    if lacking := [member for member in _MEMBERS if not hasattr(codec, member)]:
        raise PluginRefused(
            f"{whose}: its payload codec {name} has no {', '.join(lacking)}; "
            "continuum_core.hooks.PayloadCodec says what each is"
        )
    tag = codec.tag
    if not isinstance(tag, str) or not 0 < len(tag) <= _LONGEST_TAG or not _TAG.issuperset(tag):
        raise PluginRefused(
            f"{whose}: a payload codec's tag cannot be {tag!r}: 1 to {_LONGEST_TAG} of a-z 0-9 -"
        )
    if not isinstance(codec.order, int | float) or isinstance(codec.order, bool):
        raise PluginRefused(
            f"{whose}: payload codec {tag!r} has the order {codec.order!r}, and must have a number"
        )
    for member in ("writes", "required"):
        if not isinstance(getattr(codec, member), bool):
            raise PluginRefused(f"{whose}: `{member}` of payload codec {tag!r} must be True or False")
    for member in ("encode", "decode", "digest"):
        if not callable(getattr(codec, member)):
            raise PluginRefused(f"{whose}: `{member}` of payload codec {tag!r} must be a function")


class Pipeline:
    """The payload codecs of a worker or client, in order.

    :param codecs: each with the name of its plugin.
    :param whose: a plugin's name → the plugin as errors name it.

    Raises PluginRefused for an object that is no payload codec, and for two codecs of one tag.
    """

    def __init__(
        self, codecs: Iterable[tuple[str, PayloadCodec]], whose: Callable[[str], str] = _plain
    ) -> None:
        self._codecs: dict[str, PayloadCodec] = {}
        self._owners: dict[str, str] = {}
        given = [(whose(plugin), codec) for plugin, codec in codecs]
        for owner, codec in given:
            _check_shape(owner, codec)
        for owner, codec in sorted(given, key=lambda each: (each[1].order, each[1].tag)):
            tag = codec.tag
            if tag in self._codecs:
                other = self._owners[tag]
                raise PluginRefused(f"{owner}: another payload codec has the tag {tag!r}: that of {other}")
            self._codecs[tag] = codec
            self._owners[tag] = owner
        self._writing = [codec for codec in self._codecs.values() if codec.writes]
        self._required = [codec.tag for codec in self._writing if codec.required]
        self._tags = ",".join(codec.tag for codec in self._writing).encode()

    def __bool__(self) -> bool:
        return bool(self._codecs)

    def seal(self, data: bytes, place: Place) -> bytes:
        """What is stored for a payload; nothing stays nothing, and what is sealed stays as it is.

        Raises PayloadCodecFailed where a codec cannot write.
        """
        if not data or not self._writing:
            return bytes(data)
        if is_sealed(data):  # an `Unopened` on its way back
            return bytes(data)
        head = bytes((MARK, FORMAT, place.kind)) + place.version.to_bytes(8) + self._tags + b"\n"
        bound = place.bound(head)
        made: Any = data
        for codec in self._writing:
            try:
                made = codec.encode(made, bound)
            except Exception as error:
                raise self._failed(codec, f"{type(error).__name__}: {error}") from error
            if not isinstance(made, bytes):
                raise self._failed(codec, f"its encode gave {_type(made)}, and must give bytes")
        sealed: bytes = head + made
        return sealed

    def _failed(self, codec: PayloadCodec, reason: str) -> PayloadCodecFailed:
        return PayloadCodecFailed(codec.tag, self._owners[codec.tag], reason)

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
        bound = place.bound(head.data)
        made: Any = data[len(head.data) :]
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
            if not isinstance(made, bytes):
                raise PayloadLocked(
                    f"a stored {_word(place)} cannot be opened by {tag} of {self._owners[tag]}: its decode "
                    f"gave {_type(made)}, and must give bytes"
                )
        opened: bytes = made
        return opened

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
        """A digest that tells nothing of what it was made of, where a codec has a key.

        Raises PayloadCodecFailed.
        """
        for codec in reversed(self._writing):
            try:
                made: Any = codec.digest(data)
            except Exception as error:
                raise self._failed(codec, f"{type(error).__name__}: {error}") from error
            if made is None:
                continue
            if not isinstance(made, bytes) or len(made) != _DIGEST:
                shown = f"{len(made)} bytes" if isinstance(made, bytes) else _type(made)
                raise self._failed(codec, f"its digest gave {shown}, and must give {_DIGEST} bytes or None")
            keyed: bytes = made
            return keyed
        return data


def _type(answer: object) -> str:
    return "None" if answer is None else f"an object of type {type(answer).__name__}"


def _word(place: Place) -> str:
    return place.kind.name.lower()


def pipeline_of(plugins: Plugins) -> Pipeline:
    """The payload codecs that plugins contribute. Raises PluginRefused."""
    hook = plugins.payload_codecs
    return Pipeline([] if hook is None else hook.demanded(), plugins.whose)
