# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: which stages are run, as one TOML file.

    schema = "1.0"
    scene = "room.blend"        # opened first; without it the job starts from the open or an empty file
    scene_name = "Living room"  # which scene of that file; without it the one that the file opens with
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

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import UserError
from .methods import METHODS
from .parsing import parse_toml
from .paths import resolved
from .presets import with_preset
from .schema import SCHEMA, check_version, from_mapping, setting
from .settings import CaptureSettings, ImportSettings, PlaceSettings, ProxySettings, RenderSettings, TrainSettings, check_method
from .voxels import VoxelSettings, check_pictures

# Far more than a job of every stage, and few enough to parse at once.
_MAX_CHARACTERS = 64 * 1024
# What [proxy] adds to the looks that [import] can bring in.
_PROXY_LOOKS = {"proxy", "mesh"}
# What to do about a file that would be replaced.
OVERWRITE = "Choose another file, or add overwrite = true to replace it."


@dataclass(frozen=True)
class CaptureStage(CaptureSettings):
    """What is captured."""

    overwrite: bool = setting(False, "Replace a capture that is already there.")


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
class RenderStage(RenderSettings):
    """The image that is rendered."""

    overwrite: bool = setting(False, "Replace a file that is already there.")


@dataclass(frozen=True)
class SaveStage:
    """The .blend file that is saved."""

    out: str = setting("scene.blend", ".blend file that receives the finished scene.")
    overwrite: bool = setting(False, "Replace a file that is already there, also the scene that was opened.")


@dataclass(frozen=True)
class Job:
    """The stages of a job file, None where a stage is left out. ``folder`` is what its relative paths start from."""

    folder: Path
    scene: str = ""
    scene_name: str = ""
    capture: CaptureStage | None = None
    train: TrainStage | None = None
    proxy: ProxyStage | None = None
    voxels: VoxelStage | None = None
    import_: ImportSettings | None = None
    place: PlaceSettings | None = None
    render: RenderStage | None = None
    save: SaveStage | None = None

    def path(self, relative: str) -> Path:
        """An absolute path from one of the job's.

        Raises:
            UserError: it cannot be used, see :func:`resolved`.
        """
        return resolved(self.folder / relative)

    @property
    def capture_folder(self) -> Path | None:
        """What [train] trains on, None where the job does not say."""
        stage = self.capture
        named = self.train.capture if self.train is not None and self.train.capture else stage.out if stage is not None else ""
        return self.path(named) if named else None

    @property
    def proxy_folder(self) -> Path | None:
        """The result that [proxy] makes a proxy of, None where the job does not say."""
        named = self.proxy.result if self.proxy is not None and self.proxy.result else self.train.out if self.train is not None else ""
        return self.path(named) if named else None

    @property
    def import_folder(self) -> Path | None:
        """The result that [import] brings in, None where the job does not say."""
        named = self.import_.result if self.import_ is not None else ""
        if not named and (stage := self.voxels or self.train) is not None:
            named = stage.out
        return self.path(named) if named else self.proxy_folder


_STAGES = {
    "capture": CaptureStage,
    "import": ImportSettings,
    "place": PlaceSettings,
    "render": RenderStage,
    "save": SaveStage,
}


def read_job(file: Path) -> Job:
    """Reads a job file.

    Raises:
        UserError: the file is missing, not TOML, of another major version, or has an unknown or bad setting.
    """
    try:
        with open(file, encoding="utf-8-sig") as stream:
            text = stream.read(_MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise UserError(f"There is no job file {file}.", "Give the path of a .toml file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The job file {file} cannot be read: {error}.") from None
    if len(text) > _MAX_CHARACTERS:
        raise UserError(f"The job file {file} has more than {_MAX_CHARACTERS:,} characters.", "Give the path of a .toml file with a job.")
    return job_from_mapping(parse_toml(text, f"The job file {file}"), file.parent.resolve())


def write_toml(table: Mapping[str, Any]) -> str:
    """The TOML of plain values: texts, booleans, numbers, lists of them, and tables.

    Raises:
        UserError: a text is not valid Unicode, as a path with undecodable bytes.
    """
    lines: list[str] = []
    _write_table(table, (), lines)
    return "\n".join([*lines, ""])


def _write_table(table: Mapping[str, Any], names: tuple[str, ...], lines: list[str]) -> None:
    if names:
        lines.append(f"[{'.'.join(map(_toml_text, names))}]")
    lines += [f"{_toml_text(name)} = {_toml_value(value)}" for name, value in table.items() if not isinstance(value, Mapping)]
    for name, value in table.items():
        if isinstance(value, Mapping):
            _write_table(value, (*names, name), lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    # A number or a boolean of JSON is one of TOML.
    return json.dumps(value)


def _toml_text(text: str) -> str:
    """A basic string: JSON's, but TOML has no surrogate pairs, and takes the control character 127 only escaped."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{text!r} holds characters that are not valid Unicode.", "Rename it, or choose another folder.") from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def job_from_mapping(table: dict[str, Any], folder: Path) -> Job:
    """Builds a job from the tables of a job file."""
    check_version(table.pop("schema", SCHEMA), "The job file")
    scene, scene_name = table.pop("scene", ""), table.pop("scene_name", "")
    if not isinstance(scene, str):
        raise UserError("In the job file, scene must be the path of a .blend file.")
    if not isinstance(scene_name, str):
        raise UserError("In the job file, scene_name must be the name of a scene.")
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
            raise UserError(f"The job file has an unknown stage [{name[:80]}].", f"Stages are: {known}.")
    if not stages:
        raise UserError("The job file asks for nothing.", "Add a stage, for example [capture] or [train].")
    return Job(folder=folder, scene=scene, scene_name=scene_name, **stages)


def check_job(job: Job) -> None:
    """Refuses stages that cannot work together, as far as the job file alone tells.

    Raises:
        UserError: a stage has nothing to work on, or what it is to write is written by another, is of another type, or is its source.
    """
    _check_sources(job)
    _check_outputs(job)


def _check_sources(job: Job) -> None:
    """Refuses stages that have nothing to work on."""
    if job.train is not None and job.capture_folder is None:
        raise UserError("[train] has nothing to train on.", 'Add capture = "FOLDER" to it, or a stage [capture].')
    if job.proxy is not None and job.proxy_folder is None:
        raise UserError("[proxy] has no result to stand for.", 'Add result = "FOLDER" to it, or a stage [train].')
    if job.import_ is not None and job.import_folder is None:
        raise UserError("[import] has nothing to import.", 'Add result = "FOLDER" to it, or a stage [train] or [voxels].')
    if job.place is not None and job.import_ is None:
        raise UserError("[place] has nothing to place.", "Add a stage [import].")
    if (stage := job.voxels) is not None:
        check_pictures(len(stage.images))
        if stage.masks and len(stage.masks) != len(stage.images):
            raise UserError(f"[voxels] has {len(stage.masks)} masks for {len(stage.images)} images.", "Give one for each, or none.")
    if job.train is not None:
        if job.train.settings.minutes is not None and job.train.settings.steps is not None:
            raise UserError("[train] has both minutes and steps.", "Keep one of them.")
        check_method(job.train.settings)
    if job.import_ is not None and job.train is not None and job.import_folder == job.path(job.train.out):
        look, looks = job.import_.look, {"auto", *METHODS[job.train.settings.method].looks}
        if job.proxy is not None and job.proxy_folder == job.import_folder:
            looks = looks | _PROXY_LOOKS
        if look not in looks:
            hint = "Add a stage [proxy]" if look in _PROXY_LOOKS else "Train with another method"
            raise UserError(f"[import] asks for {look}, which [train] does not make.", f"{hint}, or import as {', '.join(sorted(looks))}.")
    if job.render is not None and job.render.camera and job.import_ is not None and job.import_.new_scene:
        raise UserError(f"[render] names the camera {job.render.camera!r}, but a new scene has none.", "Leave out camera or new_scene.")


def _check_outputs(job: Job) -> None:
    """Refuses files and folders that are written twice, or cannot be what is written to them."""
    images = (*job.voxels.images, *job.voxels.masks, job.voxels.settings.weights) if job.voxels is not None else ()
    for named in (job.scene, *images, *(stage.out for stage in (job.render, job.save) if stage is not None)):
        job.path(named)
    folders = {}
    for name in ("capture", "train", "voxels"):
        if (stage := getattr(job, name)) is None:
            continue
        if not stage.out.strip():
            raise UserError(f"[{name}] has no folder: out is empty.", f'Give it one, such as out = "{name}".')
        folders[name] = out = job.path(stage.out)
        for other, taken in folders.items():
            if other != name and (out == taken or out in taken.parents):
                raise UserError(f"[{name}] and [{other}] both write to {out}.", "Give each a folder of its own.")
    if job.train is not None and (capture := job.capture_folder) is not None:
        out = job.path(job.train.out)
        if out == capture or out in capture.parents:
            raise UserError(f"[train] writes its result to {out}, which holds the capture.", "Give it another folder.")
    if job.render is not None and Path(job.render.out).suffix.lower() != ".png":
        raise UserError(f"[render] writes PNG, but out is {job.render.out!r}.", "Give it a name that ends in .png.")
    if job.save is not None:
        if Path(job.save.out).suffix.lower() != ".blend":
            raise UserError(f"[save] writes a .blend file, but out is {job.save.out!r}.", "Give it a name that ends in .blend.")
        if job.scene and not job.save.overwrite and job.path(job.save.out) == job.path(job.scene):
            raise UserError(f"[save] would overwrite the scene {job.path(job.scene)}.", OVERWRITE, "exists")


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
