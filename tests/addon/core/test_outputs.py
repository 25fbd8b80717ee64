# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files jobs wrote, and which are the user's."""

import json
import os
import time

from reconstruct.addon.core import outputs


def test_a_file_that_is_saved_after_a_killed_job_is_the_users(tmp_path, data_home):
    file = tmp_path / "new.blend"
    outputs.expect(file)
    assert not outputs.is_ours(file)
    # Times of files may lag behind the clock by a tick of the system.
    time.sleep(0.05)
    file.write_text("the job's")
    assert outputs.is_ours(file) and not outputs.is_unchanged(file)
    late = time.time_ns() + 11_000_000_000
    os.utime(file, ns=(late, late))
    assert not outputs.is_ours(file)
    outputs.remember(file, file)
    outputs.expect(file)
    assert outputs.is_ours(file), "it was before"
    file.write_text("the user's")
    os.utime(file, ns=(late - 60_000_000_000,) * 2)
    assert not outputs.is_ours(file)

    outputs.remember(file, file)
    part = tmp_path / "part"
    part.write_text("a longer one of the job")
    outputs.remember(file, part)
    assert outputs.is_ours(file), "killed before it was put in its place"
    os.replace(part, file)
    assert outputs.is_ours(file)
    (data_home / "outputs.json").write_text(json.dumps({str(file): "nonsense"}))
    assert not outputs.is_ours(file)
