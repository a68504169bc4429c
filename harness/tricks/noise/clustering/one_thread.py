"""One thread for scikit-learn, whose sums of several depend on their timing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Let scikit-learn and its libraries compute in one thread, in the thread that calls this."""
    limited: AbstractContextManager[object] = _pools().limit(limits=1)
    return limited


@cache
def _pools() -> ThreadpoolController:
    """Return the thread pools of what scikit-learn's clustering uses.

    To find them takes 5 ms, since all libraries of the process are looked at: as long as the
    K-means of a class.
    """
    import sklearn.cluster  # noqa: F401 - loads the libraries
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
