# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, as the design says."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FILES = sorted([*(ROOT / "engine").rglob("*.py"), *(ROOT / "addon").rglob("*.py"), ROOT / "__init__.py"])


def imports(file: Path):
    """Absolute module names that a file imports, relative ones resolved from the root: ``engine.contract.errors``, ``numpy``."""
    package = file.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                assert node.level <= len(package) + 1, f"{file} imports from above the root"
                module = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    yield f"{module}.{alias.name}".strip("."), node.level
            else:
                yield node.module, 0


def test_floors(tmp_path):
    """The contracts of pyproject.toml, which name the packages as they are called once installed."""
    package = tmp_path / "reconstruct"
    for name in ("engine", "addon"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "__init__.py", package)
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", ROOT / "pyproject.toml"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_are_relative_and_the_add_on_needs_only_what_blender_ships(file):
    world = file.relative_to(ROOT).parts[0]
    for name, level in imports(file):
        top = name.split(".")[0]
        assert level or top not in ("engine", "addon", "scripts"), f"absolute import of {name}"
        if world == "addon" and not level:
            assert top in {"bpy", "bpy_extras", "mathutils", "numpy", "gpu", "bl_ui"} or top in sys.stdlib_module_names, (
                f"the add-on imports {name}"
            )


# What makes tensors, on the processor where no device is named.
FACTORIES = {"arange", "empty", "eye", "full", "linspace", "ones", "rand", "randn", "tensor", "zeros"}


@pytest.mark.parametrize(
    "file",
    [
        *(ROOT / "engine" / "fields").glob("*.py"),
        *(ROOT / "engine" / "surfaces").glob("*.py"),
        *(ROOT / "engine" / "methods" / name for name in ("nerf.py", "ngp.py")),
    ],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_fields_assume_no_processor(file):
    """Tensors are made on a named device, and come to the processor before NumPy has them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        text, owner = ast.unparse(node), node.func.value
        if node.func.attr == "numpy":
            assert ast.unparse(owner).endswith(".cpu()"), f"line {node.lineno}: {text}"
        if isinstance(owner, ast.Name) and owner.id == "torch" and node.func.attr in FACTORIES:
            assert "device" in {keyword.arg for keyword in node.keywords}, f"line {node.lineno}: {text}"


def test_the_root_imports_nothing_by_itself():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_posix_only_calls_have_their_other_half():
    """Calls that Windows lacks stand behind a test for them in the same file."""
    lacking = {"os.fork", "os.killpg", "os.setsid", "os.getuid", "os.geteuid", "os.sched_getaffinity", "signal.SIGKILL", "signal.alarm"}
    for file in [*FILES, *(ROOT / "scripts").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in lacking:
                guarded = f'hasattr({node.value.id}, "{node.attr}")' in text or "win32" in text or 'os.name == "nt"' in text
                assert guarded, f"{file}: {node.value.id}.{node.attr} is not there on Windows"


def test_nothing_is_unpickled():
    """What ruff's banned interfaces do not see."""
    for file in FILES:
        assert "allow_pickle=True" not in file.read_text(encoding="utf-8"), file
