"""Of several processes that torchrun started the first one speaks; the others only where something is amiss."""

from __future__ import annotations

import logging
import os


class FirstProcessSpeaks(logging.Filter):
    """Let the first process log as ever, and of the others only warnings and errors, which name the process."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the line is to be logged; read anew each time, for torch may be told later who it is."""
        # What torch.distributed goes by as well, which takes seconds to import.
        process = os.environ.get("RANK", "0") if "TORCHELASTIC_RUN_ID" in os.environ else "0"
        if process == "0":
            return True
        if record.levelno < logging.WARNING:
            return False
        record.msg = f"process {process}: {record.msg}"
        return True


def quiet_other_processes() -> None:
    """Put the filter on the logger of semst, once."""
    logger = logging.getLogger("semst")
    if not any(isinstance(each, FirstProcessSpeaks) for each in logger.filters):
        logger.addFilter(FirstProcessSpeaks())
