# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's command line: the Python that runs it, arguments, environment variables, and the short commands that are waited for."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...engine.contract.errors import UserError
from ...engine.contract.presets import with_preset
from ...engine.contract.schema import from_mapping, to_mapping
from ...engine.contract.settings import ProxySettings, TrainSettings
from ...engine.contract.voxels import VoxelSettings
from .data_folder import data_folder

# The folder that holds the package `engine`.
ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("torch", "numba")
# Variables that make another Python or its libraries load something else than they were installed with.
_FOREIGN = ("PYTHON", "LD_", "DYLD_", "ONEAPI", "I_MPI_", "CCL_", "DPL_", "TBB", "IPP", "DNNL", "SETVARS")
_FOREIGN_NAMES = {
    "CMPLR_ROOT", "CPATH", "DAALROOT", "DALROOT", "DPCT_BUNDLE_ROOT", "FI_PROVIDER_PATH", "INTEL_PYTHONHOME", "LIBRARY_PATH",
    "MKLROOT", "OCL_ICD_FILENAMES", "VIRTUAL_ENV", "VTUNE_PROFILER_DIR", "__PYVENV_LAUNCHER__",
}  # fmt: skip
_CHOOSE = "Choose the Python of an environment with torch and Numba."


def environment_folder() -> Path:
    """The virtual environment of this version of the engine; all Blenders share it."""
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    return data_folder() / f"engine-{manifest['version']}"


def interpreter(chosen: str = "") -> Path:
    """The Python that runs the engine: RECONSTRUCT_PYTHON, what the user chose, the engine's own environment, or this Python itself.

    Args:
        chosen: path from the preferences, empty where none is set. The folder of a virtual environment will do.

    Raises:
        UserError: what was named is not there, or nothing fits.
    """
    named = {"The variable RECONSTRUCT_PYTHON": os.environ.get("RECONSTRUCT_PYTHON", ""), "The preference Engine Python": chosen}
    for said_by, path in named.items():
        if not path:
            continue
        found = _python_at(Path(path).expanduser())
        if found is None:
            raise UserError(f"{said_by} names {path} as the engine's Python, which is not there.", _CHOOSE)
        return found
    for own in (environment_folder(), ROOT / ".venv"):
        if found := _python_at(own):
            return found
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return Path(sys.executable)
    raise UserError(
        "No Python for the engine is known.",
        "Run python3 scripts/dev.py setup in Reconstruct's checkout (see README), and choose its .venv in the add-on's preferences.",
        "no_engine",
    )


def train_command(python: Path, capture: Path, out: Path, settings: TrainSettings, *, overwrite: bool = False) -> list[str]:
    """The command line that trains a capture into a new result. Settings at their default, or as their preset has them, are
    left out."""
    command = [str(python), "-m", "engine", "train", str(capture), "--out", str(out), *_flags(settings, _base(settings.preset))]
    return [*command, "--overwrite"] if overwrite else command


def resume_command(python: Path, result: Path, settings: TrainSettings) -> list[str]:
    """The command line that goes on with a result, for the budget of ``settings``; its other settings are the result's own."""
    budget = TrainSettings(minutes=settings.minutes, steps=settings.steps)
    return [str(python), "-m", "engine", "train", "--resume", str(result), *_flags(budget, TrainSettings())]


def proxy_command(python: Path, result: Path, settings: ProxySettings) -> list[str]:
    """The command line that makes a result's proxy, and its surface where it has none."""
    return [str(python), "-m", "engine", "proxy", str(result), *_flags(settings, ProxySettings())]


def voxels_command(
    python: Path, pictures: Sequence[Path], out: Path, settings: VoxelSettings, *, masks: Sequence[Path] = (), overwrite: bool = False
) -> list[str]:
    """The command line that makes voxels of pictures."""
    command = [str(python), "-m", "engine", "voxels", *map(str, pictures), "--out", str(out), *_flags(settings, VoxelSettings())]
    command += ["--mask", *map(str, masks)] if masks else []
    return [*command, "--overwrite"] if overwrite else command


def convert(python: Path, source: Path, target: Path, axes: str | None = None, seconds: float = 300.0) -> list[str]:
    """Has the engine write splats to another file, and waits for it.

    Args:
        python: runs the engine.
        source: file of splats.
        target: its suffix names the format.
        axes: a key of cameras.WORLD_AXES, None for those of the format.
        seconds: how long it may take.

    Returns:
        Sentences on what was ignored or left out.

    Raises:
        UserError: the file is refused, or the engine does not run.
    """
    command = [str(python), "-m", "engine", "convert", str(source), str(target), "--from-axes", axes or "auto"]
    try:
        done = subprocess.run(
            command, cwd=tempfile.gettempdir(), env=engine_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", timeout=seconds, check=False,
            creationflags=subprocess.CREATE_NO_WINDOW if os.name == "nt" else 0,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(f"The engine did not convert {source} within {seconds:.0f} seconds.", "Export it as another format.") from None
    except OSError as error:
        raise UserError(f"The engine's Python {python} does not start: {error.strerror or error}.", _CHOOSE) from None
    if done.returncode:
        said = next((line.strip() for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.returncode}")
        raise UserError(f"The engine could not convert {source}: {said[:500]}")
    # The last line says what was written.
    return done.stdout.splitlines()[:-1]


def start_check(python: Path) -> subprocess.Popen:
    """Starts the engine's doctor; :func:`read_check` takes the answer when it has ended."""
    return subprocess.Popen(
        [str(python), "-m", "engine", "doctor", "--json"], cwd=tempfile.gettempdir(), env=engine_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        creationflags=subprocess.CREATE_NO_WINDOW if os.name == "nt" else 0,
    )  # fmt: skip


def read_check(doctor: subprocess.Popen, seconds: float = 120.0) -> dict[str, Any]:
    """What the doctor found; waits for its end.

    Raises:
        UserError: the engine does not run in this Python.
    """
    try:
        out, err = doctor.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        doctor.kill()
        raise UserError(f"The engine did not answer within {seconds:.0f} seconds.", "Check again; a first start can take long.") from None
    try:
        answer = json.loads(out)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    last = next((line.strip() for line in reversed(err.splitlines()) if line.strip()), f"exit code {doctor.returncode}")
    raise UserError(f"The engine does not run in {doctor.args[0]}: {last[:200]}", _CHOOSE)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for another Python: without what Blender, a virtual environment or oneAPI's setvars put there."""
    kept = {
        name: value for name, value in environment.items() if not name.upper().startswith(_FOREIGN) and name.upper() not in _FOREIGN_NAMES
    }
    # The extension's folder may be read-only and is not ours to write to; a pipe or file for output is UTF-8 on every system.
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}


def engine_environment() -> dict[str, str]:
    """The engine's variables. Its working folder is not the extension's, which Windows could then not replace while the engine runs; so
    the path names it, and nothing in the working folder is imported.
    """
    return {**clean_environment(os.environ), "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}


def _python_at(path: Path) -> Path | None:
    """The interpreter at a path, which may be a virtual environment's folder."""
    inner = path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Not resolved: a virtual environment's Python is a link, and its place tells which environment it is.
    return next((file.absolute() for file in (path, inner) if file.is_file()), None)


def _base(preset: str) -> TrainSettings:
    """The settings of a preset, from which the options given on the command line deviate."""
    return dataclasses.replace(from_mapping(TrainSettings, with_preset({"preset": preset})), preset="none")


def _flags(settings: Any, base: Any, before: str = "") -> list[str]:
    """The flags that turn ``base`` into ``settings``."""
    known = to_mapping(base)
    flags: list[str] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            flags += _flags(value, getattr(base, field.name), f"{before}{name}.")
        elif value is not None and value != known.get(field.name):
            flags += [f"--{before}{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{before}{name}", str(value)]
    return flags
