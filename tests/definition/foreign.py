"""Code that stands for another distribution: its functions say that they live elsewhere."""

from continuum_core.definition.known import pure


def shout(text: str) -> str:
    return text.upper()


@pure
def whisper(text: str) -> str:
    return text.lower()


shout.__module__ = whisper.__module__ = "elsewhere"
