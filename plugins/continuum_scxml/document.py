"""XML text as a tree of nodes that know where they stand in their file. Nothing outside the text is read.

A document type declaration is refused before anything of it is used: entities are how a small file becomes a
huge one, and how a file reads another. Size and depth are bounded.
"""

from __future__ import annotations

from xml.parsers import expat

from attrs import define, field

from continuum_scxml.outline import FormatRefused

__all__ = ["DEPTH", "SCXML", "SIZE", "Node", "parse"]

SCXML = "http://www.w3.org/2005/07/scxml"

SIZE = 1 << 20
"""The longest document that is read, in bytes."""

DEPTH = 64
"""The deepest nesting that is read."""


@define(eq=False)
class Node:
    """An element: its local name, attributes, element children and own text.

    :ivar attributes: by name; those of a namespace as ``URI name``.
    """

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    namespace: str = ""
    children: list[Node] = field(factory=list["Node"])
    text: str = ""

    def get(self, name: str) -> str | None:
        """An attribute, or None where it is missing or empty."""
        return self.attributes.get(name) or None

    def named(self, *tags: str) -> list[Node]:
        """The children of these names, in document order."""
        return [child for child in self.children if child.tag in tags]

    def first(self, tag: str) -> Node | None:
        """The first child of this name."""
        return next(iter(self.named(tag)), None)

    def all(self, tag: str) -> list[Node]:
        """Every descendant of this name, in document order; not into nested documents."""
        found: list[Node] = []
        for child in self.children:
            if child.tag == tag:
                found.append(child)
            if child.tag not in ("scxml", "content", "invoke"):
                found += child.all(tag)
        return found


def parse(text: str | bytes) -> Node:
    """The root node of an XML text. Raises FormatRefused for what is not XML, or not safe to read."""
    data = text.lstrip("\ufeff").encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > SIZE:
        raise FormatRefused(f"the document has {len(data):,} bytes; at most {SIZE:,} are read")
    top = Node("", {}, 0, 0)
    open_nodes = [top]
    # A text was decoded already, whatever its declaration says.
    parser = expat.ParserCreate("utf-8" if isinstance(text, str) else None, namespace_separator=" ")

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(open_nodes) > DEPTH:
            raise FormatRefused(f"line {parser.CurrentLineNumber}: elements are nested deeper than {DEPTH}")
        namespace, _, tag = name.rpartition(" ")
        node = Node(tag, attributes, parser.CurrentLineNumber, parser.CurrentColumnNumber, namespace)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def end(_: str) -> None:
        node = open_nodes.pop()
        node.text = "".join(pieces.pop(id(node), ()))

    def characters(data: str) -> None:
        pieces.setdefault(id(open_nodes[-1]), []).append(data)

    def refuse(*_: object) -> None:
        raise FormatRefused("a document type declaration (<!DOCTYPE …>) is refused: take it out of the file")

    pieces: dict[int, list[str]] = {}
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise FormatRefused(f"this is no XML: {error}") from error
    except (LookupError, ValueError) as error:  # an encoding that there is not, or that does not fit
        raise FormatRefused(f"the document's encoding cannot be read: {error}") from error
    return top.children[0]
