"""``python -m semst``: the command line where the ``semst`` script is not on the path."""

import sys

from semst.cli import main

if __name__ == "__main__":
    sys.exit(main())
