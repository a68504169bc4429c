"""Whether models that are not on this machine may be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_allowed: ContextVar[bool] = ContextVar("downloads_allowed", default=True)

REFUSED = "it is downloaded by harness run, not by an estimate"


def allowed() -> bool:
    """Return whether a model may be downloaded now."""
    return _allowed.get()


@contextmanager
def without_downloads() -> Iterator[None]:
    """Let what is not on this machine be refused, for questions that must not use the network."""
    before = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(before)
