"""How a body asks for the transaction that its outcome is committed in: by the annotation of a parameter.

    @activity()
    async def book(order: Order, *, connection: Transaction[psycopg.AsyncConnection]) -> str: ...

For type checkers `Transaction[X]` is X. Which X there are is the journal's business; nothing here knows one.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args, get_origin

__all__ = ["Transaction", "transaction_kind"]

T = TypeVar("T")


class _Marker:
    """Distinguishes such an annotation."""

    def __repr__(self) -> str:
        return "in the outcome's transaction"


_MARKER = _Marker()

Transaction = Annotated[T, _MARKER]
"""The annotation of a keyword-only parameter: a connection of this type, in an open transaction.

What the body writes on it is committed together with the task's outcome, once, or not at all. The body
neither commits nor rolls back.
"""


def transaction_kind(hint: Any) -> Any:
    """The class that an annotation of this form asks for; None for any other."""
    if get_origin(hint) is not Annotated:
        return None
    kind, *marks = get_args(hint)
    if _MARKER not in marks:
        return None
    return get_origin(kind) or kind  # AsyncConnection[dict[str, Any]] is an AsyncConnection
