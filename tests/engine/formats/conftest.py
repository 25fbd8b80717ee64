# SPDX-License-Identifier: GPL-3.0-or-later
"""Small captures as other programs and people leave them: images of one color, cameras on a circle."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cameras import pose_to_colmap

HEAD = {"camera_model": "OPENCV", "w": 64, "h": 48, "fl_x": 60.0, "fl_y": 60.0, "cx": 32.0, "cy": 24.0}


def circle(count: int) -> list[np.ndarray]:
    """Camera-to-world matrices of cameras that look at the origin."""
    poses = []
    for angle in np.arange(count) * 2 * np.pi / count:
        back = np.array([np.cos(angle), np.sin(angle), 0.5]) / np.hypot(1, 0.5)
        right = np.array([-np.sin(angle), np.cos(angle), 0])
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, 3 * back
        poses.append(pose)
    return poses


def save_image(file: Path, index: int = 0, size=(64, 48)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10 * index, 100, 200)).save(file)


class Captures:
    """Writes captures; every name may hold a {}, which becomes the view's number."""

    @staticmethod
    def nerfstudio(folder: Path, count=9, disk="images/{}.png", listed=None, change=None, file="transforms.json", **head) -> Path:
        """disk: where images lie; listed: what the file names; change: index -> further keys of a frame; head: of the file."""
        folder.mkdir(parents=True, exist_ok=True)
        frames = []
        for index, pose in enumerate(circle(count)):
            save_image(folder / disk.format(index), index)
            frame = {"file_path": (listed or disk).format(index), "transform_matrix": pose.tolist()}
            frames.append(frame | (change(index) if change else {}))
        (folder / file).write_text(json.dumps({**HEAD, **head, "frames": frames}))
        return folder

    @staticmethod
    def colmap(folder: Path, model="sparse/0", disk="images/{}.png", listed="{}.png", which=range(9), lens="PINHOLE 64 48 60 60 32 24",
               points=True, separator="\n\n", head="# two lines an image\n") -> Path:  # fmt: skip
        """model: the model's folder; which: the views that it has; separator: what follows each image's line."""
        (folder / model).mkdir(parents=True, exist_ok=True)
        lines = [head]
        for index, pose in enumerate(circle(9)):
            save_image(folder / disk.format(index), index)
            qvec, tvec = pose_to_colmap(pose)
            if index in which:
                lines.append(f"{index + 1} {' '.join(map(repr, map(float, (*qvec, *tvec))))} 1 {listed.format(index)}{separator}")
        (folder / model / "cameras.txt").write_text(f"1 {lens}\n")
        (folder / model / "images.txt").write_text("".join(lines))
        if points:
            (folder / model / "points3D.txt").write_text("1 0.5 0.25 2 10 20 30 0.1 1 0\n")
        return folder


@pytest.fixture(scope="session")
def captures():
    return Captures
