# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that users and files name."""

from __future__ import annotations

from pathlib import Path

from .errors import UserError


def resolved(path: Path) -> Path:
    """An absolute path without symbolic links; nothing need exist there.

    Raises:
        UserError: it is no path, its name is too long, it is a loop of symbolic links, or it lies in a folder that may not be read.
    """
    try:
        found = path.resolve()
        # resolve() itself passes over most errors.
        found.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path.resolve()
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError:
        reason = "it holds characters that no path has"
    except RuntimeError:  # Python 3.12 and older
        reason = "it is a loop of symbolic links"
    else:
        return found
    raise UserError(f"The path {str(path)[:250]!r} cannot be used: {reason}.", "Correct it, or check its permissions.")
