# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands surface and proxy, on a result whose gaussians are known."""

import json
import shutil

import numpy as np
import pytest

from engine import cli
from engine.cameras import Camera
from engine.contract.result import Result, read_result, write_result
from engine.formats.meshes import Mesh, read_mesh, write_mesh
from engine.formats.points import PointCloud
from engine.formats.proxies import read_proxy
from engine.formats.splats import write_splats

CENTER = np.array([4.0, -2.0, 1.0])


def balls(center, unit=1.0):
    """Gaussians that lie flat and densely on two balls: a large one, and a far smaller one that floats beside it. All lengths are
    multiplied by ``unit``."""
    from engine.splats.gaussians import Gaussians

    rng, f = np.random.default_rng(0), np.float32
    normals = rng.normal(size=(3000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    small = np.arange(3000) >= 2900
    means = normals * np.where(small, 0.04, 0.5)[:, None] + small[:, None] * np.array([0.75, 0, 0.3])
    # Turned so that the shortest axis, the third, is the normal.
    quats = np.c_[1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(3000)]
    sizes = np.where(small, 0.01, 0.03)
    values = {
        "means": (unit * means).astype(f),
        "log_scales": np.log(unit * np.c_[sizes, sizes, np.full(3000, 1e-3)]).astype(f),
        "quats": quats.astype(f),
        "opacity_logits": np.full(3000, 4.0, f),
        "sh0": np.tile([1.2, 0.2, -0.8], (3000, 1)).astype(f),
        "shn": np.zeros((3000, 0, 3), f),
    }
    return Gaussians(values, np.array(center))


def write_balls(folder, unit=1.0):
    """Writes a result with the balls, and the capture that it might have been made from, into a folder; returns the result's."""
    from PIL import Image

    from engine.methods.splat import SplatModel

    model, frames = SplatModel(balls(unit * CENTER, unit), "linear", True, 0, 0.01 * unit, 2), []
    (folder / "capture" / "images").mkdir(parents=True)
    for index in range(24):
        height, angle = -0.9 + 1.8 * index / 23, 2.4 * index
        away = 2.2 * unit * np.array([np.sqrt(1 - height**2) * np.cos(angle), np.sqrt(1 - height**2) * np.sin(angle), height])
        back = away / np.linalg.norm(away)
        right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), unit * CENTER + away
        display, alpha = model.render(Camera(96, 96, 110.0, 110.0, 48.0, 48.0, pose), np.zeros(3))
        codes = np.concatenate([display / np.maximum(display.max(), 1e-3), alpha[None]]).clip(0, 1)
        Image.fromarray(np.rint(codes * 255).astype(np.uint8).transpose(1, 2, 0)).save(folder / "capture" / "images" / f"{index:02d}.png")
        frames.append({"file_path": f"images/{index:02d}.png", "transform_matrix": pose.tolist()})
    table = {"w": 96, "h": 96, "fl_x": 110.0, "fl_y": 110.0, "cx": 48.0, "cy": 48.0}
    table |= {"source": "blender", "scale": "metric", "frames": frames}
    (folder / "capture" / "transforms.json").write_text(json.dumps(table))
    (folder / "result").mkdir()
    write_splats(folder / "result" / "splats.ply", model.gaussians.splats("linear", True))
    box = tuple(unit * (CENTER - 0.6)), tuple(unit * (CENTER + 0.8))
    result = Result("done", "splat", str(folder / "capture"), antialias=True, bounds=box, near=model.near)
    write_result(folder / "result", result.with_artifact("splats", "splats.ply"))
    return folder / "result"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_balls(tmp_path_factory.mktemp("balls"))


@pytest.fixture
def result(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "result")


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_the_surface_is_where_the_gaussians_are(result, capsys):
    assert cli.main(["surface", str(result), "--cells", "64"]) == 0
    assert "mesh.glb" in capsys.readouterr().out
    assert read_result(result).artifact("mesh") == "mesh.glb" and read_result(result).status == "done"
    mesh = read_mesh(result / "mesh.glb")
    away = np.linalg.norm(mesh.vertices.positions - CENTER, axis=1)
    # Without the small one that floats.
    assert abs(away.mean() - 0.5) < 0.01 and away.max() < 0.55 and away.min() > 0.45
    edges = np.sort(np.concatenate([mesh.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), "it is closed"
    corners = mesh.vertices.positions[mesh.triangles] - CENTER
    volume = np.linalg.det(corners).sum() / 6
    assert abs(volume / (4 / 3 * np.pi * 0.5**3) - 1) < 0.06, "and faces outwards"
    assert (np.abs(np.median(mesh.vertices.colors, axis=0) - [255, 166, 84]) < 60).all()
    said = [event["event"] for event in events(result)]
    assert said[0] == "started" and said[-1] == "done" and "artifact" in said and events(result)[0]["task"] == "surface"


def test_the_proxy_stands_on_the_floor(result):
    assert cli.main(["surface", str(result), "--cells", "64"]) == 0
    assert cli.main(["proxy", str(result), "--faces", "400", "--texture", "128"]) == 0
    known, proxy = read_result(result), read_proxy(result / "proxy.glb")
    assert known.artifact("proxy") == "proxy.glb" and known.up == (0, 0, 1)
    np.testing.assert_allclose(known.dimensions, [1, 1, 1], rtol=0.03)
    assert 200 < len(proxy.triangles) <= 400 and proxy.albedo is None and proxy.normal_map and proxy.hull
    low, high = proxy.positions.min(axis=0), proxy.positions.max(axis=0)
    np.testing.assert_allclose([low[2], *(low + high)[:2]], 0, atol=1e-6)
    world = proxy.positions @ proxy.placement[:3, :3].T + proxy.placement[:3, 3]
    assert np.abs(np.linalg.norm(world - CENTER, axis=1) - 0.5).max() < 0.03
    assert any("albedo" in event.get("message", "") for event in events(result))
    assert not any(event["event"] == "warning" for event in events(result))


def test_nothing_lies_below_the_floor_that_was_captured(result):
    """Reflections in a floor are learned as things below it."""
    from engine.cameras import unproject
    from engine.data.views import frame_camera
    from engine.formats.capture import read_capture
    from engine.methods import load_model

    known, floor = read_result(result), CENTER[2] - 0.3
    folder = shutil.copytree(known.capture, result.parent / "deep")
    model = load_model(result, known, 2)
    table = json.loads((folder / "transforms.json").read_text())
    by_name = {frame.name: frame_camera(frame) for frame in read_capture(folder).frames}
    for number, entry in enumerate(table["frames"]):
        camera = by_name[entry["file_path"].rpartition("/")[2]]
        depth = model.layers(camera)[2]
        np.save(folder / f"{number}.npy", np.where(unproject(camera, depth)[..., 2] < floor, 0, depth).astype(np.float32))
        entry["depth_file_path"] = f"{number}.npy"
    (folder / "transforms.json").write_text(json.dumps(table))
    write_result(result, Result(**{**vars(known), "capture": str(folder)}))
    assert cli.main(["surface", str(result), "--cells", "48"]) == 0
    assert cli.main(["proxy", str(result), "--faces", "1000", "--texture", "64", "--hull", "none"]) == 0
    known, proxy = read_result(result), read_proxy(result / "proxy.glb")
    assert known.dimensions[2] == pytest.approx(0.8, abs=0.02) and proxy.placement[2, 3] == pytest.approx(floor, abs=0.02)
    assert read_mesh(result / "mesh.glb").vertices.positions[:, 2].min() >= floor - 1e-3


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_proxies_do_not_depend_on_the_unit_of_the_world(result, tmp_path, unit):
    shapes = []
    for folder in (result, write_balls(tmp_path / "rescaled", unit)):
        assert cli.main(["surface", str(folder), "--cells", "48"]) == 0
        assert cli.main(["proxy", str(folder), "--faces", "1000", "--texture", "64", "--hull", "box"]) == 0
        shapes.append((read_mesh(folder / "mesh.glb").vertices.positions, read_proxy(folder / "proxy.glb"), read_result(folder).dimensions))
    (fine, proxy, size), (fine2, proxy2, size2) = shapes
    assert abs(len(fine2) / len(fine) - 1) < 0.02
    np.testing.assert_allclose(np.percentile(fine2, (0, 50, 100), axis=0) / unit, np.percentile(fine, (0, 50, 100), axis=0), atol=0.01)
    np.testing.assert_allclose(np.array(size2) / unit, size, rtol=0.01)
    np.testing.assert_allclose(np.ptp(proxy2.positions, axis=0) / unit, np.ptp(proxy.positions, axis=0), rtol=0.01)


def test_the_proxy_makes_the_surface_where_there_is_none(result):
    # Fields come with a mesh of their density.
    corners = CENTER + 3 * np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    write_mesh(result / "mesh.glb", Mesh(PointCloud(corners), np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])))
    write_result(result, read_result(result).with_artifact("mesh", "mesh.glb"))
    assert cli.main(["proxy", str(result), "--faces", "100", "--texture", "64", "--hull", "box", "--up", "-x"]) == 0
    known = read_result(result)
    np.testing.assert_allclose(known.dimensions, [1, 1, 1], rtol=0.06)
    assert known.artifact("mesh") and known.up == (-1, 0, 0) and len(read_proxy(result / "proxy.glb").hull) == 1


def test_holes_stay_where_that_is_asked(result):
    """From one side alone the other one is not seen: the ball is open there, or closed by a flat end."""
    known = read_result(result)
    capture = shutil.copytree(known.capture, result.parent / "half")
    table = json.loads((capture / "transforms.json").read_text())
    table["frames"] = [frame for frame in table["frames"] if np.array(frame["transform_matrix"])[2, 3] > CENTER[2] + 0.8]
    (capture / "transforms.json").write_text(json.dumps(table))
    write_result(result, Result(**{**vars(known), "capture": str(capture)}))
    open_edges = {}
    for flag in ("--close", "--no-close"):
        assert cli.main(["surface", str(result), "--cells", "48", flag, "--extra-views", "0"]) == 0
        triangles = read_mesh(result / "mesh.glb").triangles
        edges = np.sort(np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
        open_edges[flag] = int((np.unique(edges, axis=0, return_counts=True)[1] == 1).sum())
    assert open_edges["--close"] == 0 < open_edges["--no-close"]
    assert cli.main(["proxy", str(result), "--faces", "400", "--texture", "64", "--hull", "none"]) == 0
    warnings = [event["message"] for event in events(result) if event["event"] == "warning"]
    assert any("shards" in message and "--box" in message for message in warnings)


def test_little_memory_makes_larger_cells_and_says_so(result):
    assert cli.main(["surface", str(result), "--cells", "400", "--memory", "0.01"]) == 0
    assert any("memory" in event.get("message", "") for event in events(result) if event["event"] == "warning")


@pytest.mark.parametrize("command", ["surface", "proxy"])
def test_what_cannot_be_made_is_said(result, capsys, command):
    def complains(words, *more):
        assert cli.main([command, str(result), *more]) == 1
        said = capsys.readouterr().err
        assert words in said and "Traceback" not in said

    known = read_result(result)
    write_result(result, Result(**{**vars(known), "capture": str(result / "gone")}))
    complains("not there any more")
    write_result(result, Result(**{**vars(known), "artifacts": ()}))
    complains("no splats yet")
    write_result(result, Result(**{**vars(known), "method": "r2n2"}))
    complains("of voxels")
    assert not (result / "mesh.glb").exists() and read_result(result).status == "done"


def test_an_empty_box_is_said(result, capsys):
    assert cli.main(["surface", str(result), "--box", "50", "50", "50", "51", "51", "51", "--cells", "32"]) == 1
    assert "no surface" in capsys.readouterr().err
    assert cli.main(["surface", str(result), "--box", "1", "1", "1", "0", "2", "2"]) == 1
    assert "no inside" in capsys.readouterr().err


def test_it_can_be_ended(result):
    from engine.contract.settings import SurfaceSettings
    from engine.jobs.surface import make_surface
    from engine.runs.reporter import Reporter

    class Ending(Reporter):
        def __call__(self, kind, /, **values):
            super().__call__(kind, **values)
            if values.get("stage") == "depth":
                (result / "cancel").touch()

    assert not make_surface(result, SurfaceSettings(cells=64), Ending(result / "events.jsonl", None))
    assert events(result)[-1]["cancelled"] is True
    assert not (result / "mesh.glb").exists() and not (result / "cancel").exists()
