# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: bad input is one plain sentence on stderr and an exit code, and nothing is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.contract.errors import UserError
from engine.contract.result import Result, write_result
from engine.formats.splats import read_splats

ROOT = Path(__file__).parents[3]


def complain(capsys, *arguments):
    """Runs a command that has to fail. Returns its exit code and what it said."""
    code = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said and "internal" not in said, said
    return code, said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["tran"], 2, "tran"),
        (["train", "--foo", "3"], 2, "--foo"),
        (["train", "x", "--out", "y", "--minutes", "soon"], 2, "--minutes"),
        (["train", "x", "--out", "y", "--minutes", "-3"], 2, "minutes"),
        (["train", "x", "--out", "y", "--steps", "0"], 2, "steps"),
        (["train", "x", "--out", "y", "--splat.sh-degree", "4"], 2, "sh_degree"),
        (["train", "x", "--out", "y", "--steps", "10", "--minutes", "1"], 2, "either"),
        (["train", "x", "--out", "y", "--preset", "fast"], 2, "gsplat-mcmc"),
        (["train", "--resume", "nowhere", "--preset=gsplat"], 2, "settings"),
        (["train"], 2, "--out"),
        (["train", "nowhere", "--out", "y"], 1, "nowhere"),
        (["train", "--resume", "nowhere"], 1, "nowhere"),
        (["train", "--resume", "nowhere", "--overwrite"], 2, "--overwrite"),
        (["train", "--resume", "nowhere", "--splat.sh-degree", "1"], 2, "settings"),
        (["eval", "nowhere"], 2, "nowhere"),
        (["render", "nowhere", "--out", "y"], 2, "nowhere"),
        (["surface"], 2, "RESULT"),
        (["surface", "nowhere"], 1, "nowhere"),
        (["surface", "nowhere", "--cells", "3"], 2, "cells"),
        (["surface", "nowhere", "--box", "0", "0", "0", "1", "1"], 2, "--box"),
        (["proxy", "nowhere"], 1, "nowhere"),
        (["proxy", "nowhere", "--faces", "3"], 2, "faces"),
        (["proxy", "nowhere", "--up", "w"], 2, "--up"),
        (["convert", "a.ply", "b.obj"], 2, "b.obj"),
        (["convert", "a.ply", "b.ply"], 2, "a.ply"),
        (["bench", "no-such"], 2, "no-such"),
    ],
)
def test_bad_arguments(capsys, monkeypatch, tmp_path, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    got, said = complain(capsys, *arguments)
    assert got == code and words in said.replace("\n", " "), said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "ngp", "--ngp.features", "3"], "2 or 4 features"),
        (["--method", "ngp", "--ngp.levels", "3"], "multiple of 16"),
        (["--method", "ngp", "--ngp.cells", "100"], "multiple of 8"),
        (["--method", "ngp", "--ngp.ray-steps", "10"], "32"),
        (["--method", "nerf", "--nerf.sampler", "occupancy", "--nerf.ndc", "on"], "ndc off"),
        (["--method", "nerf", "--nerf.near", "5", "--nerf.far", "2"], "near below far"),
    ],
)
def test_settings_that_never_go_together_leave_no_folder(capsys, small_capture, tmp_path, flags, words):
    code, said = complain(capsys, "train", small_capture, "--out", tmp_path / "result", "--steps", 3, *flags)
    assert code == 1 and words in said and not (tmp_path / "result").exists()


def damage_json(text):
    def damage(folder):
        (folder / "transforms.json").write_text(text)

    return damage


def damage_table(change):
    def damage(folder):
        table = json.loads((folder / "transforms.json").read_text())
        change(table)
        (folder / "transforms.json").write_text(json.dumps(table))

    return damage


def first_frame(**values):
    return damage_table(lambda table: table["frames"][0].update(values))


def scaled(table):
    table["frames"][0]["transform_matrix"] = (np.array(table["frames"][0]["transform_matrix"]) * 2).tolist()


def not_a_number(table):
    table["frames"][0]["transform_matrix"][0][3] = float("nan")


def no_picture(folder):
    shutil.rmtree(folder / "images")


def broken_picture(folder):
    file = folder / "images" / "003.png"
    file.write_bytes(file.read_bytes()[:100])


def other_size(folder):
    Image.new("RGB", (10, 90)).save(folder / "images" / "003.png")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "transforms.json").unlink(), "transforms.json"),
        (damage_json('{"frames": ['), "transforms.json"),
        (damage_json("not JSON"), "transforms.json"),
        (damage_json("[1, 2]"), "transforms.json"),
        (damage_table(lambda table: table.update(frames=[])), "no frames"),
        (damage_table(not_a_number), "000.png"),
        (damage_table(scaled), "rigid"),
        (first_frame(file_path="transforms.json"), "transforms.json cannot be read as an image"),
        (no_picture, "12 photos"),
        (broken_picture, "003.png"),
        (other_size, "003.png"),
    ],
)
def test_bad_captures(capsys, small_capture, tmp_path, damage, words):
    capture = shutil.copytree(small_capture, tmp_path / "capture")
    damage(capture)
    out = tmp_path / "new" / "result"
    code, said = complain(capsys, "train", capture, "--out", out, "--steps", 3)
    assert code == 1 and words in said, said
    assert not out.parent.exists(), "what is left behind is in the way of the next try"
    # Who follows a run has made its folder, and reads there what went wrong.
    out.mkdir(parents=True)
    (out / "log.txt").write_text("followed")
    assert complain(capsys, "train", capture, "--out", out, "--steps", 3)[0] == 1
    last = json.loads((out / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "failed" and words in last["message"] + last["hint"] and not (out / "result.json").exists()
    prepare = {file.name for file in out.iterdir()}
    assert prepare == {"log.txt", "events.jsonl", "lock"}


def test_the_corrected_try_is_accepted(capsys, small_capture, tmp_path):
    capture = shutil.copytree(small_capture, tmp_path / "capture")
    broken_picture(capture)
    (tmp_path / "result").mkdir()
    assert complain(capsys, "train", capture, "--out", tmp_path / "result", "--steps", 3)[0] == 1
    assert cli.main(["train", str(small_capture), "--out", str(tmp_path / "result"), "--steps", "3"]) == 0
    kinds = [json.loads(line)["event"] for line in (tmp_path / "result" / "events.jsonl").read_text().splitlines()]
    assert kinds[0] == "started" and kinds.count("started") == 1 and "failed" not in kinds


def no_compiling(*_):
    raise AssertionError("kernels are compiled before the input is checked")


def test_input_is_checked_before_kernels_are_compiled(capsys, monkeypatch, small_capture, tmp_path):
    assert cli.main(["train", str(small_capture), "--out", str(tmp_path / "result"), "--steps", "3"]) == 0
    monkeypatch.setattr("engine.kernels.compiling.is_compiled", lambda: False)
    monkeypatch.setattr("engine.kernels.compiling.compile_all", no_compiling)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert complain(capsys, "train", empty, "--out", tmp_path / "new", "--steps", 3)[0] == 1
    assert not (tmp_path / "new").exists()
    table = json.loads((tmp_path / "result" / "result.json").read_text())
    (tmp_path / "result" / "result.json").write_text(json.dumps(table | {"capture": str(empty)}, indent=1))
    before = (tmp_path / "result" / "result.json").read_bytes()
    result = tmp_path / "result"
    for arguments in (["train", "--resume", result, "--steps", 9], ["surface", result], ["proxy", result], ["eval", result]):
        code, said = complain(capsys, *arguments)
        assert code in (1, 2) and "empty" in said, said
    assert complain(capsys, "render", result, "--out", tmp_path / "images")[0] == 2 and not (tmp_path / "images").exists()
    assert (result / "result.json").read_bytes() == before, "a refusal changes nothing"


def test_missing_pictures_are_left_out_with_a_warning(capsys, small_capture, tmp_path):
    capture = shutil.copytree(small_capture, tmp_path / "capture")
    for index in (1, 2, 5):
        (capture / "images" / f"{index:03d}.png").unlink()
    assert cli.main(["train", str(capture), "--out", str(tmp_path / "result"), "--steps", "3"]) == 0
    warnings = [json.loads(line) for line in (tmp_path / "result" / "events.jsonl").read_text().splitlines() if "warning" in line]
    assert len(warnings) == 1 and "3 of 12" in warnings[0]["message"]


@pytest.mark.parametrize("flag", [["--preset", "gsplat"], ["--preset=gsplat"]])
def test_flags_win_over_a_preset_even_at_their_default(small_capture, tmp_path, flag):
    flags = [*flag, "--steps", "3", "--splat.sh-degree", "2", "--splat.half-until=0.3", "--splat.max-gaussians", "300"]
    assert cli.main(["train", str(small_capture), "--out", str(tmp_path / "result"), *flags]) == 0
    used = json.loads((tmp_path / "result" / "result.json").read_text())["settings"]
    assert used["preset"] == "gsplat" and used["steps"] == 3 and used["blend"] == "srgb"
    expected = {"sh_degree": 2, "half_until": 0.3, "max_gaussians": 300, "means_rate": 1.6e-4, "rates_fall": 1.0, "prune_share": 0.0}
    assert expected.items() <= used["splat"].items()


def test_a_preset_brings_its_steps_unless_there_is_a_budget(small_capture, tmp_path, monkeypatch):
    taken = []

    def take(job, reporter):
        taken.append(job.settings)
        raise UserError("enough")

    monkeypatch.setattr("engine.jobs.train.train", take)
    for number, flags in enumerate(([], ["--minutes", "7"])):
        assert cli.main(["train", str(small_capture), "--out", str(tmp_path / f"{number}"), "--preset", "gsplat", *flags]) == 1
    assert [(settings.steps, settings.minutes) for settings in taken] == [(30_000, None), (None, 7.0)]


def test_convert_keeps_every_number(tmp_path, capsys, shared_data):
    source = shared_data("splats") / "inria_ply" / "pc_short.ply"
    assert cli.main(["convert", str(source), str(tmp_path / "out.ply")]) == 0
    before, after = read_splats(source), read_splats(tmp_path / "out.ply")
    assert len(before) == len(after)
    np.testing.assert_array_equal(before.means, after.means)
    np.testing.assert_array_equal(before.sh, after.sh)


def test_doctor_names_machine_and_choice(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["threads"] >= 1 and facts["methods"]["splat"]["device"] == "cpu" and facts["methods"]["splat"]["reason"]


def test_a_device_that_is_not_there_is_refused(capsys, small_capture, tmp_path):
    code, said = complain(capsys, "train", small_capture, "--out", tmp_path / "result", "--steps", 3, "--device", "xpu")
    assert code == 1 and "xpu" in said
    assert not (tmp_path / "result").exists(), "what is left behind stands in the way of the next try"


def test_render_along_a_path_without_pictures(capsys, small_capture, tmp_path):
    assert cli.main(["train", str(small_capture), "--out", str(tmp_path / "result"), "--steps", "3"]) == 0
    table = json.loads((small_capture / "transforms.json").read_text())
    path = {key: table[key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
    path["frames"] = [{"transform_matrix": frame["transform_matrix"]} for frame in table["frames"][:3]]
    (tmp_path / "path.json").write_text(json.dumps(path))
    assert cli.main(["render", str(tmp_path / "result"), "--cameras", str(tmp_path / "path.json"), "--out", str(tmp_path / "out")]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png", "00002.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_of_the_user_are_refused_and_stay(capsys, tmp_path, small_capture, shared_data):
    (tmp_path / "loop").symlink_to("loop")
    for arguments in (
        ["train", small_capture, "--out", tmp_path / "loop"],
        ["eval", tmp_path / "loop"],
        ["render", tmp_path / "loop", "--out", tmp_path / "x"],
        ["surface", tmp_path / "loop"],
    ):
        code, said = complain(capsys, *arguments)
        assert code and str(tmp_path / "loop") in said.replace("\n", ""), said
    source = shared_data("splats") / "inria_ply" / "pc_short.ply"
    (tmp_path / "dangling.ply").symlink_to("gone.ply")
    assert complain(capsys, "convert", source, tmp_path / "dangling.ply")[0] == 2
    assert not (tmp_path / "gone.ply").exists() and (tmp_path / "dangling.ply").is_symlink()
    assert cli.main(["train", str(small_capture), "--out", str(tmp_path / "r"), "--steps", "3"]) == 0
    (tmp_path / "r" / "splats.ply").rename(tmp_path / "kept.ply")
    (tmp_path / "r" / "splats.ply").symlink_to(tmp_path / "kept.ply")
    before = (tmp_path / "kept.ply").read_bytes()
    assert "outside its folder" in complain(capsys, "train", "--resume", tmp_path / "r", "--steps", 5)[1]
    assert (tmp_path / "kept.ply").read_bytes() == before and (tmp_path / "r" / "splats.ply").is_symlink()


@pytest.mark.parametrize("command", [["eval"], ["render", "--out", "y"], ["surface"], ["proxy"]])
def test_results_of_voxels_are_no_model(capsys, tmp_path, command):
    write_result(tmp_path, Result("done", "r2n2", str(tmp_path)))
    assert "of voxels" in complain(capsys, command[0], tmp_path, *command[1:])[1]


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="POSIX signals")
def test_ctrl_c_while_libraries_load_is_no_traceback(tmp_path):
    for wait in (0.05, 0.3, 0.8):
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", "doctor"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[0]
        # Before Python has read the first line it ends by itself.
        assert "Traceback" not in said or "engine" not in said, said
