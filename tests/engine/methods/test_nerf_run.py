# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of method nerf from the command line: an LLFF scene under the published preset, in small."""

import json

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.contract.events import read_new
from engine.contract.result import read_result
from engine.formats.points import read_points

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


def test_a_scene_seen_from_the_front_is_trained_scored_and_rendered(llff, tmp_path, capsys):
    out = tmp_path / "result"
    assert (
        cli.main(
            ["train", str(llff), "--out", str(out), "--preset", "paper-fern", "--steps", "150", "--nerf.learning-rate", "0.01", *SMALL]
        )
        == 0
    )
    result = read_result(out)
    assert result.status == "done" and result.scale == "unknown" and result.blend == "srgb" and result.settings["nerf"]["ndc"] == "on"
    assert {item.kind for item in result.artifacts} == {"field", "points", "metrics"} and set(result.metrics) == {"psnr", "ssim"}
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
    assert cli.main(["train", "--resume", str(out), "--steps", "160"]) == 0
    assert read_result(out).step == 160


def test_the_same_steps_give_the_same_bytes(small_capture, tmp_path):
    for name in ("one", "two"):
        assert cli.main(["train", str(small_capture), "--out", str(tmp_path / name), "--method", "nerf", "--steps", "20", *SMALL]) == 0
    for file in ("field.safetensors", "points.ply"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_time_budget_is_kept_and_what_was_not_scored_is_said(small_capture, tmp_path, monkeypatch):
    from engine.methods.nerf import NerfTrainer

    # Pictures that seem to take a minute each.
    monkeypatch.setattr(NerfTrainer, "pixel_seconds", 60 / (24 * 20))
    out = tmp_path / "result"
    assert cli.main(["train", str(small_capture), "--out", str(out), "--method", "nerf", "--minutes", "0.05", *SMALL]) == 0
    warnings = [event.values["message"] for event in read_new(out / "events.jsonl")[0] if event.kind == "warning"]
    assert any("1 of 2 held-out views" in message for message in warnings)
    assert len(json.loads((out / "metrics.json").read_text())["views"]) == 1
    previews = list((out / "previews").iterdir())
    assert all(max(Image.open(path).size) < 10 for path in previews)


def test_doctor_says_what_the_method_costs(capsys):
    assert cli.main(["doctor", "--method", "nerf"]) == 0
    said = capsys.readouterr().out
    assert "593 thousand multiply-adds" in said and "159 tera" in said
    assert cli.main(["doctor", "--json", "--method", "nerf"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["sample"] == 593_408
    assert cli.main(["doctor", "--method", "splat"]) == 0


def test_one_picture_is_refused_in_a_sentence(llff, tmp_path, capsys):
    folder = tmp_path / "single"
    (folder / "images").mkdir(parents=True)
    Image.open(llff / "images" / "0.png").save(folder / "images" / "0.png")
    np.save(folder / "poses_bounds.npy", np.load(llff / "poses_bounds.npy")[:1])
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "out"), "--method", "nerf", "--steps", "5", *SMALL]) == 1
    assert "only one view" in capsys.readouterr().err
