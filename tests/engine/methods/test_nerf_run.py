# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of method nerf from the command line: an LLFF scene under the published preset, in small."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import cli, precision
from engine.contract.events import read_new
from engine.contract.result import read_result
from engine.fields import renderer
from engine.formats.meshes import Mesh
from engine.formats.points import PointCloud, read_points
from engine.methods.nerf import NerfTrainer
from engine.runs import scoring

SMALL = [
    "--nerf.width", "16", "--nerf.depth", "2", "--nerf.coarse-samples", "8", "--nerf.fine-samples", "8", "--nerf.rays", "64",
    "--nerf.points", "200", "--nerf.mesh-cells", "16", "--downscale", "2",
]  # fmt: skip


@pytest.fixture(scope="module")
def llff(tmp_path_factory):
    """Nine photos of a checkered wall at depth 5, from places side by side."""
    folder = tmp_path_factory.mktemp("llff")
    (folder / "images").mkdir()
    rows = []
    for index in range(9):
        x = 0.1 * (index % 3 - 1)
        y = 0.1 * (index // 3 - 1)
        row, column = np.mgrid[:24, :32] + 0.5
        squares = (np.floor(((column - 16) / 30 * 5 + x) * 2) + np.floor(((row - 12) / 30 * 5 - y) * 2)) % 2
        Image.fromarray(np.repeat((40 + 170 * squares[..., None]).astype(np.uint8), 3, axis=2)).save(folder / "images" / f"{index}.png")
        # Axes down, right and back of a camera that looks along -Z of the world.
        matrix = np.array([[0, 1, 0, x, 24], [-1, 0, 0, y, 32], [0, 0, 1, 0, 30]])
        rows.append([*matrix.ravel(), 4.0, 8.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


def test_a_scene_seen_from_the_front_is_trained_scored_and_rendered(llff, tmp_path, capsys, monkeypatch):
    out = tmp_path / "result"
    assert (
        cli.main(
            ["train", str(llff), "--out", str(out), "--preset", "paper-fern", "--steps", "150", "--nerf.learning-rate", "0.01", *SMALL]
        )
        == 0
    )
    result = read_result(out)
    assert result.status == "done" and result.scale == "unknown" and result.blend == "srgb" and result.settings["nerf"]["ndc"] == "on"
    assert {item.kind for item in result.artifacts} == {"field", "points", "metrics"}
    assert set(result.metrics) == {"psnr", "ssim", "views", "views_held_out"} and result.metrics["views"] == 2
    assert np.isfinite(np.array(result.bounds)).all()
    events = read_new(out / "events.jsonl")[0]
    (note,) = [event.values["message"] for event in events if event.kind == "note"]
    assert "multiply-adds" in note and "16 × 12" in note
    cloud = read_points(out / "points.ply")
    assert np.isfinite(cloud.positions).all() and (cloud.positions[:, 2] < 0).all()
    before = json.loads((out / "metrics.json").read_text())
    assert cli.main(["eval", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["psnr"] == pytest.approx(before["psnr"], abs=1e-4)
    assert cli.main(["render", str(out), "--out", str(tmp_path / "views")]) == 0
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["0.png", "8.png"]
    # Points that are not made this time are not those of before.
    monkeypatch.setattr(NerfTrainer, "points", lambda self: (np.zeros((0, 3)),) * 3)
    assert cli.main(["train", "--resume", str(out), "--steps", "160"]) == 0
    assert read_result(out).step == 160 and {item.kind for item in read_result(out).artifacts} == {"field", "metrics"}


def test_the_same_steps_give_the_same_bytes(small_capture, tmp_path):
    for name in ("one", "two"):
        assert cli.main(["train", str(small_capture), "--out", str(tmp_path / name), "--method", "nerf", "--steps", "20", *SMALL]) == 0
    for file in ("field.safetensors", "points.ply"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_steps_bound_scoring_and_its_size_is_named(small_capture, tmp_path, monkeypatch, capsys):

    # Half of a held-out view, whose size is 24 × 20.
    monkeypatch.setattr(scoring, "_MIN_SCORED_PIXELS", 240)
    monkeypatch.setattr(scoring, "_SCORING_SHARE", 0.0)
    monkeypatch.setattr(scoring, "_MIN_SIDE", 11)
    arguments = ["train", str(small_capture), "--method", "nerf", "--steps", "3", *SMALL, "--out"]
    for name in ("one", "two"):
        assert cli.main([*arguments, str(tmp_path / name)]) == 0
    assert "1 of 2 held-out views at 71% of its width" in capsys.readouterr().out
    # What is scored does not depend on the clock.
    assert (tmp_path / "one" / "metrics.json").read_bytes() == (tmp_path / "two" / "metrics.json").read_bytes()
    scores = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert [(row["width"], row["height"]) for row in scores["views"]] == [(17, 14)]
    warnings = [event.values["message"] for event in read_new(tmp_path / "one" / "events.jsonl")[0] if event.kind == "warning"]
    assert any("1 of 2 held-out views at 71% of its width" in message for message in warnings)
    assert cli.main(["eval", str(tmp_path / "one")]) == 0
    known = read_result(tmp_path / "one").metrics
    assert known["views"] == 2 and "views_factor" not in known


def test_a_time_budget_is_kept_and_what_was_not_scored_is_said(small_capture, tmp_path, monkeypatch):
    from engine.runs.budget import Clock

    # The clock of this run, and not of the process of all tests.
    monkeypatch.setattr("engine.runs.context.Clock", lambda _: Clock(time.time()))
    # Pictures that seem to take a minute each.
    monkeypatch.setattr(NerfTrainer, "pixel_seconds", 60 / (24 * 20))
    out = tmp_path / "result"
    assert cli.main(["train", str(small_capture), "--out", str(out), "--method", "nerf", "--minutes", "0.12", *SMALL]) == 0
    warnings = [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == "warning"]
    assert any("1 of 2 held-out views" in message for message in warnings)
    assert len(json.loads((out / "metrics.json").read_text())["views"]) == 1
    result = read_result(out)
    assert result.step > 1 and result.timing["total"] < 0.12 * 60 + 1
    previews = list((out / "previews").iterdir())
    assert previews and all(max(Image.open(path).size) < 10 for path in previews)


@pytest.mark.parametrize("when", ["step", "points"])
def test_a_wish_to_end_that_comes_while_results_are_made_leaves_the_rest_out(small_capture, tmp_path, monkeypatch, when):
    out = tmp_path / "result"
    cloud = PointCloud(np.eye(3), np.zeros((3, 3), np.uint8), np.eye(3, dtype=np.float32))
    monkeypatch.setattr(NerfTrainer, "points", lambda self: (cloud.positions, cloud.colors, cloud.normals))
    monkeypatch.setattr(NerfTrainer, "mesh", lambda self: Mesh(cloud, np.array([[0, 1, 2]])))
    usual = getattr(NerfTrainer, when)

    def wishing(*given):
        (out / "cancel").touch()
        # The field was listed before anything that takes long began.
        assert when == "step" or read_result(out).artifact("field")
        return usual(*given)

    monkeypatch.setattr(NerfTrainer, when, wishing)
    assert cli.main(["train", str(small_capture), "--out", str(out), "--method", "nerf", "--steps", "3", *SMALL]) == 0
    result = read_result(out)
    kinds = [item.kind for item in result.artifacts]
    assert result.bounds is not None and "metrics" not in kinds
    if when == "step":
        assert result.status == "cancelled" and result.step == 1 and "mesh" in kinds
    else:
        assert result.status == "cancelled" and result.step == 3 and kinds == ["field", "points"]
        monkeypatch.undo()
        # The steps are done; what is missing is written by resuming.
        assert cli.main(["train", "--resume", str(out)]) == 0
        assert read_result(out).status == "done" and read_result(out).step == 3


def test_doctor_says_what_the_method_costs(capsys):
    assert cli.main(["doctor", "--method", "nerf"]) == 0
    said = capsys.readouterr().out
    assert "593 thousand multiply-adds" in said and "159 tera" in said
    assert cli.main(["doctor", "--json", "--method", "nerf"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["sample"] == 593_408
    assert cli.main(["doctor", "--method", "splat"]) == 0
    said = capsys.readouterr().out
    assert "times as fast as float32" in said and "ipex" in said and "int8" in said


RESUMING = """
import sys
from pathlib import Path
from engine import devices
from engine.contract.methods.nerf import NerfSettings
from engine.contract.settings import TrainSettings
from engine.data.views import load_views
from engine.formats.capture import read_capture
from engine.methods.nerf import NerfTrainer
from engine.runs import scoring
devices.has_bfloat16 = lambda device: sys.argv[2] == "bfloat16"
small = NerfSettings(width=32, depth=2, coarse_samples=8, fine_samples=8, rays=64, precision="ipex")
capture = read_capture(Path(sys.argv[1]))
views = load_views(capture, "train")
one, other = (NerfTrainer(TrainSettings(method="nerf", seed=seed, nerf=small), capture, views, "srgb", 2) for seed in (0, 1))
def weights(trainer):
    return {name: array.copy() for name, array in trainer.state()[0].items()}
first = weights(one)
for _ in range(5):
    one.step(0.5)
arrays = weights(one)
assert any((arrays[name] != first[name]).any() for name in first)
other.load_state(*one.state())
for _ in range(5):
    one.step(0.5), other.step(0.5)
last, same = weights(one), weights(other)
assert last.keys() == same.keys() and len(last) == 3 * len(first)
assert all((last[name] == same[name]).all() and last[name].dtype == "float32" for name in last)
assert any((arrays[name] != last[name]).any() for name in first)
"""


def broken(*_):
    raise RuntimeError("no header Python.h\nand so on")


def test_pictures_by_other_numbers_are_chosen_by_name(small_capture, tmp_path, capsys, monkeypatch):
    out = tmp_path / "result"
    assert cli.main(["train", str(small_capture), "--out", str(out), "--method", "nerf", "--steps", "30", *SMALL]) == 0
    written = (out / "metrics.json").read_text()
    psnr = []
    for numbers in ("float32", "bfloat16"):
        capsys.readouterr()
        assert cli.main(["eval", str(out), "--precision", numbers]) == 0
        psnr.append(float(capsys.readouterr().out.split()[1]))
    assert psnr[0] == pytest.approx(psnr[1], abs=0.2)
    # What is written stays the score of the field as it was trained.
    assert (out / "metrics.json").read_text() == written
    # Where the compiler is missing it is said, and the pictures are the usual ones.
    monkeypatch.delitem(sys.modules, "intel_extension_for_pytorch", raising=False)
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert cli.main(["render", str(out), "--out", str(tmp_path / "usual")]) == 0
    capsys.readouterr()
    assert cli.main(["render", str(out), "--out", str(tmp_path / "int8"), "--precision", "int8"]) == 0
    assert "no C++ compiler" in capsys.readouterr().err
    # The same where there is one that does not work.
    monkeypatch.setattr(precision, "compiler", lambda: "g++")
    monkeypatch.setattr(renderer, "Quantized", broken)
    assert cli.main(["render", str(out), "--out", str(tmp_path / "broken"), "--precision", "int8"]) == 0
    assert "(no header Python.h)" in capsys.readouterr().err
    for picture in (tmp_path / "usual").iterdir():
        for other in ("int8", "broken"):
            assert (tmp_path / other / picture.name).read_bytes() == picture.read_bytes()


def test_ipex_that_is_not_there_or_does_not_work_is_refused_in_a_sentence(small_capture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    command = ["train", str(small_capture), "--out", str(tmp_path / "out"), "--method", "nerf", "--nerf.precision", "ipex"]
    assert cli.main([*command, "--steps", "5", *SMALL]) == 1
    assert "scripts/dev.py setup ipex" in capsys.readouterr().err
    # The same where it is there and does not work.
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    monkeypatch.setattr("engine.methods.nerf.with_ipex", broken)
    assert cli.main([*command, "--overwrite", "--steps", "5", *SMALL]) == 1
    said = capsys.readouterr().err
    assert "(no header Python.h)" in said and "--nerf.precision auto" in said and "Traceback" not in said


@pytest.mark.skipif(find_spec("intel_extension_for_pytorch") is None, reason="needs profile ipex (python3 scripts/dev.py setup ipex)")
def test_ipex_trains_and_resumes(small_capture, tmp_path):
    """In processes of their own: once it is loaded, it replaces parts of torch."""

    def python(*words):
        subprocess.run([sys.executable, *map(str, words)], cwd=Path(__file__).parents[3], check=True)

    out = tmp_path / "result"
    python("-m", "engine", "train", small_capture, "--out", out, "--method", "nerf", "--nerf.precision", "ipex", "--steps", 60, *SMALL)
    assert read_result(out).metrics["psnr"] > 10
    # What it leaves is a field like any other.
    python("-m", "engine", "eval", out, "--precision", "float32")
    for numbers in ("float32", "bfloat16"):
        python("-c", RESUMING, small_capture, numbers)


def test_splats_offer_no_choice_of_numbers(small_capture, tmp_path, capsys):
    out = tmp_path / "splats"
    assert cli.main(["train", str(small_capture), "--out", str(out), "--steps", "3"]) == 0
    assert cli.main(["render", str(out), "--out", str(tmp_path / "views"), "--precision", "int8"]) == 2
    assert "nerf" in capsys.readouterr().err


def test_one_picture_is_refused_in_a_sentence(llff, tmp_path, capsys):
    folder = tmp_path / "single"
    (folder / "images").mkdir(parents=True)
    Image.open(llff / "images" / "0.png").save(folder / "images" / "0.png")
    np.save(folder / "poses_bounds.npy", np.load(llff / "poses_bounds.npy")[:1])
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "out"), "--method", "nerf", "--steps", "5", *SMALL]) == 1
    assert "a single training view" in capsys.readouterr().err
