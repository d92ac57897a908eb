"""Exceptions as data ⇄ their stored form."""

from __future__ import annotations

from continuum_core.envelope import (
    FailureBody,
    read,
    write,
)
from continuum_core.interpreter.events import Failure

__all__ = ["decode_failure", "encode_failure", "failure_body", "failure_value"]


def failure_body(failure: Failure) -> FailureBody:
    return FailureBody(
        failure.type, failure.message, failure.bases, failure.traceback, failure.details, failure.unsure
    )


def failure_value(body: FailureBody) -> Failure:
    return Failure(body.type, body.message, tuple(body.bases), body.traceback, body.details, body.unsure)


def encode_failure(failure: Failure) -> bytes:
    return write(failure_body(failure))


def decode_failure(data: bytes) -> Failure:
    return failure_value(read(FailureBody, data))
