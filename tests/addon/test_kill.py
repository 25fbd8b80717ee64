# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 while a job imports a result and saves the file: a second try succeeds, and nothing of the user's differs."""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.formats.splats import Splats, write_splats

ROOT = Path(__file__).resolve().parents[2]
SPLATS = 5000


@pytest.fixture
def room(tmp_path):
    """A file that takes a moment to save, a result, and files of the user; gives what starts the job."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=600, y_subdivisions=600)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    rng = np.random.default_rng(0)
    scattered = rng.normal(size=(SPLATS, 3)).astype(np.float32)
    quats = np.tile(np.array([[1, 0, 0, 0]], np.float32), (SPLATS, 1))
    sh = np.zeros((SPLATS, 1, 3), np.float32)
    chair = tmp_path / "chair"
    chair.mkdir()
    write_splats(chair / "splats.ply", Splats(scattered, scattered - 4, quats, np.full(SPLATS, 2, np.float32), sh))
    write_result(chair, Result("done", "splat", "capture", artifacts=(Artifact("splats", "splats.ply"),)))
    for name in ("scene.blend", "photos/1.jpg", "chair/notes.txt", "chair/job.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"the user's {name}")
    return tmp_path


def start(folder, save):
    overwrite = "overwrite = true\n" if save == "room.blend" else ""
    text = f'scene = "room.blend"\n[import]\nresult = "chair"\nlook = "splats"\n[save]\nout = "{save}"\n{overwrite}'
    (folder / "job.toml").write_text(text)
    command = [sys.executable, ROOT / "scripts" / "batch.py", folder / "job.toml"]
    job = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in job.stdout:
        if line.startswith("open"):
            break
    return job


def ended(job):
    said = job.stdout.read()
    return job.wait(), said


def files(folder):
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def is_furnished(file):
    bpy.ops.wm.open_mainfile(filepath=str(file))
    assert len(bpy.data.objects["Grid"].data.vertices) == 601**2
    return "chair" in bpy.data.objects


def kill(folder, save, wait):
    """Kills a job when ``wait`` returns, and has another try."""
    mine = {name: content for name, content in files(folder).items() if name not in (save, f"{save}1", "job.toml")}
    before = files(folder).get(save)
    job = start(folder, save)
    wait(job)
    job.kill()
    _, said = ended(job)
    after = files(folder)
    assert {name: after.get(name) for name in mine} == mine, said
    if save in after and after[save] != before:
        assert is_furnished(folder / save), said
    code, said = ended(start(folder, save))
    assert code == 0, said
    assert is_furnished(folder / save)
    after = files(folder)
    assert {name: after.get(name) for name in mine} == mine, said
    # Blender keeps what was there, unless it is known to be ours.
    assert set(after) - set(mine) - {f"{save}1"} == {save, "job.toml"}, "nothing else is left"


def until(exists):
    def wait(job):
        limit = time.monotonic() + 60
        while not exists.exists() and job.poll() is None:
            assert time.monotonic() < limit

    return wait


def test_an_import_that_is_killed_while_it_saves_over_the_scene_can_be_made_again(room):
    kill(room, "room.blend", until(room / "room.blend@"))


def test_an_import_that_is_killed_when_it_has_saved_can_be_made_again(room):
    kill(room, "furnished.blend", until(room / "furnished.blend"))


@pytest.mark.slow
@pytest.mark.parametrize("save", ["furnished.blend", "room.blend"])
def test_imports_survive_twenty_kills(room, save):
    job = start(room, "first.blend")
    begin = time.monotonic()
    code, said = ended(job)
    seconds = time.monotonic() - begin
    assert code == 0, said
    rng, original = random.Random(0), (room / "room.blend").read_bytes()
    for _ in range(20):
        (room / "room.blend").write_bytes(original)
        if save != "room.blend":
            (room / save).unlink(missing_ok=True)
            (room / f"{save}1").unlink(missing_ok=True)
        kill(room, save, lambda job: time.sleep(rng.uniform(0, seconds)))
