# SPDX-License-Identifier: GPL-3.0-or-later
"""Which views a capture renders, of which objects, and against which background."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from ....engine.cameras import Camera
from ....engine.contract.settings import CaptureSettings
from . import cameras, space

_LENS = ("type", "lens", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y", "clip_start", "clip_end")
# Constraints that follow the frames of a clip or of a cache.
_TRACKING = {"CAMERA_SOLVER", "FOLLOW_TRACK", "OBJECT_SOLVER", "TRANSFORM_CACHE"}
# A file's name has 255 bytes on every system; some are for its suffix and for that of a temporary file.
_MAX_NAME_BYTES = 150
# Names of devices, which Windows gives to no file.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class View:
    """A view to be captured: its name, its pose (camera-to-world in meters, [4, 4], rigid), and the camera data that it is seen through."""

    name: str
    pose: np.ndarray
    lens: bpy.types.Camera


@dataclass(frozen=True)
class Plan:
    """What a capture renders.

    ``subject``: the objects that cameras see alone, None where they see the scene. ``background``: whether the world shows behind it.
    ``notes``: sentences that the user should read.
    """

    views: list[View]
    subject: Set[bpy.types.Object] | None
    background: bool
    notes: list[str]


@contextmanager
def planned(scene: bpy.types.Scene, settings: CaptureSettings) -> Iterator[Plan]:
    """The views of the scene's cameras, of the rig's that were added with the same settings, or else of a rig made for the capture.

    Raises:
        UserError: nothing renders; no camera, or one that cannot be captured; no free place for a rig.
    """
    if not space.renders(scene):
        raise space.nothing_renders(scene)
    subject = cameras.captured_alone(scene, settings)
    notes: list[str] = []
    made: list[bpy.types.Camera] = []
    try:
        with space.as_rendered(scene):
            if settings.rig == "scene":
                found = _scene_views(scene, settings.views, made, notes)
            else:
                own = cameras.rig_cameras(scene, settings)
                found = [(thing.name, cameras.read_camera(scene, thing).camera_to_world, thing.data) for thing in own]
        if not found:
            poses = cameras.plan(scene, settings)
            made.append(cameras.rig_lens(scene, settings))
            found = [(name, pose, made[0]) for name, pose in poses]
            if cameras.ignores_shown_cameras(scene, settings):
                notes.append("The cameras that Show Cameras added are not used: settings were changed since.")
        names = file_names([name for name, _, _ in found])
        views = [View(name, pose, lens) for name, (_, pose, lens) in zip(names, found, strict=True)]
        yield Plan(views, subject, _shows_world(scene, settings), notes)
    finally:
        for lens in made:
            bpy.data.cameras.remove(lens)


def file_names(names: list[str]) -> list[str]:
    """Names that can be file names on every system, each once, also where case or composed accents do not count."""
    taken: set[str] = set()
    result = []
    for name in names:
        base = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._") or "view"
        base = base.encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", errors="ignore")
        if _RESERVED.match(base):
            base = f"_{base}"
        plain, number = base, 1
        while plain.casefold() in taken:
            plain, number = f"{base}_{number}", number + 1
        taken.add(plain.casefold())
        result.append(plain)
    return result


def describe(camera: Camera) -> list[float]:
    """A camera as plain numbers, to be compared: size, focal lengths, principal point, and the pose row by row."""
    return [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, *camera.camera_to_world.ravel().tolist()]


def _shows_world(scene: bpy.types.Scene, settings: CaptureSettings) -> bool:
    if settings.world == "auto":
        return settings.rig != "orbit" and scene.world is not None and space.is_room(scene)
    return settings.world == "on"


def _scene_views(
    scene: bpy.types.Scene, limit: int, made: list[bpy.types.Camera], notes: list[str]
) -> list[tuple[str, np.ndarray, bpy.types.Camera]]:
    """Names, poses and camera data of the scene's cameras; of animated ones at all or every n-th of the scene's frames.

    Args:
        scene: the scene.
        limit: the most views, where animated cameras give more.
        made: receives the camera data that is made here.
        notes: receives what the user should read.
    """
    things = cameras.scene_cameras(scene)
    still = {thing: cameras.read_camera(scene, thing) for thing in things}
    moving = [thing for thing in things if _may_move(thing, set())]
    tracks: dict[bpy.types.Object, list[tuple[int, Camera, bpy.types.Camera]]] = {}
    if moving:
        count = max(2, (limit - len(things) + len(moving)) // len(moving))
        length = max(1, scene.frame_end - scene.frame_start + 1)
        tracks = _tracks(scene, moving, range(scene.frame_start, scene.frame_end + 1, -(-length // count)), made)
    found = []
    for thing in things:
        track = tracks.get(thing, [])
        if len(track) > 1:
            found += [(f"{thing.name}_{frame:04d}", camera.camera_to_world, lens) for frame, camera, lens in track]
            now = f"the scene itself is captured as it is at frame {scene.frame_current}"
            notes.append(f"{thing.name} is animated: {len(track)} of its frames are views; {now}.")
        else:
            found.append((thing.name, still[thing].camera_to_world, thing.data))
    return found


def _tracks(
    scene: bpy.types.Scene, things: list[bpy.types.Object], frames: range, made: list[bpy.types.Camera]
) -> dict[bpy.types.Object, list[tuple[int, Camera, bpy.types.Camera]]]:
    """Frames at which cameras differ from the frame before, what they see there, and their data at that frame. The scene's frame is put
    back."""
    tracks: dict[bpy.types.Object, list[tuple[int, Camera, bpy.types.Camera]]] = {thing: [] for thing in things}
    frame, subframe, camera = scene.frame_current, scene.frame_subframe, scene.camera
    try:
        for number in frames:
            scene.frame_set(number)
            for thing, track in tracks.items():
                seen, lens = cameras.read_camera(scene, thing), thing.data
                if track and describe(track[-1][1]) == describe(seen):
                    continue
                if _is_animated(lens):
                    lens = lens.copy()
                    made.append(lens)
                    lens.animation_data_clear()
                    evaluated = thing.evaluated_get(space.render_layer(scene).depsgraph).data
                    for name in _LENS:
                        setattr(lens, name, getattr(evaluated, name))
                track.append((number, seen, lens))
    finally:
        scene.frame_set(frame, subframe=subframe)
        # A marker that is bound to a camera switches to it.
        scene.camera = camera
    return tracks


def _may_move(thing: bpy.types.Object, asked: set[bpy.types.Object]) -> bool:
    """Whether an object, or what it follows, is animated. Stepping through the frames tells, but costs time and disturbs simulations."""
    if thing in asked:
        return False
    asked.add(thing)
    if _is_animated(thing) or thing.data is not None and _is_animated(thing.data) or thing.rigid_body is not None:
        return True
    followed = [thing.parent]
    for constraint in thing.constraints:
        if constraint.type in _TRACKING:
            return True
        followed += [getattr(constraint, "target", None), *(part.target for part in getattr(constraint, "targets", ()))]
    return any(_may_move(other, asked) for other in followed if other is not None)


def _is_animated(block: bpy.types.ID) -> bool:
    animation = getattr(block, "animation_data", None)
    return animation is not None and bool(animation.action or animation.nla_tracks or animation.drivers)
