# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line on damaged files: captures, results, checkpoints, files of splats, photos and weights."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine import cli
from engine.contract.errors import UserError
from engine.contract.result import MESH, WEIGHTS, read_result, write_result
from engine.formats.meshes import write_mesh

from .corpus import Source, cube

ROOT = Path(__file__).resolve().parents[2]
_SMALL = {
    "splat": ["--splat.max-gaussians", "500", "--splat.init-points", "200"],
    "ngp": ["--ngp.log2-table", "10", "--ngp.cells", "16", "--ngp.mesh-cells", "16", "--ngp.batch", "512", "--ngp.ray-steps", "64"],
    "nerf": [
        *("--nerf.network", "simple", "--nerf.width", "16", "--nerf.depth", "2", "--nerf.rays", "64", "--nerf.coarse-samples", "8"),
        *("--nerf.fine-samples", "8", "--nerf.points", "100", "--nerf.mesh-cells", "16"),
    ],
}
# What each command reads besides the files of a capture.
_FILES = {
    "splat": ["checkpoint.safetensors", "result.json", "splats.ply"],
    "ngp": ["checkpoint.safetensors", "result.json", "field.safetensors"],
    "nerf": ["checkpoint.safetensors", "result.json", "field.safetensors"],
}
_OF_RESULTS = {"resume", "render", "eval", "surface", "proxy"}


class Fault(Exception):
    """A command that ended otherwise than done or refused in a sentence."""


def build(folder: Path, sources: list[Source], only: Collection[str] = ()) -> list[Source]:
    """What the commands read, those of ``only`` where it names some: the corpus, and small results that are trained on it."""
    if set(only) != {"convert"}:
        # What takes seconds to load is there in every process that is forked.
        modules = [f"methods.{method}" for method in _FILES]
        modules += ["jobs.train", "jobs.train_voxels", "jobs.render", "jobs.proxy", "jobs.surface", "voxels.prediction"]
        for name in modules:
            importlib.import_module(f"engine.{name}")
    capture = next(source.folder for source in sources if source.file == "transforms_train.json")
    made = [Source("convert", source.folder, source.file) for source in sources if source.reader == "splats"]
    made += [Source("train", source.folder, source.file) for source in sources if source.reader == "capture"]
    photos = folder / "photos"
    photos.mkdir(parents=True)
    pixels = np.full((64, 64, 3), 250, np.uint8)
    pixels[20:50, 24:40] = [120, 60, 20]
    for name in ("chair.png", "chair.jpg"):
        Image.fromarray(pixels).save(photos / name)
        made.append(Source("voxels", photos, name))
    weights = folder / "weights"
    weights.mkdir()
    shutil.copy(ROOT / "engine" / "voxels" / "gru-3-small.safetensors", weights / WEIGHTS)
    made += [Source("weights", weights, WEIGHTS)] * 3
    needed = not only or set(only) & _OF_RESULTS
    for method, files in _FILES.items() if needed else ():
        out = folder / method
        # Not here: threads that have run once are missing in a process that is forked.
        command = [sys.executable, "-m", "engine", "train", capture, "--out", out, "--method", method, "--steps", "2", *_SMALL[method]]
        subprocess.run(command, check=True, capture_output=True)
        for file in files:
            # A command for each file that it reads; checkpoints, which hold most, more often.
            commands = ["resume"] * 3 if "checkpoint" in file else ["render", "eval", "resume"] + ["surface"] * (method == "nerf")
            made += [Source(command, out, file) for command in commands]
    if needed:
        made += _with_surface(folder)
    if not only or "resume voxels" in only:
        made += _voxel_training(folder)
    return made


def _with_surface(folder: Path) -> list[Source]:
    """A result with a surface, which proxies are made of."""
    out = shutil.copytree(folder / "splat", folder / "surface")
    known = read_result(out)
    write_mesh(out / MESH, cube())
    write_result(out, replace(known.with_artifact("surface", MESH).with_artifact("mesh", MESH), files=(*known.files, MESH)))
    return [Source("proxy", out, MESH)] * 3 + [Source("proxy", out, "result.json")]


def _voxel_training(folder: Path) -> list[Source]:
    """A training of voxels that was cut short, and a shape that it learns from."""
    data, out = folder / "shapes", folder / "voxel training"
    with_tiny = [sys.executable, "-c", "import sys; from tests.fuzz import commands; commands.with_tiny_network(*sys.argv[1:])"]
    for command in (
        ["voxels", "make-data", "--furniture", "2", "--views", "1", "--out", data],
        ["voxels", "train", data, "--out", out, "--steps", "2", "--network", "lstm-1-small", "--batch", "2"],
    ):
        subprocess.run([*with_tiny, *command], check=True, capture_output=True, cwd=ROOT)
    return [Source("resume voxels", out, file) for file in ("checkpoint.safetensors", "checkpoint.safetensors", "result.json")]


def run(*arguments: object) -> None:
    """Runs a command.

    Raises:
        Fault: it left a traceback, or ended with an exit code of its own.
        UserError: it refused; with its last line.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main([str(argument) for argument in arguments])
    lines = said.getvalue().splitlines()
    if code not in (0, 1, 2) or any("Traceback" in line or "fault of its own" in line for line in lines):
        places = [line.strip() for line in lines if line.strip().startswith("File ") and "/engine/" in line]
        raise Fault(f"exit code {code}: {lines[-1][:200] if lines else ''} {places[-1] if places else ''}")
    if code:
        raise UserError(lines[-1] if lines else "")


def with_tiny_network(*arguments: object) -> None:
    """Runs a command with a network of kilobytes in place of the smallest, whose checkpoint would take longer to copy than to read."""
    from engine.voxels import networks

    sides = {"encoder": (4, 4, 6, 6, 6, 8), "features": 12, "decoder": (6, 6, 6, 4, 4)}
    networks.VARIANTS["lstm-1-small"] = networks.Variant(False, "lstm", 1, **sides)
    run(*arguments)


# The command that reads what a reader of targets.READERS does.
BOMBED = {"splats": "convert", "capture": "train"}
COMMANDS = {
    "convert": lambda folder, file: run("convert", file, folder / "out.ply"),
    "train": lambda folder, file: run("train", folder, "--out", folder / "out", "--steps", "1", *_SMALL["splat"]),
    "resume": lambda folder, file: run("train", "--resume", folder, "--steps", "3"),
    "render": lambda folder, file: run("render", folder, "--out", folder / "out", "--width", "8"),
    "eval": lambda folder, file: run("eval", folder),
    "surface": lambda folder, file: run("surface", folder),
    "proxy": lambda folder, file: run("proxy", folder, "--faces", "20", "--texture", "64"),
    "resume voxels": lambda folder, file: with_tiny_network("voxels", "train", "--resume", folder, "--steps", "3"),
    "voxels": lambda folder, file: run("voxels", file, "--out", folder / "out"),
    "weights": lambda folder, file: importlib.import_module("engine.voxels.weights").read_weights(folder),
}
