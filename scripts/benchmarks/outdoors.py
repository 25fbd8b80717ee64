# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the capture of a place outdoors, ray traced: boxes on a meadow, houses 20 to 60 m away, clouds.

python -m scripts.benchmarks.outdoors OUT

OUT/random has no seed points, OUT/seeds has some of what the training views show, the sky left out, as solvers find them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.formats.points import write_points

WIDTH, HEIGHT, FOCAL = 200, 150, 160.0
VIEWS, HELD_OUT, SEEDS = 40, 8, 170
_MEADOW = 100.0


def noise(u: np.ndarray, v: np.ndarray, seed: int, octaves: int = 5) -> np.ndarray:
    """Smooth random values at places of a plane, finer and weaker from octave to octave."""
    rng, total = np.random.default_rng(seed), 0.0
    for octave in range(octaves):
        grid, scale = rng.uniform(-1, 1, (64, 64)), 2.0**octave
        x, y = (u * scale) % 64, (v * scale) % 64
        i, j = x.astype(int), y.astype(int)
        a, b = x - i, y - j
        a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
        low = grid[i % 64, j % 64] * (1 - a) + grid[(i + 1) % 64, j % 64] * a
        high = grid[i % 64, (j + 1) % 64] * (1 - a) + grid[(i + 1) % 64, (j + 1) % 64] * a
        total = total + (low * (1 - b) + high * b) / scale**0.8
    return total


def place(rng: np.random.Generator) -> list[tuple[list[float], list[float], np.ndarray, float]]:
    """Boxes: their lowest and highest corners, their color, and how fine their pattern is."""
    boxes = []
    for _ in range(8):
        center, height, half = rng.uniform(-1.6, 1.6, 2), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.5, 2)
        boxes.append(([*(center - half), 0.0], [*(center + half), height], rng.uniform(0.2, 1, 3), 3.0))
    for index in range(28):
        angle, away = 2 * np.pi * index / 28 + rng.uniform(-0.05, 0.05), rng.uniform(20, 60)
        half, height = rng.uniform(1.5, 4, 2), rng.uniform(3, 12)
        center = away * np.array([np.cos(angle), np.sin(angle)])
        boxes.append(([*(center - half), 0.0], [*(center + half), height], rng.uniform(0.2, 1, 3), 0.6))
    return boxes


def trace(boxes: list, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colors [R, 3] that rays with unit directions [R, 3] see, and how far away [R]; infinity is the sky."""
    far = np.full(len(directions), np.inf)
    up, around = np.arcsin(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])
    height = np.clip(up / 1.2, 0, 1)[:, None]
    clouds = np.clip(noise(around * 3 + 20, up * 8 + 9, 5), 0, 1)[:, None]
    colors = (1 - height) * np.array([0.8, 0.87, 0.95]) + height * np.array([0.25, 0.45, 0.85])
    colors += 0.5 * clouds * (1 - colors)
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = -origin[2] / directions[:, 2]
        places = origin + ground[:, None] * directions
        hit = (ground > 0) & (np.hypot(places[:, 0], places[:, 1]) < _MEADOW)
        x, y = places[hit, 0], places[hit, 1]
        grass = 0.45 + 0.2 * noise(x * 2 + 100, y * 2 + 100, 1) + 0.15 * noise(x * 0.1 + 50, y * 0.1 + 50, 2)
        colors[hit] = np.clip(grass, 0, 1)[:, None] * np.array([0.75, 0.85, 0.5])
        far[hit] = ground[hit]
        for index, (low, high, color, fineness) in enumerate(boxes):
            one, two = (np.array(low) - origin) / directions, (np.array(high) - origin) / directions
            enter, leave = np.minimum(one, two).max(1), np.maximum(one, two).min(1)
            hit = (enter < leave) & (enter > 0) & (enter < far)
            if not hit.any():
                continue
            places = origin + enter[hit, None] * directions[hit]
            axis = np.minimum(one, two)[hit].argmax(1)
            u, v = np.where(axis == 0, places[:, 1], places[:, 0]), np.where(axis == 2, places[:, 1], places[:, 2])
            wall = (0.75 + 0.25 * noise(u * fineness * 4 + 40 + index, v * fineness * 4 + 40, 10 + index)) * np.array([0.7, 0.85, 1.0])[
                axis
            ]
            window = ((u * fineness * 1.5) % 1 > 0.6) & ((v * fineness * 1.5) % 1 > 0.5)
            colors[hit] = np.clip(color * wall[:, None] * np.where(window, 0.45, 1)[:, None], 0, 1)
            far[hit] = enter[hit]
    return colors, far


def look(boxes: list, pose: np.ndarray, fine: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A picture [H, W, 3] of ``fine`` times ``fine`` rays a pixel, and planar depth [H, W] of one of them."""
    x, y = np.meshgrid((np.arange(WIDTH * fine) + 0.5) / fine, (np.arange(HEIGHT * fine) + 0.5) / fine)
    local = np.stack([(x - WIDTH / 2) / FOCAL, -(y - HEIGHT / 2) / FOCAL, -np.ones_like(x)], axis=-1).reshape(-1, 3)
    directions = local @ pose[:3, :3].T
    lengths = np.linalg.norm(directions, axis=1)
    colors, far = trace(boxes, pose[:3, 3], directions / lengths[:, None])
    shape = (HEIGHT, fine, WIDTH, fine)
    return colors.reshape(*shape, 3).mean((1, 3)), (far / lengths).reshape(shape)[:, 0, :, 0]


def main(out: Path) -> None:
    """Writes both captures."""
    rng = np.random.default_rng(0)
    boxes = place(rng)
    folders = [out / name for name in ("random", "seeds")]
    for folder in folders:
        (folder / "images").mkdir(parents=True, exist_ok=True)
    frames, seeds, codes = [], [], []
    for index in range(VIEWS):
        angle, away = 2 * np.pi * index / VIEWS + 0.03 * rng.normal(), rng.uniform(3.4, 4.6)
        position = np.array([away * np.cos(angle), away * np.sin(angle), rng.uniform(0.8, 2.2)])
        back = (position - [0, 0, 0.6]) / np.linalg.norm(position - [0, 0, 0.6])
        right = np.cross([0, 0, 1], back) / np.linalg.norm(np.cross([0, 0, 1], back))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), position
        picture, depth = look(boxes, pose)
        name = f"images/{index:03d}.png"
        for folder in folders:
            Image.fromarray(np.uint8(picture * 255 + 0.5)).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
        if index % HELD_OUT:
            row, column = rng.integers(0, HEIGHT, SEEDS), rng.integers(0, WIDTH, SEEDS)
            near = depth[row, column]
            local = np.stack([(column + 0.5 - WIDTH / 2) / FOCAL * near, -(row + 0.5 - HEIGHT / 2) / FOCAL * near, -near], axis=1)
            solid = np.isfinite(near)
            seeds.append(local[solid] @ pose[:3, :3].T + position)
            codes.append(np.uint8(picture[row, column][solid] * 255))
    facts = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "frames": frames}
    (folders[0] / "transforms.json").write_text(json.dumps(facts), encoding="utf-8")
    write_points(folders[1] / "points.ply", np.concatenate(seeds), np.concatenate(codes))
    (folders[1] / "transforms.json").write_text(json.dumps({**facts, "ply_file_path": "points.ply"}), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
