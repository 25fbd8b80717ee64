# SPDX-License-Identifier: GPL-3.0-or-later
"""Instant-NGP from capture to result, on a small capture of colored blobs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save

from engine import cli, metrics
from engine.cameras import Camera
from engine.contract.capture import Capture, Frame
from engine.contract.errors import UserError
from engine.contract.methods.ngp import NgpSettings
from engine.contract.presets import with_preset
from engine.contract.result import read_result
from engine.contract.schema import from_mapping
from engine.contract.settings import TrainSettings
from engine.data.views import View, load_views
from engine.formats.capture import read_capture
from engine.formats.meshes import read_mesh
from engine.formats.points import read_points
from engine.kernels import amx, use_threads
from engine.methods import load_model, new_trainer
from engine.runs.scoring import background, target

ROOT = Path(__file__).parents[3]
SMALL = NgpSettings(log2_table=12, finest=128, batch=2048, ray_steps=256, cells=32, mesh_cells=48)


def trainer(folder, blend="srgb", ngp=SMALL, **more):
    use_threads(2)
    capture = read_capture(folder)
    return new_trainer(TrainSettings(method="ngp", ngp=ngp, **more), capture, load_views(capture, "train"), blend, 2)


def train(made, steps, of):
    return [made.step(made.steps_done / of) for _ in range(steps)]


def score(made, folder, blend="srgb"):
    views = load_views(read_capture(folder), "test")
    return np.mean([metrics.psnr(made.render(view.camera, background(view))[0], target(view, blend)) for view in views])


@pytest.mark.parametrize("blend", ["srgb", "linear"])
def test_blobs_are_learnt(small_capture, blend):
    made = trainer(small_capture, blend)
    losses = train(made, 300, 300)
    assert np.mean(losses[-20:]) < 0.2 * np.mean(losses[:5])
    assert score(made, small_capture, blend) > 22
    low, high = made.bounds()
    assert -1.5 < min(low) < -0.2 and 0.2 < max(high) < 1.5


def test_bfloat16_is_taken_where_the_processor_has_units_for_it(small_capture, monkeypatch):
    monkeypatch.setattr(amx, "available", lambda: False)
    with pytest.raises(UserError, match="bfloat16"):
        trainer(small_capture, ngp=replace(SMALL, precision="bfloat16"))
    plain = trainer(small_capture)
    plain.step(0.0)
    monkeypatch.undo()
    asked, usual = (trainer(small_capture, ngp=replace(SMALL, precision=name)) for name in ("float32", "auto"))
    for made in (asked, usual):
        made.step(0.0)
    assert np.array_equal(plain.field.weights, asked.field.weights)
    assert np.array_equal(plain.field.weights, usual.field.weights) != amx.available()


def test_opaque_views_far_from_the_origin(capture_writer, tmp_path):
    center = (2000.0, -500.0, 30.0)
    folder = capture_writer(tmp_path / "opaque", center=center, alpha=False)
    made = trainer(folder, ngp=replace(SMALL, ray_steps=512, log2_table=14, batch=8192))
    assert len(made.grid.thickness) == 4
    train(made, 200, 200)
    assert score(made, folder) > 20
    view = load_views(read_capture(folder), "test")[0]
    light, alpha, depth = made.layers(view.camera)
    assert light.shape == (3, 40, 48) and np.isfinite(light).all()
    seen = depth[(alpha > 0.9) & (depth > 0)]
    assert len(seen) and 1 < np.median(seen) < 5


def test_the_same_steps_give_the_same_bytes_also_over_a_resume(small_capture):
    whole = trainer(small_capture)
    train(whole, 60, 100)
    parts = trainer(small_capture)
    train(parts, 25, 100)
    arrays, facts = parts.state()
    saved = {name: array.copy() for name, array in arrays.items()}
    resumed = trainer(small_capture)
    resumed.load_state(saved, json.loads(json.dumps(facts)))
    train(resumed, 35, 100)
    for name, array in whole.state()[0].items():
        assert array.tobytes() == resumed.state()[0][name].tobytes(), name
    other = trainer(small_capture, seed=1)
    train(other, 60, 100)
    assert other.state()[0]["table"].tobytes() != whole.state()[0]["table"].tobytes()


def test_the_published_settings_look_at_the_grid_as_published(small_capture, monkeypatch):
    given = from_mapping(TrainSettings, with_preset({"preset": "paper-ngp"}))
    assert (given.steps, given.ngp.cells, given.ngp.levels, given.ngp.features, given.ngp.log2_table) == (35_000, 128, 16, 2, 19)
    assert (given.ngp.batch, given.ngp.finest, given.ngp.rate, given.ngp.ray_steps) == (2**18, 2048, 1e-2, 1024)
    assert given.ngp.faint == given.ngp.distortion == 0
    made = trainer(small_capture, ngp=replace(SMALL, looks="paper"))
    cells = 32**3
    looks = []
    for made.steps_done in range(600):
        looks.append(made._looks())
    due = [step for step, count in enumerate(looks) if count]
    assert due[:5] == [1, 2, 3, 4, 5] and 31 in due and 33 not in due and due[-3:] == [560, 576, 592]
    assert {looks[step] for step in due if step < 256} == {cells} and {looks[step] for step in due if step >= 256} == {cells // 2}
    made.steps_done = 0
    train(made, 20, 20)


def test_pictures_are_made_of_averages_of_the_last_steps(small_capture):
    made = trainer(small_capture)
    train(made, 16, 200)
    field = made.field
    assert np.array_equal(field.mean_weights, field.weights)
    before = field.mean_weights.clone()
    train(made, 16, 200)
    # 0.95 to the power of 16 of what was before.
    expected = before + (1 - 0.95**16) * (field.weights - before)
    assert np.allclose(field.mean_weights, expected, atol=1e-6) and not np.array_equal(field.mean_weights, field.weights)
    view = load_views(read_capture(small_capture), "test")[0]
    shown = made.render(view.camera, np.ones(3))[0]
    field.weights.zero_()
    assert np.array_equal(made.render(view.camera, np.ones(3))[0], shown)


@pytest.mark.parametrize("away, stated", [(2.0, False), (5.0, True)])
def test_views_that_all_face_one_way_are_learnt_with_bounds_and_without(tmp_path, away, stated):
    views, frames = [], []
    for index in range(9):
        x, z = 0.2 * (index % 3 - 1), 0.2 * (index // 3 - 1)
        pose = np.array([[1.0, 0, 0, x], [0, 0, -1, 0], [0, 1, 0, z], [0, 0, 0, 1]])
        row, column = np.mgrid[:24, :32] + 0.5
        squares = (np.floor((column - 16) / 15 + x * 2 / away) + np.floor((row - 12) / 15 - z * 2 / away)) % 2
        pixels = np.repeat((40 + 170 * squares[..., None]).astype(np.uint8), 3, axis=2)
        views.append(View(str(index), Camera(32, 24, 30.0, 30.0, 16, 12, pose), pixels))
        known = {"near": 0.8 * away, "far": 1.6 * away} if stated else {}
        frames.append(Frame(str(index), tmp_path, tuple(map(tuple, pose.tolist())), 32, 24, 30.0, 30.0, 16, 12, **known))
    use_threads(2)
    capture = Capture(tmp_path, tuple(frames), "nerfstudio")
    made = new_trainer(TrainSettings(method="ngp", ngp=SMALL), capture, views[:4] + views[5:], "srgb", 2)
    train(made, 200, 200)
    assert metrics.psnr(made.render(views[4].camera, np.zeros(3))[0], target(views[4], "srgb")) > 14
    assert np.isfinite(np.array(made.bounds())).all()
    assert set(dict(made.artifacts(tmp_path))) >= {"field", "points"}


@pytest.mark.parametrize("steps", [1, 31])
def test_too_few_steps_of_a_ray_are_refused(small_capture, steps):
    with pytest.raises(UserError, match="too few"):
        trainer(small_capture, ngp=replace(SMALL, ray_steps=steps))
    assert trainer(small_capture, ngp=replace(SMALL, ray_steps=32)).most >= 32


def test_a_checkpoint_of_other_views_is_refused(small_capture):
    made = trainer(small_capture)
    arrays, facts = made.state()
    with pytest.raises(UserError, match="other views"):
        made.load_state(arrays, {**facts, "views": ["another.png"]})


def test_a_checkpoint_of_another_place_is_refused(small_capture):
    made = trainer(small_capture)
    arrays, facts = made.state()
    facts = json.loads(json.dumps(facts))
    nudged = [value + 1e-9 for value in facts["center"]]
    old = {name: value for name, value in facts.items() if name not in ("center", "radius", "rotation")}
    for same in (facts, {**facts, "center": nudged}, old):
        made.load_state(arrays, same)
    moved = [facts["center"][0] + 0.01, *facts["center"][1:]]
    grids = np.concatenate([arrays["thickness"]] * 2)
    for other, more in (({}, {"center": moved}), ({}, {"radius": 1.01 * facts["radius"]}), ({"thickness": grids}, {})):
        with pytest.raises(UserError, match="another place"):
            made.load_state({**arrays, **other}, {**facts, **more})


def test_from_the_command_line(small_capture, tmp_path, capsys):
    flags = [f"--ngp.{name.replace('_', '-')}={getattr(SMALL, name)}" for name in ("log2_table", "finest", "batch", "cells", "mesh_cells")]
    folder = tmp_path / "result"
    assert cli.main(["train", str(small_capture), "--out", str(folder), "--method", "ngp", "--steps", "300", *flags]) == 0
    result = read_result(folder)
    assert result.method == "ngp" and result.status == "done" and result.metrics["psnr"] > 18
    assert {item.kind for item in result.artifacts} == {"field", "points", "mesh", "metrics"}
    points = read_points(folder / "points.ply")
    assert len(points) > 50 and (np.linalg.norm(points.positions, axis=1) < 2).mean() > 0.9
    np.testing.assert_allclose(np.linalg.norm(points.normals, axis=1), 1, atol=1e-3)
    mesh = read_mesh(folder / "mesh.glb")
    assert len(mesh.triangles) > 50 and (np.linalg.norm(mesh.vertices.positions, axis=1) < 1.5).mean() > 0.9
    assert mesh.vertices.colors.std() > 10
    assert cli.main(["eval", str(folder)]) == 0
    assert json.loads((folder / "metrics.json").read_text())["psnr"] == pytest.approx(result.metrics["psnr"], abs=0.01)
    assert cli.main(["render", str(folder), "--out", str(tmp_path / "pictures")]) == 0
    assert len(list((tmp_path / "pictures").iterdir())) == 2
    assert cli.main(["train", "--resume", str(folder), "--steps", "310"]) == 0
    assert read_result(folder).step == 310


def test_a_damaged_field_is_refused(small_capture, tmp_path):
    made = trainer(small_capture)
    made.step(0.0)
    folder = tmp_path
    kinds = list(made.artifacts(folder))
    from engine.contract.result import Result

    result = Result(status="done", method="ngp", capture="", blend="srgb")
    for kind, path in kinds:
        result = result.with_artifact(kind, path)
    view = load_views(read_capture(small_capture), "test")[0]
    expected = made.render(view.camera, np.ones(3))[0]
    assert np.array_equal(load_model(folder, result, 2).render(view.camera, np.ones(3))[0], expected)
    file = folder / "field.safetensors"
    whole = file.read_bytes()
    (tmp_path / "whole.safetensors").write_bytes(whole)
    for damaged in (b"", whole[: len(whole) // 2], whole[:8] + b"x" * 100 + whole[108:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            load_model(folder, result, 2)
    for changes in ({"cascades": 60}, {"cascades": 2}, {"radius": float("inf")}, {"settings": {**vars(made.settings), "log2_table": 24}}):
        with safe_open(tmp_path / "whole.safetensors", "numpy") as tensors:
            arrays, facts = {name: tensors.get_tensor(name) for name in tensors.keys()}, json.loads(tensors.metadata()["field"])
        file.write_bytes(save(arrays, {"field": json.dumps(facts | changes)}))
        with pytest.raises(UserError, match="damaged"):
            load_model(folder, result, 2)
    with pytest.raises(UserError, match="no field"):
        load_model(folder, replace(result, artifacts=()), 2)


def test_all_modules_are_loaded_before_the_first_step(small_capture, tmp_path):
    """The extension may be replaced by another version during a training."""
    code = f"""
import sys
from engine import cli
from engine.jobs import train
make = train.new_trainer
def new_trainer(*given):
    made = make(*given)
    loaded.update(sys.modules)
    return made
loaded, train.new_trainer = set(), new_trainer
small = "--ngp.log2-table 10 --ngp.cells 16 --ngp.mesh-cells 16 --ngp.batch 512".split()
code = cli.main(["train", {str(small_capture)!r}, "--out", {str(tmp_path / "r")!r}, "--method", "ngp", "--steps", "2", *small])
late = [name for name in set(sys.modules) - loaded if name.startswith("engine.")]
sys.exit(code or str(late) if late else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "r" / "field.safetensors").is_file(), done.stderr


def test_a_time_budget_bounds_points_and_mesh(small_capture, monkeypatch):
    made = trainer(small_capture, minutes=1.0)
    assert made.ending_seconds == 0, "nothing is known before the first picture"
    sides = []

    def look(camera):
        sides.append(max(camera.width, camera.height))
        shape = camera.height, camera.width
        made.pixel_seconds = 1e-3
        return torch.zeros(*shape, 3), torch.zeros(shape), torch.zeros(shape)

    # A field that is still haze: at a millisecond a pixel, all points would take ten minutes.
    monkeypatch.setattr(made, "_look", look)
    made.pixel_seconds = 1e-3
    assert made.ending_seconds == pytest.approx(6 + 6)
    made.points()
    assert 1e-3 * 16 * max(sides) ** 2 <= 6 < 1e-3 * 16 * (max(sides) + 1) ** 2
    counts = []
    monkeypatch.setattr("engine.methods.ngp.density_mesh", lambda density, look, box, count, *_: counts.append(count))
    made.mesh()
    made.pixel_seconds = 1e-6
    made.mesh()
    assert counts == [25, 48] and made.ending_seconds == pytest.approx(1e-6 * (16 * 200**2 + 9 * 48**2))
