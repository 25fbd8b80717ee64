# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up what it needs, then does it. Needs Python 3.11 (or 3.13) and pip, nothing else.

python3 scripts/dev.py demo       captures a furnished room, trains splats, brings them back: the whole road, in out/demo
python3 scripts/dev.py test       all tests that need neither a GPU nor a full Blender   (more: test tests/engine -k resume)
python3 scripts/dev.py lint       style and unused code
python3 scripts/dev.py package    the extension's zip, in dist/
python3 scripts/dev.py bench      the operations, timed on named fixtures
python3 scripts/dev.py benchmarks the first part of docs/benchmarks.md, measured anew in about two hours   (a part: --only lego-90s)
python3 scripts/dev.py setup      only the environment   (setup ipex: into .venv-ipex, with Intel's extension and INT8)
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 13))
# What the extension consists of.
PACKED = ("addon", "engine", "scripts/batch.py", "__init__.py", "blender_manifest.toml", "README.md", "LICENSE")
# The file in a virtual environment of ours that says what is installed in it.
MARK = "set-up"


class Stop(Exception):
    """Ends with one sentence."""


def main(arguments: list[str]) -> int:
    """Runs a command. Returns the exit code."""
    commands = {
        "demo": demo,
        "test": test,
        "lint": lint,
        "package": package,
        "bench": bench,
        "benchmarks": benchmarks,
        "setup": set_up,
    }
    if not arguments or arguments[0] not in commands:
        print(__doc__.strip())
        return 0 if arguments[:1] in ([], ["--help"], ["-h"]) else 2
    try:
        return commands[arguments[0]](arguments[1:])
    except Stop as stop:
        print(f"dev: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dev: stopped", file=sys.stderr)
        return 1


def setup(folder: str = ".venv", groups: tuple[str, ...] = ("blender", "test"), profile: str = "") -> Path:
    """Makes a virtual environment as :func:`environment` does, and compiles the kernels, which takes minutes.

    Returns:
        Its Python. What is there already is not done again.
    """
    python = environment(folder, groups, profile)
    _run([python, "-m", "engine", "doctor", "--compile"], quiet=True)
    return python


def environment(folder: str = ".venv", groups: tuple[str, ...] = ("blender", "test"), profile: str = "") -> Path:
    """Makes a virtual environment with the engine's packages and the optional groups of pyproject.toml.

    A profile's packages take the place of those that have the same name.

    Returns:
        Its Python. What is there already is not done again.
    """
    if sys.version_info[:2] not in PYTHONS:
        raise Stop(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, and Blender's module needs 3.11 or 3.13; use python3.11.")
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, size = table["project"], "2 GB"
    packages = project["dependencies"] + [name for group in groups for name in project["optional-dependencies"][group]]
    if profile:
        own, size = (table["tool"]["reconstruct"]["profiles"][profile][key] for key in ("packages", "size"))
        names = [re.match(r"[\w-]+", name)[0] for name in own]
        packages = own + [name for name in packages if re.match(r"[\w-]+", name)[0] not in names]
    home = ROOT / folder
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark, wanted = home / MARK, hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()
    if not mark.is_file() or mark.read_text() != wanted:
        _say(f"Setting up {folder} (about {size}, a few minutes, once)")
        _make_environment(home)
        _install(python, packages)
        mark.write_text(wanted)
    return python


def _make_environment(home: Path) -> None:
    mark = home / MARK
    if home.is_symlink():
        raise Stop(f"{home} is a link to an environment of other packages; delete the link, and a new environment is made here.")
    if home.is_dir() and any(home.iterdir()) and not mark.is_file():
        raise Stop(f"{home} is there already, and this script did not make it; rename or delete it.")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(exist_ok=True)
    # First, so that what is interrupted is known for ours.
    mark.touch()
    try:
        import venv

        venv.EnvBuilder(with_pip=True).create(home)
    except (ImportError, subprocess.CalledProcessError):
        shutil.rmtree(home, ignore_errors=True)
        version = ".".join(map(str, sys.version_info[:2]))
        raise Stop(f"this Python has no venv module; install it (Debian and Ubuntu: apt install python{version}-venv).") from None


def _install(python: Path, packages: list[str]) -> None:
    """Installs, with a line for each package that pip fetches."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *packages]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    tail: list[str] = []
    for line in process.stdout:
        tail = [*tail[-20:], line.rstrip()]
        if line.startswith(("Collecting", "Installing")):
            _say("  " + line.split("(from")[0].strip()[:100])
    if process.wait() != 0:
        print("\n".join(tail), file=sys.stderr)
        raise Stop("the packages could not be installed; pip's last lines are above.")


def set_up(arguments: list[str]) -> int:
    """The usual environment, or that of a profile."""
    if arguments not in ([], ["ipex"]):
        raise Stop(f"there is no profile {' '.join(arguments)}; there is: ipex.")
    python = setup(".venv-ipex", ("test",), "ipex") if arguments else setup()
    return subprocess.call([str(python), "-m", "engine", "doctor"], cwd=ROOT, env=_environment())


def demo(_: list[str]) -> int:
    """The main job on a real room."""
    begin = time.monotonic()
    python = setup()
    ready = time.monotonic()
    _say(f"Set up in {ready - begin:.0f} s.")
    code = subprocess.call([str(python), str(ROOT / "scripts/demo/demo.py"), str(ROOT / "out/demo")], env=_environment())
    if code == 0:
        _say(f"The whole road took {time.monotonic() - ready:.0f} s after set-up.")
    return code


def test(arguments: list[str]) -> int:
    """Engine and add-on in two processes: torch and Numba on one side, Blender on the other."""
    engine_only = "--engine-only" in arguments
    chosen = [argument for argument in arguments if argument != "--engine-only"]
    python = setup(".venv-engine", ("test",)) if engine_only else setup()
    paths = [argument for argument in chosen if argument.startswith("tests")]
    options = [argument for argument in chosen if argument not in paths]
    runs = [[path] for path in paths] or (
        [["tests/engine", "tests/fuzz", *(f"tests/test_{name}.py" for name in ("imports", "dev", "benchmarks", "voxel_benchmarks"))]]
        + ([] if engine_only else [["tests/addon"], ["tests/blender"]])
    )
    marks = [] if any(option.startswith("-m") for option in options) else ["-m", "not slow"]
    codes = []
    for run in runs:
        _say(f"Testing {' '.join(run)}")
        codes.append(subprocess.call([str(python), "-m", "pytest", *run, *marks, *options], cwd=ROOT, env=_environment()))
    # pytest's 5: nothing was chosen in this part, for example by -k.
    return max((code for code in codes if code != 5), default=5)


def lint(_: list[str]) -> int:
    """Style, unused imports and names, likely bugs."""
    return subprocess.call([str(environment()), "-m", "ruff", "check", "."], cwd=ROOT)


def package(_: list[str]) -> int:
    """Builds the extension with Blender's own tool, and validates it."""
    python = environment()
    tool = _extension_tool(python)
    (ROOT / "dist").mkdir(exist_ok=True)
    # From a copy: what else lies in the checkout, such as scenes and photos, is nobody else's business.
    with tempfile.TemporaryDirectory() as folder:
        for name in PACKED:
            source, target = ROOT / name, Path(folder) / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        _run([python, tool, "build", "--source-dir", folder, "--output-dir", ROOT / "dist"])
    import tomllib

    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    _run([python, tool, "validate", ROOT / "dist" / f"{manifest['id']}-{manifest['version']}.zip"])
    return 0


def _extension_tool(python: Path) -> Path:
    """Blender's own builder of extensions. Where the Blender module keeps its scripts differs from release to release, so it is asked."""
    code = "import bpy; print(bpy.utils.system_resource('SCRIPTS'))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, env=_environment())
    if found.returncode != 0:
        raise Stop("the Blender module does not start; delete .venv and try again.")
    tool = Path(found.stdout.strip().splitlines()[-1]) / "addons_core/bl_pkg/cli/blender_ext.py"
    if not tool.is_file():
        raise Stop(f"the Blender module holds no extension tool: {tool} is missing.")
    return tool


def bench(arguments: list[str]) -> int:
    """Times the operations."""
    return subprocess.call([str(setup()), "-m", "engine", "bench", *arguments], cwd=ROOT)


def benchmarks(arguments: list[str]) -> int:
    """Measures what docs/benchmarks.md tells, and writes it."""
    return subprocess.call([str(setup()), "-m", "scripts.benchmarks", *arguments], cwd=ROOT, env=_environment())


def _run(command: list[object], quiet: bool = False) -> None:
    process = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None, env=_environment())
    if process.returncode != 0:
        raise Stop(f"{' '.join(map(str, command[1:4]))} failed; its words are above.")


def _environment() -> dict[str, str]:
    """Compiled Python files stay out of the checkout, because the extension is built from it."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
