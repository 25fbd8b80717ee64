# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error a user may see: a plain sentence, and what to do about it; and which others mean a lack of memory."""

import errno


class UserError(Exception):
    """Something the user can mend.

    Args:
        message: one plain sentence that names the file or the setting.
        hint: what to do, one sentence; may be empty.
        code: a stable word for programs, e.g. ``bad_input``, ``disk_full``, ``in_use``.
    """

    def __init__(self, message: str, hint: str = "", code: str = "bad_input"):
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written because the disk, the user's share of it or the largest allowed file is full."""
    full = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    return isinstance(error, OSError) and error.errno in full


def lacks_memory(error: BaseException) -> bool:
    """Whether memory, of the processor or of a device, did not suffice. torch has errors of its own for that, and is not loaded here."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
