# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: which stages of the road are walked, as one TOML file.

    schema = "1.0"
    scene = "room.blend"        # opened first; without it the job starts from the open or an empty scene
    [capture]                   # every stage is optional; stages run in this order
    out = "capture"
    [train]
    minutes = 3
    [proxy]
    [voxels]
    images = ["chair.jpg"]
    [import]
    [place]
    room = true
    [render]
    out = "picture.png"
    [save]
    out = "furnished.blend"

Paths are relative to the job file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import UserError
from .parsing import parse_toml
from .presets import with_preset
from .schema import SCHEMA, check_version, from_mapping, setting
from .settings import CaptureSettings, ImportSettings, PlaceSettings, ProxySettings, RenderSettings, TrainSettings
from .voxels import VoxelSettings


@dataclass(frozen=True)
class TrainStage:
    """What the engine is asked to do with a capture."""

    capture: str = setting("", "Folder of the capture; empty takes what this job captured.")
    out: str = setting("result", "Folder that receives the result.")
    overwrite: bool = setting(False, "Replace a result that is already there.")
    settings: TrainSettings = setting(TrainSettings, "Settings of the training.")


@dataclass(frozen=True)
class ProxyStage:
    """What the engine is asked to do with a result."""

    result: str = setting("", "Folder of the result; empty takes what this job trained.")
    settings: ProxySettings = setting(ProxySettings, "Settings of the proxy.")


@dataclass(frozen=True)
class VoxelStage:
    """What the engine is asked to make of pictures."""

    images: tuple[str, ...] = setting((), "Pictures of one piece of furniture.")
    masks: tuple[str, ...] = setting((), "For each picture, one that is bright where the piece is; none where the background is plain.")
    out: str = setting("voxels", "Folder that receives the result.")
    overwrite: bool = setting(False, "Replace a result that is already there.")
    settings: VoxelSettings = setting(VoxelSettings, "Settings of the voxels.")


@dataclass(frozen=True)
class SaveSettings:
    """The .blend that is kept."""

    out: str = setting("scene.blend", ".blend file that receives the finished scene.")


@dataclass(frozen=True)
class Job:
    """The stages of a job file, None where a stage is left out. ``folder`` is what its relative paths start from."""

    folder: Path
    scene: str = ""
    capture: CaptureSettings | None = None
    train: TrainStage | None = None
    proxy: ProxyStage | None = None
    voxels: VoxelStage | None = None
    import_: ImportSettings | None = None
    place: PlaceSettings | None = None
    render: RenderSettings | None = None
    save: SaveSettings | None = None

    def path(self, relative: str) -> Path:
        """An absolute path from one of the job's."""
        return (self.folder / relative).resolve()


_STAGES = {
    "capture": CaptureSettings,
    "import": ImportSettings,
    "place": PlaceSettings,
    "render": RenderSettings,
    "save": SaveSettings,
}


def read_job(file: Path) -> Job:
    """Reads a job file.

    Raises:
        UserError: the file is missing, not TOML, of another major version, or has an unknown or bad setting.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no job file {file}.", "Give the path of a .toml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The job file {file} cannot be read: {error}.") from None
    return job_from_mapping(parse_toml(text, f"The job file {file}"), file.parent.resolve())


def job_from_mapping(table: dict[str, Any], folder: Path) -> Job:
    """Builds a job from the tables of a job file."""
    check_version(table.pop("schema", SCHEMA), "The job file")
    scene = table.pop("scene", "")
    if not isinstance(scene, str):
        raise UserError("In the job file, scene must be the path of a .blend file.")
    stages: dict[str, Any] = {}
    for name, values in table.items():
        if name == "train":
            stages["train"] = _train_stage(values)
        elif name == "proxy":
            own, rest = _apart(ProxyStage, values, name)
            stages["proxy"] = replace(from_mapping(ProxyStage, own, name), settings=from_mapping(ProxySettings, rest, name))
        elif name == "voxels":
            stages["voxels"] = _voxel_stage(values)
        elif name in _STAGES:
            stages["import_" if name == "import" else name] = from_mapping(_STAGES[name], values, name)
        else:
            known = ", ".join(["capture", "train", "proxy", "voxels", *list(_STAGES)[1:]])
            raise UserError(f"The job file has an unknown stage [{name}].", f"Stages are: {known}.")
    if not stages:
        raise UserError("The job file asks for nothing.", "Add a stage, for example [capture] or [train].")
    return Job(folder=folder, scene=scene, **stages)


def _train_stage(values: Any) -> TrainStage:
    own, rest = _apart(TrainStage, values, "train")
    stage = from_mapping(TrainStage, own, "train")
    return replace(stage, settings=from_mapping(TrainSettings, with_preset(rest), "train"))


def _voxel_stage(values: Any) -> VoxelStage:
    own, rest = _apart(VoxelStage, values, "voxels")
    return replace(from_mapping(VoxelStage, own, "voxels"), settings=from_mapping(VoxelSettings, rest, "voxels"))


def _apart(stage: type, values: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A table holds the stage's own keys and its settings side by side, because its writer sees one thing."""
    if not isinstance(values, dict):
        raise UserError(f"{name} must be a table of settings.")
    own = {key: value for key, value in values.items() if key in stage.__dataclass_fields__ and key != "settings"}
    return own, {key: value for key, value in values.items() if key not in own}
