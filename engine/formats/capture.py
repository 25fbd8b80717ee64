# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: finds out which kind a folder holds, and reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cameras import colmap_to_pose
from ..contract.capture import Capture, Frame, check_frame, hold_out
from ..contract.errors import UserError
from ..contract.result import inside
from .colmap import model_folder, read_model
from .llff import POSES, read_llff
from .transforms import TRANSFORMS, Transforms, read_transforms

# Poses are the same up to this share of the turn, and of the reach of the cameras: files keep them to some digits.
_SAME = 1e-3


def read_capture(folder: Path) -> Capture:
    """Reads a capture: ours or nerfstudio's transforms.json, NeRF-synthetic, LLFF, or a COLMAP model.

    The world's axes and scale stay as they are in the files. Held-out views are those of transforms_test.json where there is one, else
    every 8th by name. Pictures that are not there are left out, with one warning.

    Args:
        folder: the capture's folder, or the transforms.json in it.

    Raises:
        UserError: nothing readable is there, a file is damaged, a camera is impossible, or no picture is left.
    """
    folder = Path(folder)
    if folder.name == TRANSFORMS and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", "Choose the folder of a capture.")
    folder = folder.resolve()
    if (folder / TRANSFORMS).is_file():
        return _nerfstudio(folder)
    if (folder / "transforms_train.json").is_file():
        return _nerf_synthetic(folder)
    model = model_folder(folder)
    # Before COLMAP, whose model LLFF's own scenes hold as well: the depths that each camera reaches are only here.
    if (folder / POSES).is_file():
        return _llff(folder, model)
    if model is not None:
        return _colmap(folder, model)
    raise UserError(
        f"{folder} is not a capture: it has no transforms.json, no transforms_train.json, no poses_bounds.npy and no COLMAP "
        "model in sparse/0.",
        "Choose the folder that a capture was written to.",
    )


def _nerfstudio(folder: Path) -> Capture:
    found = read_transforms(folder / TRANSFORMS)
    points = found.points
    if points is None and (folder / "points.ply").is_file():
        points = folder / "points.ply"
    return Capture(
        folder=folder,
        frames=tuple(hold_out(_some(found.frames, found.missing, folder / TRANSFORMS))),
        source="blender" if found.source == "blender" else "nerfstudio",
        scale="metric" if found.scale == "metric" else "unknown",
        points=points,
        warnings=_warnings(folder, found),
    )


def _nerf_synthetic(folder: Path) -> Capture:
    train = read_transforms(folder / "transforms_train.json")
    _some(train.frames, train.missing, folder / "transforms_train.json")
    both = train
    if (folder / "transforms_test.json").is_file():
        test = read_transforms(folder / "transforms_test.json", test=True)
        both = Transforms(train.frames + test.frames, train.missing + test.missing, train.passed_over + test.passed_over)
    has_test = any(frame.test for frame in both.frames)
    return Capture(
        folder=folder,
        frames=tuple(both.frames if has_test else hold_out(both.frames)),
        source="nerf_synthetic",
        points=train.points,
        warnings=_warnings(folder, both),
    )


def _llff(folder: Path, model: Path | None) -> Capture:
    """LLFF's cameras; where the COLMAP model that they were made of lies beside them, its points and its lenses."""
    frames, points = read_llff(folder), None
    if model is not None:
        by_name = {frame.name: frame for frame in frames}
        solved, _, cloud = _model_frames(folder, model)
        pairs = [(frame, by_name[frame.name]) for frame in solved if frame.name in by_name]
        # Elsewhere, in another scale or with other pictures, the model is of no use.
        if len(pairs) == len(frames) and _same_poses(pairs):
            points = cloud
            # Pictures that were made smaller fit LLFF's cameras only.
            if all((frame.w, frame.h) == (other.w, other.h) for frame, other in pairs):
                frames = [replace(frame, near=other.near, far=other.far) for frame, other in pairs]
    return Capture(folder=folder, frames=tuple(hold_out(frames)), source="llff", points=points)


def _same_poses(pairs: list[tuple[Frame, Frame]]) -> bool:
    first, second = (np.array([frame.transform_matrix for frame in side]) for side in zip(*pairs, strict=True))
    reach = max(float(np.ptp(first[:, :3, 3], axis=0).max()), 1e-9)
    turned = np.abs(first[:, :3, :3] - second[:, :3, :3]).max()
    moved = np.abs(first[:, :3, 3] - second[:, :3, 3]).max() / reach
    return bool(max(turned, moved) < _SAME)


def _colmap(folder: Path, model: Path) -> Capture:
    frames, missing, points = _model_frames(folder, model)
    found = Transforms(_some(frames, missing, model), missing)
    return Capture(folder=folder, frames=tuple(hold_out(frames)), source="colmap", points=points, warnings=_warnings(folder, found))


def _model_frames(folder: Path, model: Path) -> tuple[list[Frame], int, Path | None]:
    """The frames of a model whose pictures are there, how many others it has, and the path of its points."""
    cameras, images, points = read_model(model)
    if not images:
        raise UserError(f"{model} has no registered pictures.", "Run COLMAP's mapper again.")
    frames, missing = [], 0
    for image in images:
        camera = cameras[image.camera]
        path = inside(folder / "images", image.name, str(model))
        if not _is_file(path):
            missing += 1
            continue
        try:
            pose = colmap_to_pose(image.qvec, image.tvec)
        except ValueError:
            raise UserError(f"{model}: the pose of {image.name} is not a rotation.", "Run COLMAP's mapper again.") from None
        frame = Frame(
            name=image.name,
            image=path,
            transform_matrix=tuple(tuple(map(float, row)) for row in pose),
            w=camera.width,
            h=camera.height,
            fl_x=camera.fx,
            fl_y=camera.fy,
            cx=camera.cx,
            cy=camera.cy,
            k1=camera.k1,
            k2=camera.k2,
            p1=camera.p1,
            p2=camera.p2,
        )
        check_frame(frame, model)
        frames.append(frame)
    return frames, missing, points


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _some(frames: list[Frame], missing: int, file: Path) -> list[Frame]:
    if not frames:
        raise UserError(f"None of the {missing} pictures that {file} names is there.", "Put the pictures back beside it.")
    return frames


def _warnings(folder: Path, found: Transforms) -> tuple[str, ...]:
    warnings = []
    if found.missing:
        total = found.missing + len(found.frames)
        warnings.append(f"{found.missing} of {total} pictures are not in {folder} and are left out.")
    if found.passed_over:
        kinds = "depth, mask, normal, albedo or point files"
        warnings.append(f"{found.passed_over} {kinds} of {folder} are missing or not readable, and left out.")
    return tuple(warnings)
