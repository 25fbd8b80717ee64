# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m engine``: sets the process up before any library is loaded, then hands over to the command line."""

import os
import sys

if __name__ == "__main__":
    # The threads of torch's OpenMP would spin while waiting and eat the time of Numba's.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    # Inside an installed extension nothing is written beside the source. Not by sys.pycache_prefix: it also hides what pip compiled of the
    # libraries, and torch from source takes eight seconds.
    sys.dont_write_bytecode = True
    # As stderr does: a path may hold what the terminal's encoding does not.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from .cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        # While libraries load.
        print("Stopped.", file=sys.stderr)
        code = 1
    except ModuleNotFoundError as error:
        print(f"{sys.executable} has no module {error.name}; choose the Python that the engine was set up in.", file=sys.stderr)
        code = 2
    sys.exit(code)
