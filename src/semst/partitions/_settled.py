"""Groups that do not come about: what sklearn warns of for every partition is counted, and may be told once."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unsettled() -> Iterator[list[str]]:
    """Collect sklearn's warnings of fits that found fewer groups than asked for, or did not converge.

    Other warnings go where they went. Warnings of threads that work for the caller are collected as well.

    Yields
    ------
    The messages, a growing list.
    """
    from sklearn.exceptions import ConvergenceWarning

    messages: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", ConvergenceWarning)
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
            if issubclass(category, ConvergenceWarning):
                messages.append(str(message))
            else:
                show(message, category, *where, **more)

        warnings.showwarning = collect
        yield messages
