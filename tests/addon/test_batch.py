# SPDX-License-Identifier: GPL-3.0-or-later
"""A job file without a window: exit code and last line tell the outcome, and stages hand on to each other."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from reconstruct.addon import batch
from reconstruct.addon.core import private_folders
from reconstruct.addon.jobs import process
from reconstruct.engine.contract.errors import UserError
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
    assert last.startswith("reconstruct: refused: ") and "job.toml" in last, "a user may have many job files"


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--frobnicate"], ["no such file.toml"]])
def test_bad_arguments_are_refused_with_2(capsys, arguments):
    code, last = walk(capsys, *arguments)
    assert code == 2
    assert last.startswith("reconstruct: refused: ")


@pytest.mark.parametrize(
    "text, said",
    [
        ("[train]\n", "nothing to train on"),
        ("[proxy]\n", "no result to stand for"),
        ("[import]\n", "nothing to import"),
        ("[place]\n", "nothing to place"),
        ("[voxels]\n", "No picture is chosen"),
        ('[voxels]\nimages = ["a.png", "b.png"]\nmasks = ["m.png"]\n', "1 masks for 2 images"),
        ('[render]\nout = "picture.jpg"\n', "ends in .png"),
        ('scene = "a/../room.blend"\n[save]\nout = "room.blend"\n', "overwrite the scene"),
        ('[save]\nout = "room"\n', "ends in .blend"),
        ('[capture]\nout = "x"\n[train]\nout = "./x"\n', "both write"),
        ('[capture]\nout = "x/y"\n[train]\nout = "x"\n', "both write"),
        ('[train]\ncapture = "x"\nout = "x"\n', "holds the capture"),
        ('[capture]\nout = ""\n', "out is empty"),
        ('[capture]\nout = "a\\u0000b"\n', "cannot be used"),
        ('[capture]\n[train]\n[import]\nlook = "proxy"\n', "[proxy]"),
        ("[capture]\n[train]\nsteps = 5\nminutes = 3\n", "both minutes and steps"),
        ('[capture]\n[train]\nmethod = "ngp"\nngp.cells = 100\n', "multiple of 8"),
        ('[import]\nresult = "x"\nnew_scene = true\n[render]\ncamera = "Camera"\n', "a new scene has none"),
        ('[import]\nresult = "x"\n[place]\nroom_size = [8, 8]\n', "a list of 3"),
    ],
)
def test_what_the_job_file_alone_tells_is_refused_with_2(tmp_path, capsys, text, said):
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 2
    assert last.startswith("reconstruct: refused: ") and said in last


@pytest.mark.parametrize("out", ["loop/x", "loop", "x" * 300, f"{'x' * 300}/x"])
@pytest.mark.parametrize("stage", ['capture]\nout = "{}"', 'train]\ncapture = "{}"', 'import]\nresult = "{}"', 'save]\nout = "{}.blend"'])
def test_a_path_that_the_system_refuses_is_refused_with_2(tmp_path, capsys, stage, out):
    for name in ("loop", "loop.blend"):
        (tmp_path / name).symlink_to(name)
    code, last = walk(capsys, job(tmp_path, "[" + stage.format(out)))
    assert code == 2
    assert last.startswith("reconstruct: refused: ") and "cannot be used: " in last and out[:30] in last


@pytest.mark.parametrize("stage", ['[train]\ncapture = "photos"\nout', "[capture]\nout"])
def test_a_folder_that_may_not_be_read_is_refused_with_2(tmp_path, capsys, monkeypatch, scene, stage):
    locked, stat = tmp_path / "locked", Path.stat
    (tmp_path / "photos").mkdir()
    locked.mkdir()

    def refuse(path, **options):
        if locked in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    code, last = walk(capsys, job(tmp_path, f'scene = "{scene.name}"\n{stage} = "locked"\n'))
    assert code == 2
    assert last.startswith("reconstruct: refused: ") and str(locked) in last and "Permission denied" in last


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "text, said",
    [
        ('scene = "no.blend"\n[capture]\n', "no such file"),
        ("[capture]\n", "has no scene"),
        ('scene = "room with spaces.blend"\nscene_name = "Bedroom"\n[capture]\n', "Its scenes are: Scene."),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[render]\ncamera = "Kamera"\n', "no camera named 'Kamera'"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[render]\n', "picture.png already exists, and no job wrote it"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[save]\n', "scene.blend already exists"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[train]\n', "result already holds a result"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[train]\nout = "photos"\n', "photos holds other files"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}out = "taken"\n[train]\nout = "other"\n', "taken already holds a capture"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}out = "taken"\noverwrite = true\n', "taken already holds a capture"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[train]\ncapture = "no"\nout = "other"\n', "no capture in"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[import]\nresult = "nowhere"\n', "holds no result"),
        (f'scene = "room with spaces.blend"\n{CAPTURE}[voxels]\nimages = ["no.png"]\n', "no picture"),
        ('[import]\nresult = "nowhere"\n', "holds no result"),
    ],
)
def test_what_a_stage_lacks_is_refused_with_2_before_any_is_run(tmp_path, capsys, scene, text, said):
    for name in ("picture.png", "scene.blend", "result/result.json", "taken/transforms.json", "photos/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("the user's")
    bpy.ops.wm.read_homefile(use_empty=True)
    file = job(tmp_path, text)
    before = files(tmp_path)
    code, last = walk(capsys, file)
    assert code == 2
    assert last.startswith("reconstruct: refused: ") and said in last
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "text, said",
    [
        ('rig = "orbit"\norbit_object = "Sofa"\n', "no object or collection named Sofa"),
        ('rig = "both"\norbit_object = "Sofa"\n', "no object or collection named Sofa"),
        ('[import]\nresult = "chair"\nlook = "proxy"\n', "holds no proxy"),
        ('[import]\nresult = "empty"\n', "holds no splats, mesh or points"),
        ('[import]\nresult = "chair"\n[place]\nroom = true\n', "known_length"),
        ('[train]\ncapture = "photos"\n[import]\n[place]\n', "known_length"),
    ],
)
def test_what_the_scene_or_a_result_lacks_is_refused_with_2_before_any_is_run(tmp_path, capsys, scene, fake_engine, text, said):
    points = (Artifact("points", "points.ply"),)
    for name, artifacts in (("chair", points), ("empty", ())):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, Result("done", "ngp", "capture", artifacts=artifacts, scale="unknown"))
    write_points(tmp_path / "chair" / "points.ply", np.zeros((2, 3), np.float32), None)
    (tmp_path / "photos").mkdir()
    bpy.data.images.new("a", 8, 8).save(filepath=str(tmp_path / "photos" / "a.png"))
    camera = {"file_path": "a.png", "w": 8, "h": 8, "fl_x": 8, "fl_y": 8, "cx": 4, "cy": 4, "transform_matrix": np.eye(4).tolist()}
    (tmp_path / "photos" / "transforms.json").write_text(json.dumps({"frames": [camera]}))
    start = CAPTURE.replace('rig = "scene"\n', "") if text.startswith("rig") else CAPTURE
    code, last = walk(capsys, job(tmp_path, f'scene = "{scene.name}"\n{start}{text}'))
    assert code == 2
    assert last.startswith("reconstruct: refused: ") and said in last
    assert not (tmp_path / "capture").exists()


def test_no_engine_is_said_before_the_capture(tmp_path, capsys, monkeypatch, scene):
    monkeypatch.setenv("RECONSTRUCT_PYTHON", str(tmp_path / "no python"))
    code, last = walk(capsys, job(tmp_path, f'scene = "{scene.name}"\n{CAPTURE}[train]\n'))
    assert code == 2 and "RECONSTRUCT_PYTHON" in last and not (tmp_path / "capture").exists()


def test_a_damaged_blend_is_one_sentence(tmp_path, capsys):
    (tmp_path / "broken.blend").write_bytes(b"BLENDER-v405" + bytes(64))
    code, last = walk(capsys, job(tmp_path, 'scene = "broken.blend"\n[capture]\n'))
    assert code == 2
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


@pytest.mark.parametrize("behavior, said", [("fail", "The disk is full."), ("die", "stopped unexpectedly"), ("die_at_once", "log.txt")])
def test_a_training_that_fails_gives_1(tmp_path, capsys, fake_engine, behavior, said):
    fake_engine(behavior)
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
    assert code == 2 and "already holds a result" in last
    assert (tmp_path / "result" / "events.jsonl").read_text() == before
    assert walk(capsys, job(tmp_path, text + "overwrite = true\n"))[0] == 0


def test_a_result_becomes_an_asset_of_another_file(tmp_path, capsys):
    chair = tmp_path / "chair"
    chair.mkdir()
    write_points(chair / "points.ply", np.random.default_rng(0).uniform(0, 1, (200, 3)).astype(np.float32), None)
    write_result(chair, Result("done", "ngp", "capture", artifacts=(Artifact("points", "points.ply"),)))
    text = '[import]\nresult = "chair"\nnew_scene = true\nasset = true\nlook = "{}"\n[save]\nout = "shelf/chair.blend"\n'
    code, last = walk(capsys, job(tmp_path, text.format("proxy")))
    assert code == 2 and "holds no proxy" in last
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
    assert code == 2
    assert "RECONSTRUCT_PYTHON" in last


def test_files_of_the_user_are_never_touched(tmp_path, capsys, scene, fake_engine):
    """A scene under the name of our own copies, captured into its own folder, beside files under all names that we use."""
    scene.rename(tmp_path / "scene.blend")
    for name in ("room.blend", "furnished.blend", "photo.png", "images.txt", "depth.npy", "other/result.json", "other/splats.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"the user's {name}")
    text = 'scene = "scene.blend"\n' + CAPTURE.replace("[capture]", '[capture]\nout = "."') + '[train]\nsteps = 20\nout = "trained"\n'
    file = job(tmp_path, text + '[save]\nout = "saved/room.blend"\n')
    before = files(tmp_path)
    for code_wanted in (0, 2):
        code, last = walk(capsys, file)
        assert code == code_wanted, last
        after = files(tmp_path)
        assert {name: after.get(name) for name in before} == before
    assert len(json.loads((tmp_path / "transforms.json").read_text())["frames"]) == 2


@pytest.mark.parametrize("name", ["events.jsonl", "log.txt", "cancel", "unfinished", "images"])
def test_a_folder_with_a_file_of_the_user_under_a_name_of_ours_is_refused(tmp_path, capsys, scene, fake_engine, name):
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / name).write_text("the user's\n")
    (tmp_path / "taken").mkdir()
    file = job(tmp_path, f'scene = "{scene.name}"\n{CAPTURE}[train]\n')
    before = files(tmp_path)
    code, last = walk(capsys, file)
    assert code == 1 and name in last
    after = files(tmp_path)
    assert {name: after.get(name) for name in before} == before
    if name in ("events.jsonl", "log.txt", "cancel"):
        with pytest.raises(UserError, match=name):
            process.start([sys.executable, "-c", "pass"], tmp_path / "capture")
        assert files(tmp_path)[f"capture/{name}"] == before[f"capture/{name}"]


def test_a_job_replaces_its_own_files_and_others_only_where_it_says_so(tmp_path, capsys, scene):
    text = f'scene = "{scene.name}"\n[render]\nwidth = 16\nheight = 16\nsamples = 1\n[save]\nout = "new.blend"\n'
    for _ in range(2):
        code, last = walk(capsys, job(tmp_path, text))
        assert code == 0, last
    with open(tmp_path / "picture.png", "ab") as stream:
        stream.write(b"edited")
    before = (tmp_path / "picture.png").read_bytes()
    code, last = walk(capsys, job(tmp_path, text))
    assert code == 2 and "picture.png already exists" in last
    assert (tmp_path / "picture.png").read_bytes() == before
    code, last = walk(capsys, job(tmp_path, text.replace("samples", "overwrite = true\nsamples")))
    assert code == 0, last
    assert (tmp_path / "picture.png").read_bytes() != before


def test_a_backup_of_the_user_is_kept(tmp_path, capsys, scene):
    file = job(tmp_path, f'scene = "{scene.name}"\n[save]\nout = "new.blend"\n')
    (tmp_path / "new.blend1").write_text("the user's")
    versions = bpy.context.preferences.filepaths.save_version
    for _ in range(2):
        code, last = walk(capsys, file)
        assert code == 0, last
    assert (tmp_path / "new.blend1").read_text() == "the user's" and bpy.context.preferences.filepaths.save_version == versions == 1


def test_overwrite_replaces_the_capture_and_the_scene(tmp_path, capsys, scene):
    text = f'scene = "{scene.name}"\n{CAPTURE}overwrite = true\n[save]\nout = "{scene.name}"\noverwrite = true\n'
    before = scene.read_bytes()
    for _ in range(2):
        code, last = walk(capsys, job(tmp_path, text))
        assert code == 0, last
    assert scene.read_bytes() != before


def test_a_named_scene_of_the_file_is_captured_and_a_new_one_is_added(tmp_path, capsys, scene):
    bpy.ops.wm.open_mainfile(filepath=str(scene))
    other = bpy.data.scenes.new("Chambre à coucher 🛏")
    other.collection.objects.link(bpy.data.objects["Cube"])
    camera = bpy.data.objects.new("Sole", bpy.data.cameras.new("Sole"))
    camera.location.z = 5
    other.collection.objects.link(camera)
    bpy.ops.wm.save_mainfile()
    chair = tmp_path / "chair"
    chair.mkdir()
    write_points(chair / "points.ply", np.random.default_rng(0).uniform(0, 1, (200, 3)).astype(np.float32), None)
    write_result(chair, Result("done", "ngp", "capture", artifacts=(Artifact("points", "points.ply"),)))
    text = f'scene = "{scene.name}"\nscene_name = "{other.name}"\n{CAPTURE}[import]\nresult = "chair"\nnew_scene = true\n'
    code, last = walk(capsys, job(tmp_path, text + '[save]\nout = "kept.blend"\n'))
    assert code == 0, last
    frames = json.loads((tmp_path / "capture" / "transforms.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames] == ["images/Sole.png"]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    assert bpy.context.scene.name == "Reconstruct" and "chair" in bpy.context.scene.objects
    assert set(bpy.data.scenes.keys()) == {"Scene", "Chambre à coucher 🛏", "Reconstruct"}, "the room is kept"


def test_a_private_folder_is_removed_and_no_other(tmp_path, capsys, scene):
    file = job(tmp_path, f'scene = "{scene.name}"\n{CAPTURE}')
    before = files(tmp_path)
    code, last = walk(capsys, file, "--private")
    assert code == 2 and files(tmp_path) == before
    good = f'scene = "scene.blend"\n{CAPTURE}out = {json.dumps(str(tmp_path / "out"))}\n'
    for text in (good, "[nonsense"):
        folder = private_folders.new_folder()
        shutil.copy(scene, folder / "scene.blend")
        code, last = walk(capsys, job(folder, text), "--private")
        assert code == (2 if text == "[nonsense" else 0), last
        assert not folder.exists()
    assert (tmp_path / "out" / "transforms.json").is_file() and files(tmp_path).items() >= before.items()


def test_the_script_gives_its_exit_code_under_any_folder_name(tmp_path):
    link = tmp_path / "a folder, renamed"
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        pytest.skip("this system allows no links")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "other").mkdir()
    jobs = [job(tmp_path, "[place]\n")], [job(tmp_path / "other", "[capture]\n")]
    for arguments, code in (([], 2), (["--help"], 0), (jobs[0], 2), (jobs[1], 2)):
        command = [sys.executable, link / "scripts" / "batch.py", *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
        assert answer.returncode == code, answer.stdout + answer.stderr
        assert answer.stdout.rstrip().splitlines()[-1].startswith("reconstruct: ")
