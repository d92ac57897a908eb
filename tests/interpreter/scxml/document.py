"""SCXML text as a tree of nodes that know where they stand in their file."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from attrs import define, field

SCXML = "http://www.w3.org/2005/07/scxml"


@define(eq=False)
class Node:
    """An element: its local name, attributes, element children and own text."""

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    namespace: str = ""
    children: list[Node] = field(factory=list)
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
        found = []
        for child in self.children:
            if child.tag == tag:
                found.append(child)
            if child.tag not in ("scxml", "content", "invoke"):
                found += child.all(tag)
        return found

    def element(self) -> ElementTree.Element:
        """The same as an ElementTree element, which is what XML data is in the Python datamodel."""
        made = ElementTree.Element(self.tag, self.attributes)
        made.text = self.text
        made.extend(child.element() for child in self.children)
        return made


def parse(text: str) -> Node:
    """The root node of an XML text."""
    top = Node("", {}, 0, 0)
    open_nodes = [top]
    parser = expat.ParserCreate(namespace_separator=" ")

    def begin(name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        node = Node(tag, attributes, parser.CurrentLineNumber, parser.CurrentColumnNumber, namespace)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def text_of(data: str) -> None:
        open_nodes[-1].text += data

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.CharacterDataHandler = text_of
    parser.Parse(text.lstrip("\ufeff").encode(), True)
    return top.children[0]
