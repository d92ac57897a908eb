"""Code that stands for another distribution: its functions live in another module."""

from collections.abc import Callable
from types import FunctionType

from continuum_core.definition.known import pure


def elsewhere(function: Callable[[str], str]) -> Callable[[str], str]:
    """The same function as if module `elsewhere` had defined it."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, {"__name__": "elsewhere"}, function.__name__)


@elsewhere
def shout(text: str) -> str:
    return text.upper()


@pure
@elsewhere
def whisper(text: str) -> str:
    return text.lower()
