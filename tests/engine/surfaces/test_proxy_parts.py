# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps from a fine surface to a proxy, on shapes that are known."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from engine.cameras import Camera, ray_matrix
from engine.surfaces import baking, hulls
from engine.surfaces.simplification import simplified, unwrapped
from engine.surfaces.standpoints import between
from engine.surfaces.uprightness import standing


def ball(rings=40, radius=1.0, center=(0, 0, 0)):
    """A fine ball, seams welded."""
    angles, heights = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False), np.linspace(0, np.pi, rings + 1)[1:-1]
    flat = np.stack([np.sin(heights)[:, None] * np.cos(angles), np.sin(heights)[:, None] * np.sin(angles)], axis=-1)
    points = np.concatenate([flat.reshape(-1, 2), np.repeat(np.cos(heights), 2 * rings)[:, None]], axis=1)
    points = np.concatenate([points, [[0, 0, 1], [0, 0, -1]]])
    hull = ConvexHull(points)
    triangles = hull.simplices.copy()
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return points * radius + center, triangles.astype(np.int64)


def looking(position, target, size=80, focal=90.0, up=(0, 0, 1)):
    position, target = np.asarray(position, float), np.asarray(target, float)
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross(up, back) / np.linalg.norm(np.cross(up, back))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), position
    return Camera(size, size, focal, focal, size / 2, size / 2, pose)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_simplifying_keeps_the_shape_at_any_scale(scale):
    positions, triangles = ball(radius=scale, center=(100 * scale, 0, 0))
    made, faces = simplified(positions, triangles, 300)
    assert len(faces) <= 300 and faces.max() == len(made) - 1
    away = np.linalg.norm(made - (100 * scale, 0, 0), axis=1) / scale
    assert np.abs(away - 1).max() < 0.05
    same, untouched = simplified(positions, triangles, 10**6)
    np.testing.assert_allclose(same, positions, rtol=0, atol=1e-9 * scale)
    assert len(untouched) == len(triangles)


def test_unwrapping_overlaps_nothing():
    positions, triangles = simplified(*ball(), 500)
    source, corners, uvs = unwrapped(positions, triangles, 256)
    np.testing.assert_array_equal(np.sort(source[corners], axis=None), np.sort(triangles, axis=None))
    assert uvs.min() >= 0 and uvs.max() <= 1
    surface = baking.surface(positions, triangles)
    light = baking.Surface(positions[source], corners, surface.normals[source])
    texels = baking.map_texels(light, uvs, 256, surface)
    assert texels.covered.mean() > 0.4
    one, two = ((uvs[corners[:, k]] - uvs[corners[:, 0]]).astype(float) for k in (1, 2))
    area = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).sum() / 2
    assert abs(texels.covered.mean() / area - 1) < 0.1, "where triangles lay on others, they would cover less than they have"


def test_colors_come_from_the_views_and_fill_what_none_sees():
    """A ball, white above and dark below, seen from above only; a plate hides part of it from one camera."""
    positions, triangles = ball(rings=60)
    fine = baking.surface(positions, triangles)
    made, faces = simplified(positions, triangles, 800)
    source, corners, uvs = unwrapped(made, faces, 128)
    whole = baking.surface(made, faces)
    light = baking.Surface(made[source], corners, whole.normals[source])
    texels = baking.map_texels(light, uvs, 128, fine)
    cameras = [looking((3 * np.cos(a), 3 * np.sin(a), 1.5), (0, 0, 0)) for a in np.arange(6) * np.pi / 3]

    def picture(number):
        camera = cameras[number]
        x, y = np.meshgrid(np.arange(80) + 0.5, np.arange(80) + 0.5)
        rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ ray_matrix(camera).T
        a, b, c = (rays**2).sum(-1), rays @ camera.position, (camera.position**2).sum() - 1
        inside = b * b - a * c
        t = (-b - np.sqrt(np.maximum(inside, 0))) / a
        height = (camera.position + rays * t[..., None])[..., 2]
        codes = np.where(height > 0.2, 220, 40)[..., None] * np.ones(3)
        return np.concatenate([codes, np.where(inside > 0, 255, 0)[..., None]], axis=-1).astype(np.uint8)

    codes, seen = baking.bake(texels, fine, cameras, picture)
    height = texels.places[:, 2]
    values = codes[texels.covered][:, 0].astype(int)
    assert (np.abs(values[seen & (height > 0.3)] - 220) < 6).mean() > 0.99
    assert (np.abs(values[seen & (height < 0.1) & (height > -0.3)] - 40) < 6).mean() > 0.99
    assert not seen[height < -0.9].any() and (np.abs(values[height < -0.9] - 40) < 6).all()
    assert codes.shape == (128, 128, 3) and codes.min() >= 34, "the rest of the texture is filled as well"


def test_normals_of_the_fine_surface_come_back_from_the_map():
    positions, triangles = ball(rings=80)
    fine = baking.surface(positions, triangles)
    made, faces = simplified(positions, triangles, 200)
    source, corners, uvs = unwrapped(made, faces, 256)
    light = baking.Surface(made[source], corners, baking.surface(made, faces).normals[source])
    texels = baking.map_texels(light, uvs, 256, fine)
    local = baking.normal_map(texels)[texels.covered].astype(float) / 255 * 2 - 1
    back = np.einsum("tij,ti->tj", texels.frames, local)
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    assert ((back * texels.normals).sum(axis=1) > 0.999).mean() > 0.98
    true = texels.places / np.linalg.norm(texels.places, axis=1, keepdims=True)
    assert (back * true).sum(axis=1).mean() > 0.999


def test_pieces_of_a_table_leave_the_room_below_it_free():
    rng = np.random.default_rng(0)

    def box(low, high, count):
        low, high = np.array(low), np.array(high)
        points, side = rng.uniform(low, high, (count, 3)), rng.integers(0, 3, count)
        points[np.arange(count), side] = np.where(rng.random(count) < 0.5, low[side], high[side])
        return points

    legs = [box((x - 0.05, y - 0.05, 0), (x + 0.05, y + 0.05, 0.7), 1500) for x in (-0.9, 0.9) for y in (-0.4, 0.4)]
    points = np.concatenate([box((-1, -0.5, 0.7), (1, 0.5, 0.75), 4000), *legs])
    pieces = hulls.convex_pieces(points)
    assert 2 <= len(pieces) <= hulls.MOST_PIECES
    volume = sum(ConvexHull(corners).volume for corners, _ in pieces)
    assert volume < 0.35 * ConvexHull(points).volume
    for corners, triangles in pieces:
        middle, (a, b, c) = corners.mean(axis=0), (corners[triangles[:, k]] for k in range(3))
        assert ((np.cross(b - a, c - a) * (a - middle)).sum(axis=1) > 0).all()
    (corners, triangles), *others = hulls.box_hull(points)
    assert not others and len(corners) == 8 and len(triangles) == 12
    assert hulls.convex_pieces(points * (1, 1, 0))


def test_things_stand_upright_at_the_origin():
    rng = np.random.default_rng(3)
    positions = rng.normal(size=(50, 3)) + 1000
    for up in ([0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0], rng.normal(size=3)):
        up = np.array(up) / np.linalg.norm(up)
        upright, placement = standing(positions, up)
        low, high = upright.min(axis=0), upright.max(axis=0)
        np.testing.assert_allclose([*(low + high)[:2], low[2]], 0, atol=1e-9)
        np.testing.assert_allclose(upright @ placement[:3, :3].T + placement[:3, 3], positions, atol=1e-9)
        np.testing.assert_allclose(placement[:3, :3] @ (0, 0, 1), up, atol=1e-12)
        assert np.linalg.det(placement[:3, :3]) == pytest.approx(1)


def test_views_are_added_in_gaps_but_not_where_nobody_looked():
    angles = np.arange(16) * np.pi / 8
    ring = [looking((3 * np.cos(a), 3 * np.sin(a), height), (0, 0, 0)) for a in angles for height in (0.2, 2.0)]
    made = between(ring, np.zeros(3), 10)
    assert 0 < len(made) <= 10
    heights = np.array([camera.position[2] / np.linalg.norm(camera.position) for camera in made])
    assert heights.min() > -0.15 and heights.max() < 0.75
    assert all(np.abs(camera.direction + camera.position / np.linalg.norm(camera.position)).max() < 1e-6 for camera in made)
    assert between(ring, np.zeros(3), 0) == []
