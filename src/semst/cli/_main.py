from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from semst.cli._parser import build_parser, contradiction

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

OK, FAILED, INTERRUPTED = 0, 1, 130  # argparse itself exits with 2 on wrong usage


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the name of the program; the default takes those of the process.

    Returns
    -------
    Exit code: 0 where all went well, 1 where the input was bad or the run failed (one line on stderr says why), 130
    where the user interrupted it.

    Raises
    ------
    SystemExit
        With code 2 on wrong usage, with 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> main(["cluster", "nowhere.h5ad", "out.h5ad", "--n-clusters", "7"])
    1
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if told := contradiction(arguments):
        parser.error(told)
    written: list[Path] = []
    try:
        with _quiet_libraries(debug=arguments.debug), _log_to_stderr(quiet=arguments.quiet):
            arguments.run(arguments, written)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write(f"semst: interrupted; {_left_behind(arguments, written)}.\n")
        return INTERRUPTED
    except Exception as error:  # whatever happened, the user gets one line and an exit code
        if written and isinstance(error, BrokenPipeError):
            _close_stdout()
            return OK
        if arguments.debug:
            raise
        sys.stderr.write(f"semst: error: {one_line(error)}\n")
        return FAILED
    return OK


def _left_behind(arguments: argparse.Namespace, written: Sequence[Path]) -> str:
    """Say what an interrupted run has written."""
    if written:
        return f"{' and '.join(map(str, written))} {'was' if len(written) == 1 else 'were'} written before"
    checkpoint = getattr(arguments, "checkpoint", None)
    if checkpoint is not None and any(Path(checkpoint).glob("network-*.safetensors")):
        return f"no result was written. {checkpoint} holds trained networks, from which the same command goes on"
    return "nothing was written"


def _close_stdout() -> None:
    """Let what is still to be printed go nowhere: who read it is gone, as in ``semst demo | head -1``."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def one_line(error: BaseException) -> str:
    r"""Put an error into one line, with its kind where the message alone would not say what happened.

    Examples
    --------
    >>> one_line(KeyError("counts"))
    'KeyError: counts'
    >>> one_line(ValueError("two\n  lines"))
    'two lines'
    """
    from semst._problems import InputError

    # The str of a KeyError is the repr of its argument.
    plain = isinstance(error, KeyError) and not isinstance(error, InputError) and len(error.args) == 1
    message = " ".join(str(error.args[0] if plain else error).split())
    explained = isinstance(error, InputError | OSError) or type(error) in {ValueError, TypeError}
    return message if message and explained else f"{type(error).__name__}: {message}".removesuffix(": ")


@contextmanager
def _log_to_stderr(*, quiet: bool) -> Iterator[None]:
    """Show what semst logs, on stderr, so that stdout holds results only."""
    logger = logging.getLogger("semst")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("semst: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _quiet_libraries(*, debug: bool) -> Iterator[None]:
    """Keep to ourselves what libraries warn their programmers of; on the command line nobody can act on it."""
    with warnings.catch_warnings():
        if not debug:
            for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning, SyntaxWarning):
                warnings.simplefilter("ignore", category)
        yield
