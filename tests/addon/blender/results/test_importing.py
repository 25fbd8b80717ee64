# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and files of others as Blender objects, good ones and bad ones."""

import json
import os
import struct
import sys

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.compat import modifier_input
from reconstruct.addon.blender.results.importing import import_file, import_result
from reconstruct.addon.blender.results.looks import look_modifier, looks_of, shown_as
from reconstruct.addon.blender.results.parts import COLOR, MESH, PART, POINTS, values_of
from reconstruct.addon.blender.rooms.placing import place
from reconstruct.addon.blender.rooms.rendering import render_picture
from reconstruct.addon.blender.tagging import kind_of, tagged
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.result import Artifact, Result, read_result, write_result
from reconstruct.engine.contract.settings import ImportSettings, PlaceSettings, RenderSettings
from reconstruct.engine.formats.meshes import Mesh, write_mesh
from reconstruct.engine.formats.ply import read_vertices, write_vertices
from reconstruct.engine.formats.points import PointCloud, write_points
from reconstruct.engine.formats.splats import write_splats
from reconstruct.engine.formats.splats.blending import to_blend
from reconstruct.engine.harmonics import SH_C0

ROUND = [1.0, 0.0, 0.0, 0.0]


def cloud(splats, count=200, seed=0, offset=(0.0, 0.0, 0.0), blend="linear"):
    rng = np.random.default_rng(seed)
    means = rng.uniform(-1, 1, (count, 3)) + offset
    return splats(means, np.full((count, 3), 0.02), [ROUND] * count, rng.uniform(0.2, 0.9, count), rng.uniform(0, 1, (count, 3)), blend)


def values(made, name):
    return values_of(made.data, name)[values_of(made.data, PART) == POINTS]


def places(made, unit=1.0):
    bpy.context.view_layer.update()
    matrix = np.array(made.matrix_world)
    return (values(made, "position") @ matrix[:3, :3].T + matrix[:3, 3]) * unit


@pytest.mark.parametrize("unit", [1.0, 0.01])
@pytest.mark.parametrize("offset", [(0, 0, 0), (3000.0, -4000.0, 20.0)])
def test_a_result_comes_back_where_it_was_taken(scene, splats, result, unit, offset):
    scene.unit_settings.scale_length = unit
    made_of = cloud(splats, offset=offset)
    (made,) = import_result(scene, result(made_of), ImportSettings())
    np.testing.assert_allclose(places(made, unit), made_of.means, atol=2e-3 if offset[0] else 1e-5)
    assert looks_of(made) == ["box", "points", "splats"] and made.name == "chair" and made.name in scene.objects
    # Far from the origin the data stays near the object's own, where float32 is fine.
    assert np.abs(values(made, "position")).max() * unit < 3


def test_the_trained_colors_are_preferred_to_those_for_other_viewers(scene, splats, result):
    trained = cloud(splats, count=20)
    folder = result(to_blend(trained, "srgb"), blend="linear")
    artifacts = read_result(folder).with_artifact("splats_linear", "splats_linear.ply")
    write_splats(folder / "splats_linear.ply", trained)
    write_result(folder, artifacts)
    (made,) = import_result(scene, folder, ImportSettings())
    expected = 0.5 + SH_C0 * trained.sh[:, 0]
    np.testing.assert_allclose(values(made, COLOR)[:, :3], expected, atol=1e-5)
    assert tagged(made)["blend"] == "linear"


def test_a_radiance_field_comes_back_as_its_points(scene, tmp_path):
    folder = tmp_path / "chair"
    folder.mkdir()
    points = np.random.default_rng(0).uniform(-1, 1, (300, 3)).astype(np.float32) + 5
    write_points(folder / "points.ply", points, np.full((300, 3), 128, np.uint8))
    artifacts = (Artifact("field", "field.safetensors"), Artifact("points", "points.ply"))
    write_result(folder, Result("done", "ngp", "capture", artifacts=artifacts, scale="metric"))
    (made,) = import_result(scene, folder, ImportSettings())
    np.testing.assert_allclose(places(made), points, atol=1e-5)
    assert made.name == "chair" and tagged(made)["scale"] == "metric"


def test_what_a_result_does_not_hold_is_refused(scene, splats, result):
    folder = result(cloud(splats))
    for look, hint in (("proxy", "engine proxy"), ("mesh", "engine surface")):
        with pytest.raises(UserError, match=hint):
            import_result(scene, folder, ImportSettings(look=look))
    assert not bpy.data.meshes and not bpy.data.collections


# A pyramid about a place, whose corners differ in color.
CORNERS = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0], [0, 0, 1]])
SIDES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [0, 2, 1], [0, 3, 2]])
CODES = np.array([[255, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 0]], dtype=np.uint8)


def pyramid(tmp_path, offset=(0.0, 0.0, 0.0), colors=CODES, name="chair"):
    folder = tmp_path / name
    folder.mkdir()
    write_mesh(folder / "mesh.ply", Mesh(PointCloud(CORNERS + offset, colors), SIDES))
    write_points(folder / "points.ply", CORNERS + offset, CODES)
    artifacts = tuple(Artifact(kind, path) for kind, path in (("field", "f"), ("points", "points.ply"), ("mesh", "mesh.ply")))
    write_result(folder, Result("done", "ngp", "capture", artifacts=artifacts, scale="metric"))
    return folder


@pytest.mark.parametrize("unit", [1.0, 0.01])
@pytest.mark.parametrize("offset", [(0, 0, 0), (3000.0, -4000.0, 20.0)])
def test_a_radiance_field_comes_back_as_its_mesh(scene, tmp_path, unit, offset):
    scene.unit_settings.scale_length = unit
    folder = pyramid(tmp_path, offset)
    (made,) = import_result(scene, folder, ImportSettings())
    bpy.context.view_layer.update()
    assert kind_of(made) == "result" and tagged(made)["scale"] == "metric" and shown_as(made, "Render") == "mesh"
    evaluated = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = np.array([made.matrix_world @ vertex.co for vertex in evaluated.vertices]) * unit
    np.testing.assert_allclose(found, CORNERS + offset, atol=2e-3 if offset[0] else 1e-5)
    assert [list(side.vertices) for side in evaluated.polygons] == SIDES.tolist()
    # Far from the origin the data stays near the object's own, where float32 is fine.
    assert max(vertex.co.length for vertex in evaluated.vertices) * unit < 3
    assert made.data.color_attributes.active_color.name == "base_color" and evaluated.polygons[0].use_smooth
    (points,) = import_result(scene, folder, ImportSettings(look="points"))
    assert shown_as(points, "Render") == shown_as(points, "Viewport") == "points" and len(values(points, "radius")) == 5


def test_a_mesh_shows_its_colors_in_a_render_and_is_placed(scene, picture, tmp_path):
    (made,) = import_result(scene, pyramid(tmp_path), ImportSettings())
    made.location.z = -0.5
    rendered = picture()
    # The camera looks at the red side.
    np.testing.assert_allclose(rendered[16, 16], (1, 0, 0, 1), atol=1e-3)
    assert rendered[0, 0, 3] == 0
    place([made], PlaceSettings(location=(2.0, 3.0, 0.0), rotation=90.0, known_length=4.0))
    bpy.context.view_layer.update()
    corner = made.matrix_world @ made.data.vertices[int(np.argmax(values_of(made.data, PART) == MESH))].co
    # Half of the way of the longest side is 2 m now; (-1, -1) turned by 90 degrees is (1, -1).
    np.testing.assert_allclose(corner, (2 + 2, 3 - 2, 0), atol=0.1)


@pytest.mark.parametrize("damage", ["cut", "corner", "none"])
def test_a_bad_mesh_is_refused_and_leaves_nothing_behind(scene, tmp_path, damage):
    folder = pyramid(tmp_path)
    file = folder / "mesh.ply"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-4])
    elif damage == "corner":
        file.write_bytes(file.read_bytes()[:-4] + (99).to_bytes(4, "little"))
    else:
        write_mesh(file, Mesh(PointCloud(CORNERS), SIDES[:0]))
    with pytest.raises(UserError, match=r"mesh\.ply"):
        import_result(scene, folder, ImportSettings())
    assert not bpy.data.meshes and not bpy.data.collections


def test_a_mesh_without_colors_is_grey_and_the_camera_frames_it(scene, tmp_path):
    (made,) = import_result(scene, pyramid(tmp_path, colors=None), ImportSettings())
    gray = values_of(made.data, "base_color")[values_of(made.data, PART) == MESH]
    np.testing.assert_allclose(gray, [(0.5, 0.5, 0.5, 1)] * 5)
    bpy.data.objects.remove(scene.camera)
    render_picture(scene, tmp_path / "picture.png", RenderSettings(width=32, height=32, samples=1))
    away = scene.camera.matrix_world.translation - made.matrix_world.translation
    assert 1 < away.length < 20


def test_the_tag_says_what_it_is(scene, nodes, splats, result):
    folder = result(cloud(splats), scale="unknown")
    (made,) = import_result(scene, folder, ImportSettings())
    tags = tagged(made)
    assert kind_of(made) == "result" and tags["folder"] == str(folder) and tags["scale"] == "unknown"
    assert "from 8 to 1024" in tags["note"] and scene.cycles.transparent_max_bounces == 1024
    assert "AgX" in tags["note"] and "Standard" in tags["note"]
    scene.view_settings.view_transform = "Standard"
    assert tagged(import_result(scene, folder, ImportSettings())[0])["note"] == ""
    assert not bpy.data.collections, "nothing is left when the object is deleted"


@pytest.mark.parametrize("look, viewport, render", [("auto", "points", "splats"), ("splats", "points", "splats"), ("points",) * 3])
def test_splats_come_as_what_is_asked_for(scene, nodes, splats, result, look, viewport, render):
    (made,) = import_result(scene, result(cloud(splats)), ImportSettings(look=look))
    assert (shown_as(made, "Viewport"), shown_as(made, "Render")) == (viewport, render)


def test_points_show_their_colors_in_a_render(scene, picture, splats, result):
    made_of = splats([(0, 0, 0), (0, -1, 0)], [(0.5, 0.5, 0.5)] * 2, [ROUND] * 2, [0.9, 0.05], [(0.2, 0.5, 1.4), (9, 9, 9)])
    import_result(scene, result(made_of), ImportSettings(look="points"))
    rendered = picture()
    np.testing.assert_allclose(rendered[16, 16], (0.2, 0.5, 1.4, 1.0), atol=1e-3)
    assert rendered[0, 0, 3] == 0


def test_max_splats_and_invisible_ones(scene, splats, result):
    folder = result(cloud(splats))
    assert len(values(import_result(scene, folder, ImportSettings(max_splats=50))[0], "opacity")) == 50
    dim = splats([(0, 0, 0)], [(1, 1, 1)], [ROUND], [0.001], [(1, 1, 1)])
    with pytest.raises(UserError, match="can be seen"):
        import_result(scene, result(dim), ImportSettings())


@pytest.mark.parametrize("colors", [None, np.array([[255, 0, 0], [0, 188, 0], [0, 0, 0]], dtype=np.uint8)])
def test_a_file_of_points(scene, tmp_path, colors):
    file = tmp_path / "scan.ply"
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 1]], dtype=np.float32)
    write_points(file, positions, colors)
    (made,) = import_file(scene, file, ImportSettings())
    np.testing.assert_allclose(places(made), positions, atol=1e-6)
    shown = values(made, "base_color")[:, :3]
    np.testing.assert_allclose(shown, 0.5 if colors is None else [[1, 0, 0], [0, 0.503, 0], [0, 0, 0]], atol=1e-3)
    assert tagged(made)["scale"] == "unknown" and looks_of(made) == ["box", "points"]


def test_a_file_of_splats_made_elsewhere(scene, splats, tmp_path):
    file = tmp_path / "sofa.ply"
    write_splats(file, splats([(0, 0, 0)], [(1, 1, 1)], [(0, 0, 0, 3)], [0.9], [(0.5, 0.5, 0.5)], blend=None))
    (made,) = import_file(scene, file, ImportSettings())
    assert shown_as(made, "Render") == "splats"
    np.testing.assert_allclose(values(made, "base_color")[0, :3], 0.21404, atol=1e-4)


def strip_comments(file):
    """Makes a PLY one of another program."""
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"comment ")))


def test_files_that_lie_on_their_side_are_turned(scene, splats, tmp_path):
    up = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.2, 3]], dtype=np.float32)
    made_of = splats(up.tolist(), [(0.1, 0.1, 0.1)] * 3, [(0, 0, 0, 3)] * 3, [0.9] * 3, [(0.5, 0.5, 0.5)] * 3, blend=None)
    write_splats(tmp_path / "sofa.ply", made_of, axes="y-down")
    strip_comments(tmp_path / "sofa.ply")
    write_points(tmp_path / "scan.ply", up[:, [0, 2, 1]] * (1, -1, 1), None)
    for name in ("sofa", "scan"):
        (lying,) = import_file(scene, tmp_path / f"{name}.ply", ImportSettings(), "z-up")
        assert np.ptp(places(lying), axis=0)[2] == pytest.approx(0.2, abs=1e-5)
        (standing,) = import_file(scene, tmp_path / f"{name}.ply", ImportSettings(), "y-down")
        np.testing.assert_allclose(np.ptp(places(standing), axis=0), (0.1, 0.2, 3), atol=1e-5)
        assert places(standing)[2, 2] > places(standing)[0, 2]
    # Splats of other programs stand by themselves, points of scanners have Z up.
    assert np.ptp(places(import_file(scene, tmp_path / "sofa.ply", ImportSettings())[0]), axis=0)[2] == pytest.approx(3, abs=1e-5)
    assert np.ptp(places(import_file(scene, tmp_path / "scan.ply", ImportSettings())[0]), axis=0)[2] == pytest.approx(0.2, abs=1e-5)


def test_what_no_viewer_can_draw_is_left_out_of_files_of_others_and_told(scene, splats, tmp_path):
    file = tmp_path / "sofa.ply"
    write_splats(file, splats([(0, 0, 0), (1, 2, 3)], [(1, 1, 1)] * 2, [(0, 0, 0, 3)] * 2, [0.9] * 2, [(0.5, 0.5, 0.5)] * 2, blend=None))
    codes = bytearray(file.read_bytes())
    begin = codes.index(b"end_header\n") + len(b"end_header\n")
    codes[begin : begin + 4] = np.float32(np.nan).tobytes()
    file.write_bytes(codes)
    (made,) = import_file(scene, file, ImportSettings())
    assert len(places(made)) == 1 and "1 of 2 splats" in tagged(made)["note"]
    half = begin + (len(codes) - begin) // 2
    codes[half : half + 4] = np.float32(np.nan).tobytes()
    file.write_bytes(codes)
    with pytest.raises(UserError, match="not finite"):
        import_file(scene, file, ImportSettings())


@pytest.mark.parametrize("suffix", ["spz", "splat", "glb"])
def test_other_files_of_splats(scene, splats, tmp_path, suffix):
    file = tmp_path / f"sofa.{suffix}"
    write_splats(file, splats([(0, 0, 0), (1, 2, 3)], [(1, 1, 1)] * 2, [(0, 0, 0, 3)] * 2, [0.9] * 2, [(0.5, 0.5, 0.5)] * 2, blend=None))
    (made,) = import_file(scene, file, ImportSettings())
    np.testing.assert_allclose(np.ptp(places(made), axis=0), [1, 2, 3], atol=1e-4)
    assert shown_as(made, "Render") == "splats" and tagged(made)["scale"] == "unknown"


def test_point_colors_are_used_or_it_is_said_that_they_are_not(scene, tmp_path):
    corners = {name: np.arange(3, dtype=np.float32) for name in "xyz"}
    red = {"r": np.full(3, 255, np.uint8), "g": np.zeros(3, np.uint8), "b": np.zeros(3, np.uint8)}
    write_vertices(tmp_path / "rgb.ply", corners | red)
    (made,) = import_file(scene, tmp_path / "rgb.ply", ImportSettings())
    points = values_of(made.data, PART) == POINTS
    np.testing.assert_allclose(values_of(made.data, "base_color")[points, :3], [(1, 0, 0)] * 3, atol=1e-6)
    assert "color" not in tagged(made)["note"].replace("captured colors", "")
    write_vertices(tmp_path / "other.ply", corners | {"scalar_Intensity": np.ones(3, np.float32)})
    (made,) = import_file(scene, tmp_path / "other.ply", ImportSettings())
    assert "scalar_Intensity" in tagged(made)["note"]


def test_splats_that_cloudcompare_saved_come_in_as_splats(scene, splats, tmp_path):
    write_splats(tmp_path / "sofa.ply", cloud(splats, 2))
    columns = read_vertices(tmp_path / "sofa.ply").columns
    write_vertices(tmp_path / "sofa.ply", {name if name in "xyz" else f"scalar_{name}": column for name, column in columns.items()})
    (made,) = import_file(scene, tmp_path / "sofa.ply", ImportSettings())
    assert "splats" in looks_of(made) and len(values(made, "opacity")) == 2


def spz4(file, count=5):
    """SPZ 4 of opaque white splats at (0, 0, 0), (0, 1, 0), … in its own axes, where y is up."""
    zstandard = pytest.importorskip("zstandard")
    places = b"".join(bytes(3) + (index << 12).to_bytes(3, "little") + bytes(3) for index in range(count))
    parts = [places, b"\xff" * count, b"\xff" * 3 * count, b"\x80" * 3 * count, struct.pack("<I", 3 << 30) * count]
    packed = [zstandard.ZstdCompressor().compress(part) for part in parts]
    table = b"".join(struct.pack("<QQ", len(small), len(part)) for small, part in zip(packed, parts, strict=True))
    file.write_bytes(struct.pack("<IIIBBBBI12x", 0x5053474E, 4, count, 0, 12, 0, 5, 32) + table + b"".join(packed))


def test_the_engine_unpacks_spz_4_where_blender_cannot(scene, tmp_path, monkeypatch):
    spz4(tmp_path / "sofa.spz")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setenv("RECONSTRUCT_PYTHON", sys.executable)
    (made,) = import_file(scene, tmp_path / "sofa.spz", ImportSettings())
    assert made.name == "sofa" and tagged(made)["file"] == "sofa.spz"
    np.testing.assert_allclose(places(made)[:, 2], np.arange(5), atol=1e-4)
    (tmp_path / "sofa.spz").write_bytes((tmp_path / "sofa.spz").read_bytes()[:-3])
    with pytest.raises(UserError, match="could not convert.*sofa.spz.*cut short"):
        import_file(scene, tmp_path / "sofa.spz", ImportSettings())


def test_without_an_engine_spz_4_says_what_it_needs(scene, tmp_path, monkeypatch):
    spz4(tmp_path / "sofa.spz")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setenv("RECONSTRUCT_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="SPZ of version 4, which the engine unpacks.*nowhere.*Choose"):
        import_file(scene, tmp_path / "sofa.spz", ImportSettings())


def spoil(folder, kind):
    file = folder / "splats.ply"
    if kind == "missing":
        file.unlink()
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    elif kind == "noise":
        file.write_bytes(np.random.default_rng(1).bytes(5000))
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "no result":
        (folder / "result.json").unlink()
    elif kind == "nothing in it":
        _change(folder, artifacts=[])
    elif kind == "outside":
        _change(folder, artifacts=[{"kind": "splats", "path": "../../splats.ply"}])


def _change(folder, **values):
    file = folder / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("kind", ["missing", "cut", "noise", "empty", "no result", "nothing in it", "outside"])
def test_bad_results_are_refused_and_leave_nothing_behind(scene, splats, result, kind):
    folder = result(cloud(splats))
    spoil(folder, kind)
    with pytest.raises(UserError) as caught:
        import_result(scene, folder, ImportSettings())
    assert str(folder) in str(caught.value)
    assert not bpy.data.meshes and not bpy.data.collections


@pytest.mark.parametrize("alive, said", [(True, "still being trained"), (False, "broken off")])
def test_a_result_without_splats_says_whether_to_wait(scene, splats, result, alive, said):
    folder = result(cloud(splats))
    _change(folder, artifacts=[], status="running", pid=os.getpid() if alive else 0)
    with pytest.raises(UserError, match=said):
        import_result(scene, folder, ImportSettings())


def test_an_orthographic_camera_gets_round_splats(scene, nodes, splats, result, tmp_path):
    (made,) = import_result(scene, result(splats([(0, 0, 0)], [(0.5, 0.5, 0.5)], [ROUND], [0.9], [(0.8, 0.1, 0.1)])), ImportSettings())
    scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 4.0
    scene.camera.location = (1.5, -5.0, 0.0)
    render_picture(scene, tmp_path / "picture.png", RenderSettings(width=32, height=32, samples=1))
    bpy.context.view_layer.update()
    assert not modifier_input(look_modifier(made), "Face Camera")


def test_an_empty_file_of_points_is_refused(scene, tmp_path):
    file = tmp_path / "none.ply"
    write_points(file, np.zeros((0, 3), dtype=np.float32), None)
    with pytest.raises(UserError, match=r"none\.ply"):
        import_file(scene, file, ImportSettings())


def test_importing_while_a_mesh_is_edited_keeps_its_mode(splats, result):
    bpy.ops.wm.read_factory_settings()
    bpy.ops.object.mode_set(mode="EDIT")
    (made,) = import_result(bpy.context.scene, result(cloud(splats)), ImportSettings())
    assert len(values(made, "opacity")) == 200 and bpy.context.mode == "EDIT_MESH"
