# SPDX-License-Identifier: GPL-3.0-or-later
"""What the radiance fields share: reading a trained field, the background while training, and the files that they write."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from ..contract.errors import UserError, lacks_memory
from ..contract.parsing import parse_json
from ..contract.result import FIELD, MESH, POINTS, Result, replacing
from ..contract.schema import from_mapping
from ..data.checkpoint_arrays import reason
from ..formats.meshes import Mesh, write_mesh
from ..formats.points import write_points
from .interface import WRITE_AGAIN

Facts = TypeVar("Facts")
Points = tuple[np.ndarray, np.ndarray, np.ndarray]


class FieldTrainer:
    """Base of the trainers of fields.

    A subclass has ``field_state()``, which returns the arrays and the plain values of field.safetensors; ``points()``, which returns
    positions [N, 3] in the world, colors [N, 3] uint8 and normals [N, 3] of surfaces; and ``mesh()``, None where there is no surface.
    """

    count, antialias, near = None, False, 0.0

    def artifacts(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Writes field.safetensors, and points.ply and mesh.glb where there is something; see :class:`.interface.Trainer`."""
        arrays, facts = self.field_state()
        with replacing(folder / FIELD) as temporary:
            temporary.write_bytes(save(arrays, {"field": json.dumps(facts)}))
        yield "field", FIELD
        positions, colors, normals = self.points()
        if len(positions):
            write_points(folder / POINTS, positions, colors, normals)
            yield "points", POINTS
        mesh: Mesh | None = self.mesh()
        if mesh is not None:
            write_mesh(folder / MESH, mesh)
            yield "mesh", MESH


@contextlib.contextmanager
def read_field(folder: Path, result: Result, kind: type[Facts]) -> Iterator[tuple[dict[str, np.ndarray], Facts]]:
    """Reads field.safetensors of a result. What goes wrong while the block makes a model of it is reported as a damaged file.

    Args:
        kind: dataclass of what the file holds beside arrays.

    Raises:
        UserError: nothing was trained yet, or the file is damaged.
    """
    path = result.artifact("field")
    if path is None:
        raise UserError(f"{folder} holds no field yet.", "Let its training finish, or resume it.", "not_trained")
    try:
        with safe_open(folder / path, "numpy") as file:
            facts: dict[str, Any] = parse_json(file.metadata()["field"], "its state")
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        yield arrays, from_mapping(kind, facts)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError, UserError) as error:
        if lacks_memory(error):
            raise
        raise UserError(f"{folder / path} is damaged: {reason(error)}.", WRITE_AGAIN, "damaged") from None


def background_colors(background: str, shape: tuple[int, ...], rng: np.random.Generator, device: str) -> Tensor:
    """sRGB colors behind transparent views while training.

    Args:
        background: black, white or random. shape: (3,) for one color, (R, 3) for one a ray.
    """
    if background == "random":
        return torch.from_numpy(rng.random(shape, np.float32)).to(device)
    return torch.full(shape, float(background == "white"), device=device)
