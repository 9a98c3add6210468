from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from semst.cli._parser import build_parser, contradiction

if TYPE_CHECKING:
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
    try:
        with _quiet_libraries(debug=arguments.debug), _log_to_stderr(quiet=arguments.quiet):
            arguments.run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("semst: interrupted; nothing was written.\n")
        return INTERRUPTED
    except Exception as error:  # whatever happened, the user gets one line and an exit code
        if arguments.debug:
            raise
        sys.stderr.write(f"semst: error: {one_line(error)}\n")
        return FAILED
    return OK


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
