# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: finds out which kind a folder holds, and reads it."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from ..cameras import colmap_to_pose
from ..contract.capture import Capture, Frame, check_frame, hold_out
from ..contract.errors import UserError
from .colmap import ColmapCamera, ColmapImage, read_model
from .layouts import POINT_FILES, CaptureFiles, enclosing, image_folders, model_folders, shown
from .llff import POSES, read_llff
from .no_capture import no_capture, no_folder
from .transforms import TRANSFORMS, read_transforms, replaced_notes
from .unused_files import below, finished

_TRAIN, _TEST, _VAL = "transforms_train.json", "transforms_test.json", "transforms_val.json"
# Poses are the same up to this share of the rotation, and of the extent of the cameras: files round them.
_SAME = 1e-3


def read_capture(folder: Path) -> Capture:
    """Reads a capture: ours or nerfstudio's transforms.json, NeRF-synthetic, LLFF, or a COLMAP model.

    The world's axes and scale stay as they are in the files. Held-out views are those of transforms_test.json or of the file's own lists,
    else every 8th by name. What is left out, taken from elsewhere or not understood gets a sentence in ``warnings``.

    Args:
        folder: the capture's folder, the folder of a COLMAP model in it, or its transforms file.

    Raises:
        UserError: nothing readable is there, a file is damaged, a camera is impossible, or no photo is left.
    """
    folder = capture_folder(folder)
    with _collector_paused():
        if (folder / TRANSFORMS).is_file():
            return _nerfstudio(folder)
        if (folder / _TRAIN).is_file():
            return _nerf_synthetic(folder)
        # In front of COLMAP, whose model LLFF's own scenes hold as well: only this file has the depths that each camera reaches.
        if (folder / POSES).is_file():
            return _llff(folder)
        models = model_folders(folder) or _other_models(folder)
        if not models:
            raise no_capture(folder)
        return _colmap(folder, _models(folder, models))


def capture_folder(path: Path) -> Path:
    """The absolute path of the folder that a capture is named by, or that its transforms file is in.

    Raises:
        UserError: it is neither.
    """
    path = Path(path)
    if path.name in (TRANSFORMS, _TRAIN, _TEST, _VAL) and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise no_folder(path)
    return path.resolve()


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Frames hold no cycles, but Python's collector would walk all of them again and again: a quarter of the time for 100 000."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass
class _Model:
    """A COLMAP model, and where its photos are. ``capture`` is the folder above both. ``error`` is set if it cannot be read."""

    folder: Path
    capture: Path
    cameras: dict[int, ColmapCamera] = field(default_factory=dict)
    images: list[ColmapImage] = field(default_factory=list)
    points: Path | None = None
    files: CaptureFiles | None = None
    paths: list[str | None] = field(default_factory=list)
    error: UserError | None = None

    @property
    def names(self) -> set[str]:
        return {image.name for image in self.images}

    @property
    def size(self) -> tuple[int, int]:
        """How many photos it has a camera for: those that lie where it names them, and all."""
        return sum(path is not None for path in self.paths) - len(self.files.replaced if self.files else ()), len(self.images)


def _nerfstudio(folder: Path) -> Capture:
    found = read_transforms(folder / TRANSFORMS)
    frames = _checked(found.frames, found.missing, folder, folder / TRANSFORMS, found.notes)
    points = found.points or _point_file([folder])
    for model in _models(folder, model_folders(folder)):
        if points is None and _same_poses(model, frames):
            points = model.points or _point_file([model.folder])
        if len(model.images) > len(found.frames) + len(found.missing):
            found.notes.append(
                f"{below(model.folder, folder)} holds a COLMAP model of {len(model.images)} photos, which is not used; "
                f"{TRANSFORMS} has {len(frames)}."
            )
    found.notes += [f"{other} is not used; {TRANSFORMS} is." for other in (_TRAIN, _TEST) if (folder / other).is_file()]
    return finished(
        Capture(
            folder=folder,
            frames=tuple(frames if found.has_split else hold_out(frames)),
            source="blender" if found.source == "blender" else "nerfstudio",
            scale="metric" if found.scale == "metric" else "unknown",
            points=points,
        ),
        found.notes,
    )


def _nerf_synthetic(folder: Path) -> Capture:
    train = read_transforms(folder / _TRAIN)
    frames = _checked(train.frames, train.missing, folder, folder / _TRAIN, train.notes)
    notes = train.notes
    if (folder / _TEST).is_file():
        test = read_transforms(folder / _TEST, test=True)
        notes += test.notes
        _missing_note(test.missing, test.frames, folder / _TEST, notes)
        known = {frame.image for frame in frames} | {frame.transform_matrix for frame in frames}
        tests = [replace(frame, test=not {frame.image, frame.transform_matrix} & known) for frame in test.frames]
        if seen := sum(not frame.test for frame in tests):
            notes.append(f"{seen} of {len(tests)} views of {_TEST} are also in {_TRAIN}, and are not held out.")
        frames = _unique(frames + tests, folder / _TEST, notes)
    has_test = any(frame.test for frame in frames)
    if (folder / _VAL).is_file():
        notes.append(f"{_VAL} is not used: held-out views are {f'those of {_TEST}' if has_test else 'every 8th'}.")
    return finished(
        Capture(
            folder=folder,
            frames=tuple(frames if has_test else hold_out(frames)),
            source="nerf_synthetic",
            points=train.points or _point_file([folder]),
        ),
        notes,
    )


def _llff(folder: Path) -> Capture:
    """LLFF's cameras; if the COLMAP model that they were made of lies beside them, its points and its lenses."""
    frames, points, notes = read_llff(folder), None, []
    for model in _models(folder, model_folders(folder)):
        # Elsewhere, in another scale or with other photos, the model is of no use.
        if not _same_poses(model, frames) or len(model.images) != len(frames):
            notes.append(f"The COLMAP model in {below(model.folder, folder)} is not used: its cameras are others than those of {POSES}.")
            continue
        points = model.points
        by_name = {frame.name: frame for frame in frames}
        solved = [(frame, by_name[frame.name]) for frame in _model_frames(model)]
        # Photos that were made smaller fit LLFF's cameras only.
        if all((frame.w, frame.h) == (other.w, other.h) for frame, other in solved):
            frames = [replace(frame, near=other.near, far=other.far) for frame, other in solved]
        break
    return finished(Capture(folder=folder, frames=tuple(hold_out(frames)), source="llff", points=points or _point_file([folder])), notes)


def _colmap(folder: Path, models: list[_Model]) -> Capture:
    model = max(models, key=lambda model: model.size)
    if model.error:
        raise model.error
    if not model.images:
        raise UserError(f"{model.folder} has no registered photos.", "Run COLMAP's mapper again.")
    notes = []
    for other in models:
        name = below(other.folder, folder)
        if other.error:
            notes.append(f"The COLMAP model in {name} cannot be read and is not used: {other.error.message}")
        elif other.names - model.names:
            notes.append(
                f"{name} holds another COLMAP model, of {len(other.images)} photos, in a world of its own; "
                f"the largest is used, {below(model.folder, folder)} of {len(model.images)}."
            )
    frames = _model_frames(model)
    missing = [image.name for image, path in zip(model.images, model.paths, strict=True) if path is None]
    frames = _checked(frames, missing, folder, model.folder, notes)
    notes += replaced_notes(model.files, below(model.folder, folder))
    points = model.points or _point_file([model.folder, folder])
    return finished(Capture(folder=model.capture, frames=tuple(hold_out(frames)), source="colmap", points=points), notes)


def _other_models(folder: Path) -> list[Path]:
    """COLMAP models in none of the known layouts, if all are of one scene."""
    names = [os.path.dirname(path) for path in CaptureFiles(folder).below() if os.path.basename(path) in ("images.bin", "images.txt")]
    found = sorted({folder / name for name in names})
    return found if len({path.parent for path in found}) == 1 else []


def _models(folder: Path, folders: list[Path]) -> list[_Model]:
    """Reads COLMAP models, and finds their photos."""
    models = []
    for path in folders:
        model = _Model(path, folder)
        models.append(model)
        try:
            model.cameras, model.images, model.points = read_model(path)
        except UserError as error:
            model.error = error
            continue
        # Photos lie beside the model or above it, up to the folder that was chosen, and above that if it is a part of a layout itself.
        above = [path, *path.parents]
        above = above[: above.index(folder) + 1]
        for base in (folder, *enclosing(folder)):
            if base != folder:
                above.append(base)
            model.capture = base
            model.files = CaptureFiles(folder, [place for level in above for place in image_folders(level)] + above)
            model.paths = model.files.images([image.name for image in model.images])
            if any(model.paths):
                break
    return models


def _model_frames(model: _Model) -> list[Frame]:
    """The frames of a model whose photos are there."""
    frames = []
    for image, path in zip(model.images, model.paths, strict=True):
        if path is None:
            continue
        name = shown(image.name)
        try:
            pose = colmap_to_pose(image.qvec, image.tvec)
        except ValueError:
            raise UserError(f"{model.folder}: the pose of {name} is not a rotation.", "Run COLMAP's mapper again.") from None
        matrix = tuple(tuple(map(float, row)) for row in pose)
        frame = Frame(name=name, image=Path(path), transform_matrix=matrix, **asdict(model.cameras[image.camera]))
        check_frame(frame, model.folder)
        frames.append(frame)
    return frames


def _same_poses(model: _Model, frames: Sequence[Frame]) -> bool:
    """Whether a model has the photos of a capture, posed in the same world."""
    try:
        poses = {frame.name: frame.transform_matrix for frame in _model_frames(model)}
    except UserError:
        return False
    pairs = [(poses[frame.name], frame.transform_matrix) for frame in frames if frame.name in poses]
    if len(pairs) < len(frames) or not pairs:
        return False
    first, second = np.array(pairs).swapaxes(0, 1)
    extent = max(float(np.ptp(first[:, :3, 3], axis=0).max()), 1e-9)
    turned = np.abs(first[:, :3, :3] - second[:, :3, :3]).max()
    moved = np.abs(first[:, :3, 3] - second[:, :3, 3]).max() / extent
    return bool(max(turned, moved) < _SAME)


def _point_file(folders: Iterable[Path]) -> Path | None:
    """Seed points under one of the usual names."""
    for folder in folders:
        files = {name.lower(): name for name in os.listdir(folder)}
        for name in POINT_FILES:
            if name in files and os.path.isfile(folder / files[name]):
                return folder / files[name]
    return None


def _checked(frames: list[Frame], missing: list[str], folder: Path, file: Path, notes: list[str]) -> list[Frame]:
    """The frames of a file, each image once; refuses a file none of whose images is there."""
    if not frames:
        raise UserError(
            f"None of the {len(missing)} photos that {file} names is there; the first is {shown(missing[0])}.",
            _broken_link(folder) or f"Put them where it names them, or into {folder / 'images'}.",
        )
    _missing_note(missing, frames, file, notes)
    return _unique(frames, file, notes)


def _broken_link(folder: Path) -> str:
    """A hint about a link in a folder that leads nowhere."""
    for path in folder.iterdir():
        if path.is_symlink() and not path.exists():
            return f"{path} is a link to {shown(os.readlink(path))}, which is not there; mend it."
    return ""


def _missing_note(missing: list[str], frames: list[Frame], file: Path, notes: list[str]) -> None:
    if missing:
        count, total = len(missing), len(missing) + len(frames)
        notes.insert(0, f"{count} of {total} photos that {file} names are not there and are left out; the first is {shown(missing[0])}.")


def _unique(frames: list[Frame], file: Path, notes: list[str]) -> list[Frame]:
    """Frames without repeated ones.

    Raises:
        UserError: an image has two different cameras.
    """
    first: dict[str, Frame] = {}
    for frame in frames:
        known = first.setdefault(str(frame.image), frame)
        if known is not frame and known.transform_matrix != frame.transform_matrix:
            raise UserError(f"{file} names {shown(str(frame.image))} twice, with different cameras.", "Remove the wrong one of the two.")
    if len(first) < len(frames):
        notes.append(f"{len(frames) - len(first)} of {len(frames)} frames of {file} name an image again, and are left out.")
    return list(first.values())
