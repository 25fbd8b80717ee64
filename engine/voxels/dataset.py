# SPDX-License-Identifier: GPL-3.0-or-later
"""Data of shapes on disk, and in memory for training.

Within each split it is laid out as the published data:

    DATA/train/chair/NAME/model.binvox
                          rendering/00.png …                     127×127, RGBA
                          rendering/renderings.txt               their names
                          rendering/rendering_metadata.txt       where each was taken from, see views.Place
    DATA/val/…   DATA/test/…

A shape's folder is put in its place when it is whole. For training all of a split is packed into two files beside it, which are mapped
into memory: opening thousands of pictures would take longer than learning from them. Packed pictures are framed, as those are that
somebody wants recognized.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..contract.errors import UserError
from ..contract.result import replacing
from ..data.image_files import read_upright
from ..formats.binvox import VoxelGrid, read_binvox, write_binvox
from .cutout import framed
from .shapes import SIDE
from .views import PICTURE, Place

SPLITS = ("train", "val", "test")
MODEL, RENDERING = "model.binvox", "rendering"
_PACKED, _INDEX, _ARRAYS = "framed", "index.json", ("views.npy", "voxels.npy")


def split_of(name: str) -> str:
    """The split of a shape that nobody put into one: a tenth for testing, three hundredths for looking on while training."""
    share = zlib.crc32(name.encode()) % 100
    return "test" if share < 10 else "val" if share < 13 else "train"


def write_shape(folder: Path, grid: VoxelGrid, pictures: np.ndarray, places: list[Place]) -> None:
    """Writes a shape's folder, whole or not at all.

    Args:
        folder: what it will be called; nothing is there. grid: its voxels. pictures: [V, 127, 127, 4] uint8. places: of the pictures.

    Raises:
        UserError: a folder of somebody else has the name that is needed until then.
    """
    part = folder.with_name(f".{folder.name}.part")
    if part.exists():
        if not part.is_dir() or {item.name for item in part.iterdir()} - {RENDERING, MODEL}:
            raise UserError(f"{part} was not written by Reconstruct.", "Move it out of the folder.", "foreign")
        # Of a run that was killed.
        shutil.rmtree(part)
    (part / RENDERING).mkdir(parents=True)
    names = [f"{index:02d}.png" for index in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(part / RENDERING / name, compress_level=4)
    (part / RENDERING / "renderings.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (part / RENDERING / "rendering_metadata.txt").write_text("\n".join(place.line() for place in places) + "\n", encoding="utf-8")
    write_binvox(part / MODEL, grid)
    part.rename(folder)


@dataclass(frozen=True, eq=False)
class Shapes:
    """A split, mapped into memory.

    ``views``: [N, V, 127, 127, 4] uint8, straight alpha. ``voxels``: [N, 4096] uint8, 32³ cells packed along z, see :meth:`cells`.
    ``categories``, ``names``: of each shape.
    """

    views: np.ndarray
    voxels: np.ndarray
    categories: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def cells(self, which: np.ndarray) -> np.ndarray:
        """The voxels of some shapes, [B, 32, 32, 32] bool with axes x, y, z."""
        return np.unpackbits(self.voxels[which], axis=1).view(bool).reshape(-1, SIDE, SIDE, SIDE)

    def at_most(self, count: int) -> Shapes:
        """Some of the shapes, of all categories alike."""
        every = slice(None, None, -(-len(self) // count))
        return Shapes(self.views[every], self.voxels[every], self.categories[every], self.names[every])


def shape_folders(data: Path, split: str) -> list[Path]:
    """The folders of a split's shapes, in order."""
    return sorted(file.parent for file in (data / split).glob(f"*/*/{MODEL}") if not file.parent.name.startswith("."))


def load_split(data: Path, split: str, progress: Callable[[int, int], None] | None = None) -> Shapes:
    """Maps a split into memory; packs it first where that was not done yet, or where shapes have come since.

    Raises:
        UserError: there are no shapes, or one is damaged.
    """
    folders = shape_folders(data, split)
    if not folders:
        raise UserError(f"{data} has no shapes in {split}.", "Make some with: voxels make-data.", "bad_input")
    names = [folder.relative_to(data / split).as_posix() for folder in folders]
    packed = data / _PACKED / split
    # A shape that was removed and made again has the same name, but another time.
    times = ((folder / MODEL).stat().st_mtime_ns for folder in folders)
    key = hashlib.sha256("\n".join(f"{name} {time}" for name, time in zip(names, times, strict=True)).encode()).hexdigest()
    arrays = _packed(packed, key)
    if arrays is None:
        _pack(folders, packed, progress)
        _write_index(packed, key)
        arrays = _packed(packed, key)
        if arrays is None:
            raise UserError(f"{packed} was changed while it was read.", "Train again when nothing else works on that data.")
    return Shapes(*arrays, [name.split("/")[0] for name in names], names)


def _write_index(packed: Path, key: str) -> None:
    with replacing(packed / _INDEX) as temporary:
        temporary.write_text(json.dumps({"key": key}), encoding="utf-8")


def _refuse_foreign(packed: Path) -> None:
    """Refuses a folder with files under our names that no packing of ours began.

    Raises:
        UserError: so it is.
    """
    there = [packed / name for name in (_INDEX, *_ARRAYS) if (packed / name).exists()]
    with contextlib.suppress(OSError, ValueError, RecursionError):
        table = json.loads((packed / _INDEX).read_text(encoding="utf-8"))
        if isinstance(table, dict) and isinstance(table.get("key"), str):
            return
    if there:
        raise UserError(f"{there[0]} was not written by Reconstruct.", "Move it out of the folder.", "foreign")


def _packed(packed: Path, key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Views and voxels that are packed already, None where they are not, are of other shapes, or are damaged."""
    try:
        if json.loads((packed / _INDEX).read_text(encoding="utf-8"))["key"] != key:
            return None
        views, voxels = (np.load(packed / name, mmap_mode="r", allow_pickle=False) for name in _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return views, voxels


def _pack(folders: list[Path], packed: Path, progress: Callable[[int, int], None] | None) -> None:
    packed.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(packed)
    # Of no shapes: until all is packed this says no more than whose it is.
    _write_index(packed, "")
    count = min(len(list((folder / RENDERING).glob("*.png"))) for folder in folders)
    if not count:
        raise UserError(f"{folders[0].parent.parent} holds a shape without pictures.", "Remove it, and make the data again.")
    shapes = (len(folders), count, PICTURE, PICTURE, 4), (len(folders), SIDE**3 // 8)
    # Put in their places whole: another training may have the old ones mapped, and would read what is being written.
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(replacing(packed / name)) for name in _ARRAYS]
        arrays = [np.lib.format.open_memmap(file, "w+", np.uint8, shape) for file, shape in zip(files, shapes, strict=True)]
        _fill(*arrays, folders, progress)
        del arrays


def _fill(views: np.ndarray, voxels: np.ndarray, folders: list[Path], progress: Callable[[int, int], None] | None) -> None:
    for row, folder in enumerate(folders):
        cells = read_binvox(folder / MODEL).cells
        if cells.shape != (SIDE,) * 3:
            raise UserError(f"{folder / MODEL} is not of {SIDE}×{SIDE}×{SIDE} cells.", "Make the data again.")
        voxels[row] = np.packbits(cells.ravel())
        for index, file in enumerate(sorted((folder / RENDERING).glob("*.png"))[: views.shape[1]]):
            views[row, index] = _picture(file)
        if progress is not None:
            progress(row + 1, len(folders))


def _picture(file: Path) -> np.ndarray:
    picture = np.asarray(read_upright(file).convert("RGBA"))
    if picture.shape != (PICTURE, PICTURE, 4):
        raise UserError(f"{file} is not of {PICTURE}×{PICTURE} pixels.", "Remove its shape's folder, and make the data again.")
    return framed(picture) if (picture[..., 3] > 127).any() else picture
