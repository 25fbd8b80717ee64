# SPDX-License-Identifier: GPL-3.0-or-later
"""Random views: where they look from, that the shape fills them, and that a mirror shows the mirrored shape."""

import numpy as np
import pytest

from engine.kernels.drawing import Views, draw
from engine.voxels.furniture import furniture, parts
from engine.voxels.shapes import Shape, drawable, voxelized
from engine.voxels.views import PICTURE, Place, random_light, random_places, random_views, viewmat


def look(shape, place):
    """A picture in even light."""
    surface = drawable(shape, np.zeros((32, 32, 32), bool))
    even = np.ones((1, 3), np.float32)
    lens = np.array([[place.focal, place.focal, place.x, place.y]], np.float32)
    return draw(surface, Views(viewmat(place)[None].astype(np.float32), lens, even, even, np.zeros((1, 1, 6), np.float32)), PICTURE)[0]


def box_with_colours():
    """A cube: front red, left (+x) green, back blue, right yellow, top white."""
    triangles = parts.box((-1, -1, -1), (1, 1, 1))
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    colors = np.zeros((12, 3))
    for row, normal in enumerate(normals / np.linalg.norm(normals, axis=1, keepdims=True)):
        faces = {(0, -1, 0): (1, 0, 0), (1, 0, 0): (0, 1, 0), (0, 1, 0): (0, 0, 1), (-1, 0, 0): (1, 1, 0), (0, 0, 1): (1, 1, 1)}
        colors[row] = faces.get(tuple(np.round(normal).astype(int).tolist()), (0, 0, 0))
    table = np.array([[0, 1, 0, 0, 0, 1]], np.float32)
    return Shape(triangles, np.repeat(colors[:, None], 3, axis=1).astype(np.float32), np.zeros(12, np.int32), table)


@pytest.mark.parametrize(
    "azimuth, elevation, color", [(0, 0, (1, 0, 0)), (90, 0, (0, 1, 0)), (180, 0, (0, 0, 1)), (270, 0, (1, 1, 0)), (0, 89, (1, 1, 1))]
)
def test_azimuth_and_elevation(azimuth, elevation, color):
    middle = PICTURE / 2
    picture = look(box_with_colours(), Place(azimuth, elevation, 0, 3, 30, 200, middle, middle))
    np.testing.assert_allclose(picture[63, 63, :3] / 255, color, atol=0.01)


def test_up_is_up_and_right_is_right():
    picture = look(box_with_colours(), Place(20, 30, 0, 3, 30, 200, PICTURE / 2, PICTURE / 2))
    # The top above, the front left of the side that is seen.
    rows, columns = np.nonzero(picture[..., 3])
    upper = picture[rows.min() + 5, columns[rows == rows.min() + 5].mean().astype(int), :3]
    np.testing.assert_array_equal(upper, (255, 255, 255))
    columns = columns[rows == 70]
    assert (picture[70, columns.min() + 4, :3] == (255, 0, 0)).all() and (picture[70, columns.max() - 4, :3] == (0, 255, 0)).all()


def test_pictures_are_filled_and_nothing_is_cut_off():
    shape = furniture("chair", 4)
    pictures, places = random_views(drawable(shape, voxelized(shape).cells), 24, np.random.default_rng(0))
    for picture, place in zip(pictures, places, strict=True):
        rows, columns = np.nonzero(picture[..., 3])
        longest = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 0.68 * PICTURE < longest <= 0.97 * PICTURE
        assert 0 < rows.min() and rows.max() < PICTURE - 1 and 0 < columns.min() and columns.max() < PICTURE - 1
        numbers = [float(word) for word in place.line().split()]
        assert len(numbers) == 8 and 1.25 <= numbers[3] <= 4 and 0 <= numbers[0] < 360
    assert len({place.azimuth for place in places}) == 24


def test_a_mirror_shows_the_mirrored_shape():
    shape = furniture("table", 10)
    there = Shape(parts.mirrored(shape.triangles), shape.colors[:, ::-1], shape.finishes, shape.table * (0, 1, 0, 1, 1, 1))
    here = Shape(shape.triangles, shape.colors, shape.finishes, shape.table * (0, 1, 0, 1, 1, 1))
    first = look(here, Place(35, 20, 0, 2.5, 30, 150, 60, 64)).astype(int)
    second = look(there, Place(-35, 20, 0, 2.5, 30, 150, PICTURE - 60, 64)).astype(int)[:, ::-1]
    assert (abs(first - second).max(axis=-1) > 8).mean() < 0.01
    np.testing.assert_array_equal(voxelized(there).cells, voxelized(here).cells[::-1])


def test_the_same_numbers_give_the_same_pictures():
    shape = furniture("lamp", 0)
    surface = drawable(shape, voxelized(shape).cells)
    first, second = (random_views(surface, 3, np.random.default_rng(5))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_light_and_flat_shapes():
    sky, ground, lamps = random_light(200, np.random.default_rng(0))
    assert sky.min() >= 0 and ground.min() >= 0 and lamps[..., 3:].min() >= 0
    np.testing.assert_allclose(np.linalg.norm(lamps[..., :3], axis=-1), 1, atol=1e-5)
    sheet = parts.box((0, 0, 0), (1, 1e-9, 1))
    shape = Shape(
        sheet, np.ones((len(sheet), 3, 3), np.float32), np.zeros(len(sheet), np.int32), np.array([[0, 1, 0, 0, 0, 1]], np.float32)
    )
    places = random_places(drawable(shape, voxelized(shape).cells), 20, np.random.default_rng(0))
    assert all(np.isfinite([*vars(place).values()]).all() for place in places)
