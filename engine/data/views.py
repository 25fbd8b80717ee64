# SPDX-License-Identifier: GPL-3.0-or-later
"""Views: pictures in memory with undistorted cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from ..cameras import Camera
from ..contract.capture import Capture, Frame
from ..contract.errors import UserError
from ..formats.image_sizes import same_shape
from .image_files import is_transparent, read_depth, read_mask, read_normals, read_picture, unit_normals
from .undistortion import Undistortion, resampled


@dataclass(frozen=True, eq=False)
class View:
    """One picture and its camera, without lens distortion."""

    name: str
    camera: Camera
    image: np.ndarray  # [H, W, 3 or 4] uint8, sRGB as displayed, straight alpha
    depth: np.ndarray | None = None  # [H, W] float32 planar z in the world's unit, 0 = none
    mask: np.ndarray | None = None  # [H, W] uint8, 0 = left out
    normals: np.ndarray | None = None  # [3, H, W] float32 world, unit, 0 = none


def load_views(
    capture: Capture,
    split: Literal["train", "test"],
    *,
    scale: float = 1.0,
    max_side: int = 0,
    alpha: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[View]:
    """Loads the pictures of a capture.

    Distorted ones are undistorted, and cropped to what the lens really showed. Either all pictures come with alpha or none: it is
    dropped where every picture of the capture, of whichever split, is opaque.

    Args:
        capture: what was read from the folder.
        split: which half.
        scale: size of the pictures in memory, as a share of the files'; at most 1.
        max_side: of a picture, px; larger ones are scaled down to it. 0 is no limit.
        alpha: whether they come with alpha, where that is known from the other half or a result.
        progress: called with (done, all) after each picture.

    Raises:
        UserError: a picture is missing, damaged, or does not fit its camera, or masks leave no pixel to train on.
    """
    frames = capture.split(split)
    undistortion, views = Undistortion(), []
    for index, frame in enumerate(frames):
        views.append(_load(frame, scale, max_side, undistortion))
        if progress is not None:
            progress(index + 1, len(frames))
    if split == "train" and views and all(view.mask is not None and not view.mask.any() for view in views):
        raise UserError("The masks of the training views leave no pixel to train on.", "Masks are 0 where pixels are ignored.", "bad_input")
    if alpha is None:
        alpha = any(view.image.shape[2] == 4 and view.image[..., 3].min() < 255 for view in views)
        alpha = alpha or any(is_transparent(frame.image) for frame in capture.split("test" if split == "train" else "train"))
    if alpha:
        return [view if view.image.shape[2] == 4 else replace(view, image=_opaque(view.image)) for view in views]
    return [view if view.image.shape[2] == 3 else replace(view, image=np.ascontiguousarray(view.image[..., :3])) for view in views]


def shrunk(view: View, factor: float) -> View:
    """The same view in fewer pixels: ``factor`` times as many on each side, each the mean of the area it covers."""
    camera = view.camera.resized(max(1, round(view.camera.width * factor)), max(1, round(view.camera.height * factor)))
    size = (camera.height, camera.width)
    normals = None
    if view.normals is not None:
        normals = unit_normals(_means(view.normals.transpose(1, 2, 0), camera.width, camera.height).transpose(2, 0, 1))
    image = _shrink(view.image, camera.width, camera.height)
    return View(view.name, camera, image, _nearest(view.depth, size), _nearest(view.mask, size), normals)


def frame_camera(frame: Frame) -> Camera:
    """The camera of a frame, its distortion left aside."""
    pose = np.array(frame.transform_matrix, dtype=np.float64)
    return Camera(frame.w, frame.h, frame.fl_x, frame.fl_y, frame.cx, frame.cy, pose)


def view_scale(width: int, height: int, scale: float, max_side: int) -> float:
    """By how much a picture is smaller in memory; arguments as in :func:`load_views`."""
    return min(scale, max_side / max(width, height)) if max_side else scale


def _load(frame: Frame, scale: float, max_side: int, undistortion: Undistortion) -> View:
    image = read_picture(frame.image, frame.w, frame.h)
    height, width = image.shape[:2]
    scale = view_scale(width, height, scale, max_side)
    if scale < 0.5:
        # In 8 bits to twice the size that is wanted: undistorting all pixels of a large photo takes seconds.
        height, width = (max(1, round(2 * scale * side)) for side in (height, width))
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
        scale = 0.5
    camera = frame_camera(frame).resized(width, height)
    depth = None if frame.depth is None else read_depth(frame.depth)
    mask = None if frame.mask is None else read_mask(frame.mask, frame.w, frame.h)
    normals = None if frame.normals is None else read_normals(frame.normals)
    for name, other in (("depth", depth), ("mask", mask), ("normals", normals)):
        if other is not None and not same_shape(other.shape[:-3:-1], width, height):
            raise UserError(f"{name.title()} and picture of {frame.image} have different shapes.", "Export the capture again.")
    if frame.fisheye or any(frame.distortion):
        ideal, grid = undistortion.of(camera, frame)
        camera = replace(ideal, camera_to_world=camera.camera_to_world)
        image = _straight(resampled(_premultiplied(image), grid, "bilinear").numpy())
        depth = None if depth is None else resampled(depth[..., None], grid, "nearest")[..., 0].numpy()
        mask = None if mask is None else resampled(mask[..., None], grid, "nearest")[..., 0].numpy().astype(np.uint8)
        normals = None if normals is None else resampled(normals.transpose(1, 2, 0), grid, "nearest").permute(2, 0, 1).numpy()
    size = image.shape[:2]
    view = View(frame.name, camera, image, _nearest(depth, size), _nearest(mask, size), _nearest(normals, size))
    return shrunk(view, scale) if scale != 1.0 else view


def _shrink(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Every new pixel is the mean of the area it covers."""
    return _straight(_means(_premultiplied(image), width, height))


def _means(channels: np.ndarray, width: int, height: int) -> np.ndarray:
    """[H, W, C] float32, the means over the areas that new pixels cover."""
    planes = [Image.fromarray(channels[..., index]).resize((width, height), Image.Resampling.BOX) for index in range(channels.shape[2])]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _premultiplied(image: np.ndarray) -> np.ndarray:
    """float32 codes; colors behind transparency must not bleed into their neighbors."""
    channels = image.astype(np.float32)
    if image.shape[2] == 4:
        channels[..., :3] *= channels[..., 3:] / 255
    return channels


def _straight(channels: np.ndarray) -> np.ndarray:
    channels = np.array(channels, dtype=np.float32)
    if channels.shape[2] == 4:
        channels[..., :3] *= 255 / np.maximum(channels[..., 3:], 1e-3)
    # In place: memory that is new to the process costs more than the arithmetic.
    np.round(channels, out=channels)
    return np.clip(channels, 0, 255, out=channels).astype(np.uint8)


def _nearest(picture: np.ndarray | None, size: tuple[int, int]) -> np.ndarray | None:
    """[..., H, W] in another size, no value of which is new."""
    if picture is None or picture.shape[-2:] == size:
        return picture
    rows = (np.arange(size[0]) * 2 + 1) * picture.shape[-2] // (2 * size[0])
    columns = (np.arange(size[1]) * 2 + 1) * picture.shape[-1] // (2 * size[1])
    return np.ascontiguousarray(picture[..., rows[:, None], columns[None, :]])


def _opaque(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*image.shape[:2], 1), 255, dtype=np.uint8)], axis=2)
