# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trained network makes of pictures, as one picture: of shapes held out for testing, or of photos.

python -m scripts.benchmarks.voxel_pictures WEIGHTS --data DATA --out docs/voxels_held_out.png
python -m scripts.benchmarks.voxel_pictures WEIGHTS --photos 0.png 1.png 2.png --out docs/voxels_photos.png

Of shapes: the first picture, the smooth surface of the voxels from one view and from five, and that of the true ones. Of photos: the
surface from the first one, from the first two, and so on, each seen from two sides; the photos themselves are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.formats.voxel_surface import surface_of
from engine.jobs.train_voxels import SCORED
from engine.kernels.drawing import Views, draw
from engine.voxels.batches import composed
from engine.voxels.cutout import cut_out
from engine.voxels.dataset import Shapes, load_split
from engine.voxels.make_data import MADE_UP
from engine.voxels.prediction import predict
from engine.voxels.scores import THRESHOLD
from engine.voxels.shapes import Shape, drawable
from engine.voxels.views import PICTURE, Place, viewmat
from engine.voxels.weights import read_weights

_SMOOTH = 0.5
_BACK = 240
# Where surfaces are seen from, degrees; 0 is their front.
_AZIMUTH, _ELEVATION = 35.0, 20.0
_COLUMNS = 2


def main(arguments: list[str]) -> int:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    if (given.data is None) == (given.photos is None):
        parser.error("give --data or --photos")
    network, _ = read_weights(given.weights)
    sheet = _of_shapes(network, load_split(given.data, "test")) if given.data else _of_photos(network, given.photos)
    Image.fromarray(sheet).save(given.out)
    return 0


def _of_shapes(network, shapes: Shapes) -> np.ndarray:
    """The first made-up shape and the first mesh of each category."""
    made_up = np.array([name.split("/")[1].startswith(MADE_UP) for name in shapes.names])
    rows = []
    for category in sorted(set(shapes.categories)):
        own = np.array(shapes.categories) == category
        for which in (np.flatnonzero(own & made_up), np.flatnonzero(own & ~made_up)):
            for number in which[:1]:
                views = np.array(shapes.views[number])
                picture = (composed(views[:1], _BACK / 255)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
                found = [surface_picture(predict(network, views[:count]), _AZIMUTH) for count in SCORED]
                rows.append(np.concatenate([picture, *found, surface_picture(shapes.cells(np.array([number]))[0], _AZIMUTH)], axis=1))
    rows += [np.full_like(rows[0], _BACK)] * (-len(rows) % _COLUMNS)
    each = len(rows) // _COLUMNS
    return np.concatenate([np.concatenate(rows[first : first + each]) for first in range(0, len(rows), each)], axis=1)


def _of_photos(network, photos: list[Path]) -> np.ndarray:
    views = np.stack([cut_out(photo) for photo in photos])
    rows = []
    for count in range(1, len(views) + 1):
        found = predict(network, views[:count])
        rows.append(np.concatenate([surface_picture(found, azimuth, 2 * PICTURE) for azimuth in (_AZIMUTH, _AZIMUTH - 180)], axis=1))
    return np.concatenate(rows, axis=1)


def surface_picture(probabilities: np.ndarray, azimuth: float, size: int = PICTURE) -> np.ndarray:
    """The smooth surface of voxels [32, 32, 32], seen from somewhere: [size, size, 3] uint8."""
    full = probabilities >= THRESHOLD
    if not full.any():
        return np.full((size, size, 3), _BACK, np.uint8)
    surface = surface_of(probabilities.astype(np.float32), THRESHOLD, _SMOOTH)
    triangles = surface.vertices[surface.triangles]
    plain = np.zeros((1, 6), np.float32)
    shape = Shape(triangles, np.full(triangles.shape, 0.45, np.float32), np.zeros(len(triangles), np.int32), plain)
    pose = viewmat(Place(azimuth, _ELEVATION, 0.0, 2.5, 0.0, 1.0, 0.0, 0.0)).astype(np.float32)
    lens = np.array([[1.5 * size, 1.5 * size, size / 2, size / 2]], np.float32)
    light = [np.full((1, 3), strength, np.float32) for strength in (0.7, 0.35)]
    # From above and the left of the viewer.
    toward = 0.8 * np.array([0.0, 0.0, 1.0]) - 0.4 * pose[0, :3] - 0.5 * pose[2, :3]
    lamp = np.concatenate([toward / np.linalg.norm(toward), (0.6, 0.6, 0.6)]).astype(np.float32)[None, None]
    drawn = draw(drawable(shape, full), Views(pose[None], lens, *light, lamp), size)
    return (composed(drawn, _BACK / 255)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
