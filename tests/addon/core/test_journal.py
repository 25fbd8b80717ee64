# SPDX-License-Identifier: GPL-3.0-or-later
"""Only files of ours are replaced, and an interrupted capture keeps what is complete."""

import errno
import io
from pathlib import Path

import numpy as np
import pytest
from reconstruct.addon.core.journal import DEPTH, IMAGES, UNFINISHED, is_unfinished, made_here, open_journal, unwritable
from reconstruct.engine.contract.errors import UserError

NAMES = [f"{IMAGES}/a.png", f"{IMAGES}/b.png"]


def write(folder, journal, name, text):
    journal.begin([name])
    (folder / name).write_text(text)
    journal.end([name])


@pytest.fixture
def interrupted(tmp_path):
    """A capture that ended after its first view."""
    journal = open_journal(tmp_path, {"scene": 1}, NAMES, False)
    write(tmp_path, journal, NAMES[0], "view")
    journal.keep({"samples": 8})
    journal.begin([NAMES[1]])
    (tmp_path / NAMES[1]).write_text("half")
    return tmp_path


def test_the_same_capture_keeps_what_is_complete(interrupted):
    assert is_unfinished(interrupted) and not made_here(interrupted)
    journal = open_journal(interrupted, {"scene": 1}, NAMES, False)
    assert journal.complete == {NAMES[0]} and journal.kept == {"samples": 8} and not journal.discarded
    assert not (interrupted / NAMES[1]).exists()
    journal.finish()
    assert not (interrupted / UNFINISHED).exists()


def test_another_capture_starts_over(interrupted):
    journal = open_journal(interrupted, {"scene": 2}, NAMES, False)
    assert journal.discarded and not journal.complete and not journal.kept
    assert not any((interrupted / name).exists() for name in NAMES)


def test_a_view_that_was_edited_is_the_users(interrupted):
    (interrupted / NAMES[0]).write_text("painted over")
    with pytest.raises(UserError):
        open_journal(interrupted, {"scene": 1}, NAMES, False)
    assert (interrupted / NAMES[0]).read_text() == "painted over"


def test_what_is_left_of_a_file_of_ours_is_told_from_a_users(tmp_path):
    png, names = b"\x89PNG\r\n\x1a\n" + bytes(80) + b"IEND\xaeB`\x82", [f"{IMAGES}/a.png", f"{DEPTH}/a.npy"]
    array = io.BytesIO()
    np.save(array, np.zeros(99, np.float32))
    for ours, name, users in ((png, names[0], png[:20] + png[-8:]), (array.getvalue(), names[1], None)):
        folder = tmp_path / Path(name).stem / name[:5]
        journal = open_journal(folder, 1, names, False)
        journal.begin([name])
        (folder / name).write_bytes(ours)
        journal.end([name])
        for left in (b"", ours[:5], ours[:-1], None):
            (folder / name).write_bytes(left) if left is not None else (folder / name).unlink(missing_ok=True)
            assert not open_journal(folder, 1, names, False).complete and not (folder / name).exists()
            journal = open_journal(folder, 1, names, False)
            journal.begin([name])
            (folder / name).write_bytes(ours)
            journal.end([name])
            assert open_journal(folder, 1, names, False).complete == {name}
        for text in filter(None, (users, b"mine")):
            (folder / name).write_bytes(text)
            with pytest.raises(UserError, match="not from an unfinished capture"):
                open_journal(folder, 1, names, False)
            assert (folder / name).read_bytes() == text


def test_files_of_others_are_refused(tmp_path):
    (tmp_path / IMAGES).mkdir()
    (tmp_path / NAMES[0]).write_text("the user's")
    with pytest.raises(UserError, match="already holds images"):
        open_journal(tmp_path, 1, NAMES, True)
    assert (tmp_path / NAMES[0]).read_text() == "the user's" and not (tmp_path / UNFINISHED).exists()


def test_a_full_disk_is_told_from_a_folder_without_rights(tmp_path):
    assert unwritable(tmp_path, OSError(errno.ENOSPC, "full")).code == "disk_full"
    assert "cannot be written: Permission denied" in str(unwritable(tmp_path, PermissionError(errno.EACCES, "Permission denied")))
