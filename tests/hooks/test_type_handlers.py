"""Classes that the codec is taught by plugins."""

from __future__ import annotations

import types
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import frozen

from continuum_core.codec import codec_for, describe, schema
from continuum_core.codec.handled import TypeHandler, provide
from continuum_core.errors import CodecError, PayloadRefused
from continuum_core.hooks import Plugins, hookimpl, loading


class Span:
    """A class of somebody else's: no fields that anybody declared."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.first, self.last) == (other.first, other.last)

    def __hash__(self) -> int:
        return hash((self.first, self.last))


SPANS = TypeHandler(Span, "span", lambda s: [s.first, min(s.last, 99)], lambda found: Span(*found))
ADDRESSES = TypeHandler(IPv4Address, "ipv4", str, IPv4Address)


@pytest.fixture(autouse=True)
def teaching() -> Iterator[None]:
    provide(lambda: [SPANS, ADDRESSES])
    yield
    provide(loading._type_handlers)


def test_a_class_that_is_taught_is_carried_wherever_a_type_may_stand() -> None:
    @frozen
    class Host:
        address: IPv4Address
        ports: tuple[Span, ...] = ()
        other: Span | None = None

    codec = codec_for(Host)
    for host in (
        Host(IPv4Address("10.0.0.1")),
        Host(IPv4Address("10.0.0.1"), (Span(1, 2), Span(3, 4)), Span(5, 6)),
    ):
        data = codec.encode(host)
        assert codec.decode(data) == host
        assert codec.parse(data) == host
    assert data == b'{"address":"10.0.0.1","ports":[[1,2],[3,4]],"other":[5,6]}'
    [body] = describe(Host)["classes"].values()
    assert body["fields"][0] == {"name": "address", "type": {"handled": "ipv4"}}
    assert schema(IPv4Address) == {"title": "ipv4"}


def test_what_a_handler_does_not_give_back_equal_is_refused_with_its_path() -> None:
    codec = codec_for(tuple[Span, ...])
    with pytest.raises(PayloadRefused, match=r"\$\[1\].*handler of span does not give it back equal"):
        codec.encode((Span(1, 2), Span(1, 100)))
    with pytest.raises(PayloadRefused, match="expected Span, got int"):
        codec_for(Span).encode(1)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(PayloadRefused, match="handler of span raised TypeError"):
        codec.decode(b"[[1,2,3]]")
    broken = TypeHandler(Span, "span", lambda s: object(), lambda found: Span(1, 1))
    provide(lambda: [broken])

    class Other(Span):
        """A subclass is another class."""

    with pytest.raises(CodecError, match="cannot be carried"):
        codec_for(Other)


def test_two_handlers_of_one_class_are_refused() -> None:
    provide(lambda: [ADDRESSES, TypeHandler(IPv4Address, "mine", str, IPv4Address)])
    with pytest.raises(CodecError, match="two plugins handle IPv4Address"):
        codec_for(dict[str, IPv4Address])


def test_handlers_come_from_the_installed_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    class Teaches:
        @hookimpl
        def type_handlers(self) -> list[TypeHandler]:
            return [TypeHandler(types.SimpleNamespace, "bag", vars, lambda d: types.SimpleNamespace(**d))]

    monkeypatch.setattr(loading, "installed", lambda: Plugins(Teaches()))
    provide(loading._type_handlers)
    bag: Any = types.SimpleNamespace(a=1)
    codec = codec_for(list[types.SimpleNamespace])
    assert codec.decode(codec.encode([bag])) == [bag]
