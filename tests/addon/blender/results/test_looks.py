# SPDX-License-Identifier: GPL-3.0-or-later
"""What results are shown as: per object, in viewport and renders apart, over duplicates, files and undo; and what light does to it."""

import struct
import sys
import time
import zlib
from dataclasses import replace

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.compat import set_modifier_input
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.looks import is_lit, look_modifier, looks_of, show, shown_as
from reconstruct.addon.blender.results.measuring import extent_of
from reconstruct.addon.blender.tagging import tagged
from reconstruct.engine.cameras import uprighted
from reconstruct.engine.contract.result import Artifact, read_result, write_result
from reconstruct.engine.contract.settings import ImportSettings
from reconstruct.engine.formats.meshes import Mesh, write_mesh
from reconstruct.engine.formats.points import PointCloud
from reconstruct.engine.formats.proxies import Proxy, write_proxy

ROUND = [1.0, 0.0, 0.0, 0.0]
RED, GREEN = (200, 30, 30), (30, 160, 60)
# The corners of a side of a cube, and all six sides by axes.
SIDES = [(axis, end) for axis in range(3) for end in (-1, 1)]


def png(color, size=8):
    """A picture in one color."""
    rows = (b"\0" + bytes(color) * size) * size

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def box_proxy(side=1.0, captured=RED, albedo=GREEN, **values):
    """A textured cube on the floor, cut at its edges."""
    positions, normals, triangles = [], [], []
    for axis, end in SIDES:
        across = [other for other in range(3) if other != axis]
        start = len(positions)
        for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner, normal = np.zeros(3), np.zeros(3)
            corner[axis], corner[across[0]], corner[across[1]], normal[axis] = end, u, v, end
            positions.append((corner * 0.5 + (0, 0, 0.5)) * side)
            normals.append(normal)
        turned = end * (-1 if axis == 1 else 1) > 0
        triangles += [(start, start + 1, start + 2), (start, start + 2, start + 3)] if turned else []
        triangles += [] if turned else [(start, start + 2, start + 1), (start, start + 3, start + 2)]
    return Proxy(
        positions=np.array(positions),
        triangles=np.array(triangles),
        uvs=np.tile(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32), (6, 1)),
        normals=np.array(normals, np.float32),
        captured=png(captured),
        albedo=None if albedo is None else png(albedo),
        **values,
    )


@pytest.fixture
def chair(splats, result):
    """A result that holds splats, a mesh and a proxy, all about (0, 0, 0.5)."""
    rng = np.random.default_rng(0)
    means = rng.uniform(-0.5, 0.5, (60, 3)) + (0, 0, 0.5)
    folder = result(splats(means, np.full((60, 3), 0.05), [ROUND] * 60, np.full(60, 0.9), np.full((60, 3), 0.3)))
    return complete(folder)


def complete(folder, proxy=None):
    proxy = proxy or box_proxy()
    write_proxy(folder / "proxy.glb", proxy)
    colors = np.full((len(proxy.positions), 3), 128, np.uint8)
    write_mesh(folder / "mesh.glb", Mesh(PointCloud(proxy.positions, colors), proxy.triangles))
    found = read_result(folder)
    artifacts = (*found.artifacts, Artifact("mesh", "mesh.glb"), Artifact("proxy", "proxy.glb"))
    write_result(folder, type(found)(**{**vars(found), "artifacts": artifacts}))
    return folder


def drawn(made):
    """How many vertices, triangles, points and instances the viewport shows of an object."""
    graph = bpy.context.evaluated_depsgraph_get()
    graph.update()
    shown = made.evaluated_get(graph)
    counts = [0, 0, 0, 0]
    for instance in graph.object_instances:
        owner = instance.parent if instance.is_instance else instance.object
        if owner is None or owner.original != made:
            continue
        data = instance.object.data
        if instance.is_instance:
            counts[3] += 1
        elif instance.object.type == "MESH":
            counts[0] += len(data.vertices)
            counts[1] += len(data.polygons)
        if instance.object.type == "POINTCLOUD":
            counts[2] += len(data.attributes["position"].data)
    assert shown.original == made
    return counts


def test_every_look_is_there_and_shown_apart(scene, nodes, chair):
    (made,) = import_result(scene, chair, ImportSettings())
    assert looks_of(made) == ["box", "points", "mesh", "proxy", "splats"]
    assert (shown_as(made, "Viewport"), shown_as(made, "Render")) == ("proxy", "splats")
    # The cube's 24 corners are 8 again where the texture is not cut.
    assert drawn(made)[:2] == [8, 12]
    for look, expected in (("box", [8, 6, 0]), ("mesh", [24, 12, 0]), ("points", [0, 0, 60])):
        assert show(made, viewport=look)
        assert drawn(made)[:3] == expected and shown_as(made, "Render") == "splats"
    show(made, viewport="splats")
    assert drawn(made)[3] == 60
    set_modifier_input(look_modifier(made), "Viewport Splats", 59)
    assert drawn(made)[2] == 60 and shown_as(made, "Viewport") == "splats", "points stand in above the limit"


def test_the_panel_and_the_operator_change_looks(scene, chair):
    root = sys.modules["reconstruct"]
    root.register()
    try:
        (made,) = import_result(scene, chair, ImportSettings())
        other = made.copy()
        scene.collection.objects.link(other)
        made.reconstruct.viewport, made.reconstruct.render, made.reconstruct.lit = "points", "mesh", True
        assert (shown_as(made, "Viewport"), shown_as(made, "Render"), is_lit(made)) == ("points", "mesh", True)
        assert (made.reconstruct.viewport, made.reconstruct.render, made.reconstruct.lit) == ("points", "mesh", True)
        assert other.reconstruct.render == "splats" and scene.camera.reconstruct.lit is False
        assert made.visible_shadow and not other.visible_shadow
        bpy.context.view_layer.objects.active = made
        bpy.ops.reconstruct.show_as(scope="SCENE")
        assert (shown_as(other, "Viewport"), shown_as(other, "Render"), is_lit(other)) == ("points", "mesh", True)
        bpy.ops.reconstruct.show_as(scope="SCENE", viewport="box", render="splats")
        assert {(shown_as(item, "Viewport"), shown_as(item, "Render")) for item in (made, other)} == {("box", "splats")}
        with pytest.raises(TypeError):
            made.reconstruct.viewport = "cloud"
    finally:
        root.unregister()


def test_the_nearest_look_stands_in(scene, splats, result):
    folder = result(splats([(0, 0, 0)] * 3, [(0.1,) * 3] * 3, [ROUND] * 3, [0.9] * 3, [(1, 1, 1)] * 3))
    (made,) = import_result(scene, folder, ImportSettings())
    assert not show(made, viewport="proxy", render="proxy")
    assert shown_as(made, "Viewport") == shown_as(made, "Render") == "points"
    assert show(made, render="splats") and shown_as(made, "Viewport") == "points"


def test_duplicates_have_looks_of_their_own_and_share_their_data(scene, nodes, chair):
    (made,) = import_result(scene, chair, ImportSettings())
    twin = made.copy()
    scene.collection.objects.link(twin)
    show(twin, "box", "box")
    assert twin.data == made.data and drawn(twin)[:2] == [8, 6]
    assert (shown_as(made, "Viewport"), shown_as(made, "Render")) == ("proxy", "splats")
    assert len(bpy.data.node_groups) == 1 and len(bpy.data.meshes) == 1


def test_an_appended_result_keeps_its_looks_and_its_textures_wherever_the_file_is(scene, chair, tmp_path):
    (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
    name, file = made.name, tmp_path / "first" / "sofa.blend"
    file.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    for path in chair.iterdir():
        path.unlink()
    moved = file.parent.rename(tmp_path / "second") / file.name
    for link in (False, True):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        with bpy.data.libraries.load(str(moved), link=link) as (_, there):
            there.objects = [name]
        (found,) = there.objects
        bpy.context.scene.collection.objects.link(found)
        assert looks_of(found) == ["box", "points", "mesh", "proxy", "splats"] and drawn(found)[:2] == [8, 12]
        assert len(bpy.data.images) == 2 and all(image.packed_file is not None and image.size[0] == 8 for image in bpy.data.images)
        if not link:
            show(found, viewport="points")
            assert drawn(found)[2] == 60


def test_undo_brings_the_former_look_back(nodes, chair):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    (made,) = import_result(bpy.context.scene, chair, ImportSettings())
    name = made.name
    bpy.ops.ed.undo_push(message="Import")
    show(made, viewport="box")
    bpy.ops.ed.undo_push(message="Show As")
    bpy.ops.ed.undo()
    assert shown_as(bpy.data.objects[name], "Viewport") == "proxy" and drawn(bpy.data.objects[name])[:2] == [8, 12]


def test_what_was_captured_lying_comes_in_upright(scene, chair):
    """All that it can look like, with its size; Place says nothing else of it."""
    up = (0.0, -1.0, 0.0)
    whole = np.eye(4)
    whole[:3, :3] = uprighted(up).T
    proxy = box_proxy(side=2.0)
    tall = replace(proxy, positions=proxy.positions * (1, 1, 2))
    complete(chair, replace(tall, placement=whole))
    write_mesh(chair / "mesh.glb", Mesh(PointCloud(tall.positions @ whole[:3, :3].T), tall.triangles))
    write_result(chair, replace(read_result(chair), up=up))
    (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
    for look in ("proxy", "mesh", "box"):
        show(made, viewport=look)
        bpy.context.view_layer.update()
        found = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        corners = np.array([made.matrix_world @ vertex.co for vertex in found.vertices])
        np.testing.assert_allclose(np.ptp(corners, axis=0), np.ptp(tall.positions, axis=0), atol=1e-5, err_msg=look)
        np.testing.assert_allclose(corners.min(axis=0), tall.positions.min(axis=0), atol=1e-5, err_msg=look)
    np.testing.assert_allclose(extent_of(made).size, np.ptp(tall.positions, axis=0), atol=1e-5)


def test_of_a_field_with_a_proxy_the_proxy_is_shown_lit_and_its_mesh_as_captured(scene, chair):
    result = read_result(chair)
    write_result(chair, replace(result, artifacts=tuple(part for part in result.artifacts if part.kind in ("mesh", "proxy"))))
    (made,) = import_result(scene, chair, ImportSettings())
    assert (shown_as(made, "Viewport"), shown_as(made, "Render")) == ("proxy", "proxy") and is_lit(made)
    (made,) = import_result(scene, chair, ImportSettings(look="mesh"))
    assert (shown_as(made, "Viewport"), shown_as(made, "Render")) == ("mesh", "mesh") and not is_lit(made)


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_a_proxy_stands_where_it_was_captured(scene, chair, unit):
    scene.unit_settings.scale_length = unit
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (3000.0, -4000.0, 20.0)
    complete(chair, box_proxy(side=2.0, placement=turned))
    (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
    bpy.context.view_layer.update()
    shown = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    places = np.array([made.matrix_world @ vertex.co for vertex in shown.vertices]) * unit
    np.testing.assert_allclose(places.min(axis=0), (2999, -4001, 20), atol=2e-3)
    np.testing.assert_allclose(places.max(axis=0), (3001, -3999, 22), atol=2e-3)
    np.testing.assert_allclose((extent_of(made).high + made.location) * unit, (3001, -3999, 22), atol=2e-3)


def lamp_and_floor(scene):
    floor = bpy.data.meshes.new("Floor")
    floor.from_pydata([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)], [], [(0, 1, 2, 3)])
    scene.collection.objects.link(bpy.data.objects.new("Floor", floor))
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy = 3.0
    sun = bpy.data.objects.new("Sun", light)
    # From the left and the camera.
    sun.rotation_euler = (0.5, -0.9, 0.0)
    scene.collection.objects.link(sun)
    scene.cycles.samples = 16
    return light


def test_a_lit_proxy_takes_the_light_and_casts_a_shadow_and_a_captured_one_does_neither(scene, picture, chair):
    scene.camera.location, scene.camera.rotation_euler = (0, -5, 2.0), (1.25, 0, 0)
    light = lamp_and_floor(scene)
    alone = picture()
    (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
    lit = picture()
    show(made, lit=False)
    captured = picture()
    changed = np.abs(captured - alone).max(axis=2) > 0.01
    assert changed.mean() > 0.02
    np.testing.assert_allclose(np.median(captured[changed][:, :3], axis=0), (0.577, 0.0130, 0.0130), atol=2e-3)
    shadow = (lit[..., 0] < 0.5 * alone[..., 0]) & ~changed
    assert shadow.mean() > 0.01, "the lit proxy darkens the floor, the captured one does not"
    body = np.median(lit[changed][:, :3], axis=0)
    assert body[1] > 2 * body[0], "what is lit is the albedo"
    light.energy = 0.3
    show(made, lit=True)
    assert np.median(picture()[changed][:, 1]) < 0.5 * body[1]


def test_without_an_albedo_the_captured_colors_are_lit_and_said_so(scene, chair):
    complete(chair, box_proxy(albedo=None))
    (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
    assert "albedo" in tagged(made)["note"] and len(bpy.data.images) == 1
    assert "albedo" not in tagged(import_result(scene, chair, ImportSettings(look="proxy", lit=False))[0])["note"]


def test_twenty_proxies_open_at_once_and_nothing_is_missing(scene, chair, tmp_path):
    rng = np.random.default_rng(0)

    def noise():
        image = bpy.data.images.new("noise", 1024, 1024)
        image.pixels.foreach_set(rng.random(4 * 1024 * 1024, dtype=np.float32))
        image.filepath_raw, image.file_format = str(tmp_path / "noise.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)
        return (tmp_path / "noise.png").read_bytes()

    complete(chair, box_proxy(normal_map=png((128, 128, 255))))
    pictures = [noise(), noise()]
    for index in range(20):
        proxy = box_proxy()
        complete(chair, type(proxy)(**{**vars(proxy), "captured": pictures[0], "albedo": pictures[1]}))
        (made,) = import_result(scene, chair, ImportSettings(look="proxy"))
        made.location.x = 1.5 * index
    file = tmp_path / "first" / "room.blend"
    file.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    file = file.parent.rename(tmp_path / "second") / file.name
    begin = time.monotonic()
    bpy.ops.wm.open_mainfile(filepath=str(file))
    bpy.context.evaluated_depsgraph_get()
    assert time.monotonic() - begin < 3.0
    images = [image for image in bpy.data.images if image.source == "FILE"]
    assert len(images) == 40 and all(image.packed_file is not None and image.size[0] == 1024 for image in images)
