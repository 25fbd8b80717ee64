# SPDX-License-Identifier: GPL-3.0-or-later
"""Private folders of jobs are removed, by their owner or by a later job, and no others."""

import subprocess
import sys
from pathlib import Path

from reconstruct.addon.core import private_folders


def test_private_folders_are_swept_once_their_owner_is_gone(data_home):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine, theirs = private_folders.new_folder(), private_folders.new_folder()
    private_folders.own(theirs, child.pid)
    (theirs / "scene.blend").write_bytes(b"copy")
    other = data_home / "jobs" / "not ours"
    other.mkdir()
    (other / "scene.blend").write_bytes(b"the user's")
    private_folders.sweep()
    assert mine.exists() and theirs.exists()
    child.communicate(b"\n")
    private_folders.sweep()
    assert mine.exists() and not theirs.exists() and (other / "scene.blend").exists()
    private_folders.remove(other)
    assert other.exists()
    private_folders.remove(mine)
    assert not mine.exists()


def test_what_a_killed_job_left_in_its_private_folder_is_removed_by_the_next(data_home):
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "import conftest, os, signal\nfrom reconstruct.addon.core import private_folders\n"
    code += "with private_folders.temporary() as folder:\n    (folder / 'view.exr').touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parents[1])], check=False, timeout=60)
    (left,) = (data_home / "jobs").iterdir()
    assert list(left.rglob("view.exr"))
    with private_folders.temporary() as folder:
        assert not left.exists() and not list(folder.iterdir())
        (folder / "view.exr").touch()
    assert not list((data_home / "jobs").iterdir())


def test_private_files_lie_elsewhere_where_the_data_folder_cannot_be_written(data_home):
    data_home.parent.mkdir(exist_ok=True)
    data_home.write_text("a file, where no folder can be made")
    with private_folders.temporary() as folder:
        (folder / "view.exr").touch()
    assert not folder.exists()
