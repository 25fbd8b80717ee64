# SPDX-License-Identifier: GPL-3.0-or-later
"""A job file without a window: exit code and last line tell the outcome, and stages hand on to each other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from reconstruct.addon.jobs import batch
from reconstruct.engine.contract.result import Artifact, Result, write_result
from reconstruct.engine.formats.points import write_points

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = '[capture]\nrig = "scene"\nwidth = 16\nheight = 16\nsamples = 1\nseed_points = 50\n'


def job(folder, text):
    file = folder / "job.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def walk(capsys, *arguments):
    code = batch.main(list(arguments))
    return code, capsys.readouterr().out.rstrip().splitlines()[-1]


@pytest.fixture
def scene(tmp_path):
    """A cube seen by two cameras, saved."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    for place in ((0, 0, 6), (0, 1, 6)):
        bpy.ops.object.camera_add(location=place)
    file = tmp_path / "room with spaces.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[capture",
        "[cook]\n",
        "[capture]\nviews = 1\n",
        "[capture]\nview = 3\n",
        'schema = "9.0"\n[capture]\n',
        "scene = 5\n[capture]\n",
        "train = 3",
    ],
)
def test_a_bad_job_file_is_refused_with_2(tmp_path, capsys, text):
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 2
    assert last.startswith("reconstruct: refused: ")


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--frobnicate"], ["no such file.toml"]])
def test_bad_arguments_are_refused_with_2(capsys, arguments):
    code, last = walk(capsys, *arguments)
    assert code == 2
    assert last.startswith("reconstruct: refused: ")


@pytest.mark.parametrize(
    "text, said",
    [
        ('scene = "no.blend"\n[capture]\n', "no such file"),
        ("[train]\n", "nothing to train on"),
        ("[import]\n", "nothing to import"),
        ("[place]\n", "nothing to place"),
        ("[capture]\n", "can be rendered"),
        ('[import]\nresult = "nowhere"\n', "holds no result"),
    ],
)
def test_a_stage_that_fails_gives_1(tmp_path, capsys, text, said):
    bpy.ops.wm.read_homefile(use_empty=True)
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 1
    assert last.startswith("reconstruct: failed: ") and said in last


def test_a_damaged_blend_is_one_sentence(tmp_path, capsys):
    (tmp_path / "broken.blend").write_bytes(b"BLENDER-v405" + bytes(64))
    code, last = walk(capsys, job(tmp_path, 'scene = "broken.blend"\n[capture]\n'))
    assert code == 1
    assert "cannot be opened" in last


def test_captures_trains_and_saves(tmp_path, capsys, scene, fake_engine):
    text = f'scene = {json.dumps(scene.name)}\n{CAPTURE}[train]\nsteps = 20\nsplat.sh_degree = 1\n[save]\nout = "kept/scene.blend"\n'
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 0, last
    assert last.startswith("reconstruct: done in ")
    assert len(json.loads((tmp_path / "capture" / "transforms.json").read_text())["frames"]) == 2
    log = (tmp_path / "result" / "log.txt").read_text(encoding="utf-8")
    assert "--steps 20" in log and "--splat.sh-degree 1" in log and "--minutes" not in log
    assert (tmp_path / "kept" / "scene.blend").is_file()
    kinds = [json.loads(line)["event"] for line in (tmp_path / "capture" / "events.jsonl").read_text().splitlines()]
    assert kinds[0] == "started" and kinds[-1] == "done" and "progress" in kinds
    assert scene.is_file(), "the user's file is not the window's copy"


@pytest.mark.parametrize("behaviour, said", [("fail", "The disk is full."), ("die", "ended without a word"), ("die_at_once", "log.txt")])
def test_a_training_that_fails_gives_1(tmp_path, capsys, fake_engine, behaviour, said):
    fake_engine(behaviour)
    (tmp_path / "taken").mkdir()
    code, last = walk(capsys, job(tmp_path, '[train]\ncapture = "taken"\n'))
    assert code == 1
    assert said in last


def test_a_result_in_the_way_is_kept(tmp_path, capsys, fake_engine):
    (tmp_path / "taken").mkdir()
    text = '[train]\ncapture = "taken"\n'
    assert batch.main([job(tmp_path, text)]) == 0
    assert "train    A step takes no time.\n" in capsys.readouterr().out
    before = (tmp_path / "result" / "events.jsonl").read_text()
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 1 and "already holds a result" in last
    assert (tmp_path / "result" / "events.jsonl").read_text() == before
    assert walk(capsys, job(tmp_path, text + "overwrite = true\n"))[0] == 0


def test_a_result_becomes_an_asset_of_another_file(tmp_path, capsys):
    chair = tmp_path / "chair"
    chair.mkdir()
    write_points(chair / "points.ply", np.random.default_rng(0).uniform(0, 1, (200, 3)).astype(np.float32), None)
    write_result(chair, Result("done", "ngp", "capture", artifacts=(Artifact("points", "points.ply"),)))
    text = '[import]\nresult = "chair"\nnew_scene = true\nasset = true\nlook = "{}"\n[save]\nout = "shelf/chair.blend"\n'
    code, last = walk(capsys, job(tmp_path, text.format("proxy")))
    assert code == 1 and "holds no proxy" in last
    code, last = walk(capsys, job(tmp_path, text.format("points")))
    assert code == 0, last
    assert "Reconstruct:Reconstruct" in (tmp_path / "shelf" / "blender_assets.cats.txt").read_text(encoding="utf-8")
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "shelf" / "chair.blend"), assets_only=True) as (there, _):
        assert there.objects == ["chair"]


def test_no_engine_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RECONSTRUCT_PYTHON", str(tmp_path / "no python"))
    (tmp_path / "taken").mkdir()
    code, last = walk(capsys, job(tmp_path, '[train]\ncapture = "taken"\n'))
    assert code == 1
    assert "RECONSTRUCT_PYTHON" in last


def test_the_copy_of_a_window_is_deleted_once_open(tmp_path, capsys, scene):
    folder = tmp_path / "capture"
    folder.mkdir()
    copy = scene.rename(folder / "scene.blend")
    code, last = walk(capsys, job(tmp_path, f'scene = "capture/scene.blend"\n{CAPTURE}'))
    assert code == 0, last
    assert not copy.exists()


def test_the_script_gives_its_exit_code_under_any_folder_name(tmp_path):
    link = tmp_path / "a folder, renamed"
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system allows no links")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for arguments, code in (([], 2), (["--help"], 0), ([job(tmp_path, "[place]\n")], 1)):
        command = [sys.executable, link / "scripts" / "batch.py", *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
        assert answer.returncode == code, answer.stdout + answer.stderr
        assert answer.stdout.rstrip().splitlines()[-1].startswith("reconstruct: ")
