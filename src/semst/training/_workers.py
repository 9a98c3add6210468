"""What works beside what: networks on cores, and the preparation of tiles beside a GPU."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

from semst.training._device import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _T = TypeVar("_T")


@contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for each core, for many small problems; after an error or Ctrl-C no further one is begun.

    Threads inside each problem would wait for each other longer than they work.
    """
    with threadpool_limits(1), ThreadPoolExecutor(cores()) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


@contextmanager
def workers(*, at_once: bool) -> Iterator[tuple[Callable[..., Future[Any]], Event]]:
    """Give a way to start a training, and a sign that makes all trainings end after their epoch.

    Parameters
    ----------
    at_once
        Whether each network trains on a core of its own: two threads on one network gain a tenth, and lose a factor of
        ten where another process keeps a core busy, because each of the many small products waits for the slower
        thread. A GPU trains one network after the other, and so do processes that have to talk about the same one.
    """
    stop = Event()
    if not at_once:
        yield _now, stop
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that are started from here on take it over
    try:
        with pool() as executor:
            try:
                yield executor.submit, stop
            except BaseException:
                stop.set()
                raise
    finally:
        torch.set_num_threads(threads)


def _now(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
    future: Future[Any] = Future()
    future.set_result(work(*args, **kwargs))
    return future


def ahead(prepare: Callable[[int], _T], numbers: Iterable[int]) -> Iterator[_T]:
    """Give ``prepare(number)`` for each number, in order; while one is in use the next is prepared."""
    with ThreadPoolExecutor(1) as executor:
        waiting: deque[Future[_T]] = deque()
        for number in numbers:
            waiting.append(executor.submit(prepare, number))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
