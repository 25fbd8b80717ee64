# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose files lie in a result's folder: whatever a command does, those of the user stay as they were."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.contract.errors import UserError
from engine.contract.methods import METHODS
from engine.contract.result import Result, read_result
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.methods import new_trainer
from engine.runs import result_folder as folders
from engine.runs.context import run_context
from engine.runs.reporter import Reporter

USERS = ("scene.blend", "job.toml", "results.txt", "notes.md", "photos/000.png", "photos/kitchen.blend", "previews/mine.png")
OURS = ("result.json", "events.jsonl", "lock", "cancel", "log.txt", "previews/0000003.png", *folders._NAMES)


def hashes(folder):
    return {file.relative_to(folder): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def fill(folder, names):
    """Puts a user's file under each name: a picture where one is expected, else what a .blend begins with."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(file)
        else:
            file.write_bytes(b"BLENDER-v405" + name.encode())


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def commands(capture, folder):
    """Every command that writes into a folder."""
    few = ["--steps", 3, "--splat.max-gaussians", 100]
    image = capture / "images" / "000.png"
    yield ["train", capture, "--out", folder, *few]
    yield ["train", capture, "--out", folder, *few, "--overwrite"]
    yield ["train", "--resume", folder, "--steps", 6]
    yield ["eval", folder]
    yield ["surface", folder, "--cells", 24]
    yield ["proxy", folder, "--faces", 100, "--texture", 64]
    yield ["voxels", image, "--out", folder]
    yield ["voxels", image, "--out", folder, "--overwrite"]
    yield ["voxels", "train", capture, "--out", folder, "--steps", 1]
    yield ["voxels", "train", capture, "--out", folder, "--steps", 1, "--overwrite"]
    yield ["voxels", "train", "--resume", folder, "--steps", 3]
    yield ["render", folder, "--out", folder]


def others(folder):
    """Every other command; their working folder is the user's as well."""
    yield ["doctor"]
    yield ["bench", "shells-1k-64x48"]
    yield ["convert", folder / "mine.ply", folder / "copy.ply"]
    yield ["convert", folder / "mine.ply", folder / "mine.ply"]
    yield ["voxels", "make-data", "--furniture", 1, "--views", 1, "--out", folder]


def test_every_command_is_one_of_these(tmp_path):
    named = {" ".join(map(str, command[:2])) for command in (*commands(tmp_path, tmp_path), *others(tmp_path))}
    assert {name if name in cli.COMMANDS else name.split(" ")[0] for name in named} == set(cli.COMMANDS)


def test_a_folder_of_the_user_stays_as_it_is(small_capture, tmp_path, capsys):
    folder = tmp_path / "mine"
    fill(folder, (*USERS, *OURS))
    before = hashes(folder)
    for command in commands(small_capture, folder):
        assert run(*command) != 0, command
        said = capsys.readouterr().err
        assert "Traceback" not in said and "internal" not in said, said
        assert hashes(folder) == before, command


@pytest.fixture(scope="module")
def finished(small_capture, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "result"
    assert run("train", small_capture, "--out", out, "--steps", 30, "--splat.max-gaussians", 200) == 0
    return out


def test_other_commands_keep_the_files_of_the_user(finished, tmp_path, monkeypatch, capsys):
    shape = "made-up-0-000000"
    shapes = [f"{split}/{category}/{shape}/notes.txt" for split in ("train", "val", "test") for category in ("chair", "bed")]
    fill(tmp_path, (*USERS, *OURS, "copy.ply", *shapes))
    shutil.copy(finished / "splats.ply", tmp_path / "mine.ply")
    before = hashes(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in others(tmp_path):
        code = run(*command)
        said = capsys.readouterr().err
        assert "Traceback" not in said and "internal" not in said, said
        assert before.items() <= hashes(tmp_path).items(), command
        assert code == (2 if command[0] == "convert" else 0), (command, said)
        assert command[1:2] == ["make-data"] or hashes(tmp_path) == before, command


def kept(folder, names, capture, capsys):
    """Puts the user's files beside a result, and checks them after every command. Returns the commands' exit codes."""
    fill(folder, names)
    mine = {file: content for file, content in hashes(folder).items() if file.as_posix() in names}
    assert len(mine) == len(names)
    codes = []
    for command in commands(capture, folder):
        codes.append(run(*command))
        said = capsys.readouterr().err
        assert "Traceback" not in said and "internal" not in said, said
        assert mine.items() <= hashes(folder).items(), command
    return codes


def test_files_of_the_user_beside_a_result_are_kept(finished, small_capture, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "result")
    codes = kept(folder, USERS, small_capture, capsys)
    assert codes[:8] == [1, 0, 0, 0, 0, 0, 1, 0], codes
    assert (folder / "voxels.npz").is_file() and not (folder / "splats.ply").exists(), "what the engine wrote was replaced"
    assert {path.name for path in (folder / "previews").iterdir()} == {"mine.png"}


def test_files_of_the_user_under_our_names_are_kept(finished, small_capture, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "result")
    written = {path.name for path in folder.iterdir()}
    names = [*(name for name in OURS if name not in {*written, "splats_linear.ply"}), "000.png", "008.png", ".photos.zip.12.part"]
    codes = kept(folder, names, small_capture, capsys)
    # Training by the same method and scoring need none of these names.
    assert codes == [1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2], codes


@pytest.mark.parametrize("name", ["result.json", "events.jsonl"])
def test_half_a_result_is_none(finished, small_capture, tmp_path, capsys, name):
    """The events of a capture may lie beside a result.json of somebody else, and the other way round."""
    folder = shutil.copytree(finished, tmp_path / "result")
    assert not any(code == 0 for code in kept(folder, [name], small_capture, capsys)[:-1]), name


def test_a_lock_of_the_user_is_kept(finished, small_capture, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "result")
    (folder / "lock").unlink()
    assert not any(code == 0 for code in kept(folder, ["lock"], small_capture, capsys)[:-1])


def test_what_was_written_is_what_was_claimed(finished, small_capture):
    result = read_result(finished)
    assert set(result.files) == {"checkpoint.safetensors", "metrics.json", "splats.ply"}
    assert set(result.files) >= {item.path for item in result.artifacts}


@pytest.mark.parametrize("how", [{}, {"separators": (",", ":")}, {"indent": "\t", "sort_keys": True}])
def test_a_result_that_another_program_formatted_is_still_ours(finished, small_capture, tmp_path, how):
    folder = shutil.copytree(finished, tmp_path / "result")
    text = json.dumps(json.loads((folder / "result.json").read_text()), **how)
    (folder / "result.json").write_text(text)
    assert run("eval", folder) == 0
    (folder / "result.json").write_text(text)
    assert run("train", small_capture, "--out", folder, "--steps", 3, "--overwrite", "--splat.max-gaussians", 100) == 0


@pytest.mark.parametrize("there", [None, "nothing", "log.txt"])
def test_a_refusal_leaves_a_folder_as_it_was(tmp_path, there, capsys):
    """Where a program follows, which has opened a log there, it leaves the events."""
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / "transforms.json").write_text("{")
    folder = tmp_path / "new" / "result"
    if there:
        folder.mkdir(parents=True)
    if there == "log.txt":
        (folder / there).touch()
    for command in (["train", tmp_path / "capture"], ["voxels", tmp_path / "none.png"]):
        assert run(*command, "--out", folder) == 1
        if there is None:
            assert not folder.parent.exists()
        else:
            assert {file.name for file in folder.iterdir()} == ({"log.txt", "events.jsonl", "lock"} if there == "log.txt" else set())
    assert "not valid JSON" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b'{\n "schema": "1.0",\n "status": "done", "files": ["splats.ply", "checkpoint', None])
def test_a_damaged_or_newer_result_can_be_overwritten(finished, small_capture, tmp_path, content):
    folder = shutil.copytree(finished, tmp_path / "result")
    if content is None:
        table = json.loads((folder / "result.json").read_text())
        content = json.dumps({"schema": "2.0", **{key: value for key, value in table.items() if key != "schema"}}, indent=1).encode()
    (folder / "result.json").write_bytes(content)
    (folder / "checkpoint.safetensors").unlink()
    (folder / "metrics.json").unlink()
    assert run("train", small_capture, "--out", folder, "--steps", 3) == 1
    assert run("train", small_capture, "--out", folder, "--steps", 3, "--overwrite") == 0


def test_what_killed_runs_left_is_no_result(small_capture, tmp_path):
    """A run that saved nothing does not stand in the way, whatever it had begun."""
    with pytest.raises(RuntimeError), run_context(tmp_path / "r", Reporter(None, None), new=True) as context:
        folder = context.folder
        folder.claim("splats.ply")
        folder.begin(Result("running", "splat", str(small_capture)))
        (tmp_path / "r" / "previews").mkdir()
        folder.write_preview("previews/0000001.png", np.zeros((3, 4, 4)))
        (tmp_path / "r" / ".splats.ply.12.part").write_bytes(b"half")
        raise RuntimeError
    assert read_result(tmp_path / "r").status == "running", "no process of this id wrote it"
    assert run("train", small_capture, "--out", tmp_path / "r", "--steps", 3) == 0
    assert not list((tmp_path / "r").glob(".*")) and not list((tmp_path / "r" / "previews").iterdir())


def test_refusals_have_codes_of_their_own(finished, small_capture, tmp_path):
    def code(path, **how):
        with pytest.raises(UserError) as refused, run_context(path, Reporter(None, None), **how):
            pass
        return refused.value.code

    fill(tmp_path / "mine", USERS)
    (tmp_path / "file").write_text("x")
    assert code(finished, new=True) == "exists"
    assert code(tmp_path / "mine", new=True) == code(tmp_path / "mine", new=True, overwrite=True) == "foreign"
    assert code(tmp_path / "file", new=True) == "foreign" and code(tmp_path / "file" / "in", new=True) == "unwritable"
    assert code(tmp_path / "mine") == code(tmp_path / "gone") == "no_result"
    with run_context(finished, Reporter(None, None)):
        assert code(finished) == "in_use"


@pytest.mark.parametrize("blend", ["srgb", "linear"])
def test_splats_write_what_they_claim(small_capture, tmp_path, blend):
    capture = read_capture(small_capture)
    trainer = new_trainer(TrainSettings(), capture, load_views(capture, "train", scale=0.5), blend, 1)
    made = list(trainer.artifacts(tmp_path))
    assert {path for _, path in made} == {file.name for file in tmp_path.iterdir()} <= set(METHODS["splat"].artifacts)
