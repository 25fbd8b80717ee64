# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes data: views and voxels of meshes in a folder, and of furniture that is made up."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras import turned_about_up
from ..contract.errors import UserError
from ..contract.voxels import MakeDataSettings
from .dataset import MODEL, RENDERING, SPLITS, split_of, write_shape
from .furniture import CATEGORIES, furniture
from .meshes import SUFFIXES, read_shape
from .shapes import Shape, drawable, voxelized
from .views import random_views

MADE_UP = "made-up-"
# How far the sides of a mesh's variants are stretched: the standard deviation of the factors' logarithms.
_STRETCH = 0.2


@dataclass(frozen=True)
class Task:
    """A shape to come: where it goes, and what makes it with notes on what was left out."""

    split: str
    category: str
    name: str
    make: Callable[[], tuple[Shape, list[str]]]


def make_data(
    meshes: Path | None,
    data: Path,
    settings: MakeDataSettings,
    progress: Callable[[int, int], None],
    note: Callable[[str], None],
) -> tuple[int, int]:
    """Makes what is not there yet.

    Args:
        meshes: folder of OBJ, GLB or glTF files, with or without subfolders; None takes only furniture that is made up.
        data: folder that receives the shapes, see dataset.
        progress: called with (done, all); an error that it raises ends the work, what is done stays. note: called with what the user
            should know.

    Returns:
        How many shapes were made, and how many were left out because they cannot be read.

    Raises:
        UserError: there is nothing to make data of, or a setting does not fit.
    """
    tasks = plan(meshes, settings)
    _check_views(data, settings.views)
    made, lost, told = 0, 0, set()
    for index, task in enumerate(tasks):
        folder = data / task.split / task.category / task.name
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                shape, notes = task.make()
            except UserError as error:
                # Once for a mesh, whatever the number of its variants.
                if error.message not in told:
                    note(f"Left out: {error.message}")
                told.add(error.message)
                lost += 1
            else:
                for sentence in notes:
                    note(sentence)
                _write(folder, shape, settings, zlib.crc32(f"{task.category}/{task.name}".encode()))
                made += 1
        progress(index + 1, len(tasks))
    return made, lost


def plan(meshes: Path | None, settings: MakeDataSettings) -> list[Task]:
    """What :func:`make_data` would make; it raises the same errors."""
    if settings.shard > settings.shards:
        raise UserError(f"There is no shard {settings.shard} of {settings.shards}.", "Shards count from 1.")
    tasks = [*(_of_folder(meshes, settings) if meshes is not None else []), *_made_up(settings)]
    if not tasks:
        raise UserError("There is nothing to make data of.", "Name a folder of meshes, or how much --furniture to make up.")
    return tasks[settings.shard - 1 :: settings.shards]


def _check_views(data: Path, views: int) -> None:
    """Refuses other numbers of pictures than pieces that are there have: of all pieces as many are learnt from as the poorest has."""
    held = next(data.glob(f"*/*/*/{MODEL}"), None)
    if held is not None and (count := len(list((held.parent / RENDERING).glob("*.png")))) != views:
        raise UserError(f"The pieces in {data} have {count} pictures each, not {views}.", f"Take --views {count}, or another folder.")


def _write(folder: Path, shape: Shape, settings: MakeDataSettings, number: int) -> None:
    grid = voxelized(shape)
    # A stream of its own for each shape: the same views, whatever is made beside it.
    rng = np.random.default_rng([settings.seed, number])
    write_shape(folder, grid, *random_views(drawable(shape, grid.cells), settings.views, rng))


def _made_up(settings: MakeDataSettings) -> list[Task]:
    tasks = []
    for number in range(settings.furniture):
        for category in CATEGORIES:
            name = f"{MADE_UP}{settings.seed}-{number:06d}"
            make = lambda category=category, number=number: (furniture(category, settings.seed * 1_000_000 + number), [])  # noqa: E731
            tasks.append(Task(split_of(f"{category}/{name}"), category, name, make))
    return tasks


def _of_folder(meshes: Path, settings: MakeDataSettings) -> list[Task]:
    if not meshes.is_dir():
        raise UserError(f"There is no folder {meshes}.", "Give a folder of OBJ, GLB or glTF files.")
    files = sorted(file for file in meshes.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise UserError(f"{meshes} holds no mesh.", "Give a folder of OBJ, GLB or glTF files.")
    if settings.catalogue:
        catalogue = settings.catalogue
        turn, places = _catalogue(Path(catalogue))
        named = {file.stem: file for file in files}
        missing = sorted(set(places) - set(named))
        if missing:
            raise UserError(f"{catalogue} names {missing[0]}, which is not in {meshes}.", "Remove it there, or give another folder.")
        chosen = [(named[name], name, *places[name]) for name in sorted(places)]
    else:
        turn = 0.0
        # By name alone, so that a piece that lies there in two formats, a folder for each, is on one side.
        chosen = [(file, name, split_of(name), file.parent.name) for file, name in _named(meshes, files)]
    tasks = []
    for file, name, split, category in chosen:
        tasks.append(Task(split, category, name, lambda file=file: _read(file, turn)))
        # A piece that is for testing is tested as it is, and so are those that are looked at while training.
        for number in range(settings.variants if split == "train" else 0):
            variant = f"{name}-stretched-{settings.seed}-{number:03d}"
            make = lambda file=file, variant=variant: (_stretched(_read(file, turn)[0], variant), [])  # noqa: E731
            tasks.append(Task(split, category, variant, make))
    return tasks


def _named(meshes: Path, files: list[Path]) -> list[tuple[Path, str]]:
    """A name for each piece: its file's, or all of its path where folders of one name hold files of one name. Of a piece that lies in
    several formats side by side, one is taken.
    """
    pieces = list({file.with_suffix(""): file for file in reversed(files)}.values())[::-1]
    called = Counter((file.parent.name, file.stem) for file in pieces)
    whole = lambda file: "-".join(file.relative_to(meshes).with_suffix("").parts)  # noqa: E731
    return [(file, file.stem if called[file.parent.name, file.stem] == 1 else whole(file)) for file in pieces]


def _read(file: Path, turn: float) -> tuple[Shape, list[str]]:
    shape, notes = read_shape(file)
    return Shape(shape.triangles @ turned_about_up(turn).T, shape.colors, shape.finishes, shape.table), notes


def _stretched(shape: Shape, name: str) -> Shape:
    """A shape with other proportions, those of a name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    factors = np.exp(rng.normal(0, _STRETCH, 3))
    return dataclasses.replace(shape, triangles=shape.triangles * factors)


def _catalogue(file: Path) -> tuple[float, dict[str, tuple[str, str]]]:
    """A turn in degrees that brings fronts to -Y, and split and category of each name: {"turn": 180, "test": {"chair": ["stool"]}, …}."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        turn = float(table.pop("turn", 0.0))
        places = {
            name: (split, category)
            for split, categories in table.items()
            for category, names in categories.items()
            for name in names
            if isinstance(name, str)
        }
    except FileNotFoundError:
        raise UserError(f"There is no catalogue {file}.", "Give a JSON file.") from None
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(f"{file} is not a catalogue.", 'It should hold {"train": {"chair": ["NAME", …]}, "test": {…}}.') from None
    unknown = sorted(set(table) - set(SPLITS))
    if unknown or not np.isfinite(turn):
        raise UserError(f"{file} has a split named {unknown[0]!r}." if unknown else f"{file} has a bad turn.", f"Use {', '.join(SPLITS)}.")
    for _, category in places.values():
        if not category or category.startswith(".") or "/" in category or "\\" in category:
            raise UserError(f"{file} has a category named {category!r}.", "Use plain words.")
    return turn, places
