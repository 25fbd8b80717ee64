# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, as the design says."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Parts of the engine, and which other parts each may import.
ALLOWED = {
    "contract": set(),
    "cameras": set(),
    "color": set(),
    "formats": {"contract", "cameras", "color"},
    "kernels": {"cameras"},
    "data": {"contract", "cameras", "formats", "kernels"},
    "splats": {"contract", "cameras", "formats", "kernels", "data"},
    "precision": {"kernels"},
    "fields": {"contract", "cameras", "formats", "kernels", "data", "precision"},
    "surfaces": {"contract", "cameras", "formats", "kernels", "data"},
    "voxels": {"contract", "cameras", "formats", "kernels", "data", "precision"},
    "metrics": {"kernels"},
    "devices": {"contract"},
    "images": {"contract"},
    "methods": {"contract", "cameras", "color", "formats", "kernels", "data", "splats", "fields", "surfaces", "devices", "precision"},
    "runs": {"", "contract", "data", "kernels", "methods", "metrics", "devices", "images"},
    "jobs": {
        *("", "contract", "cameras", "color", "formats", "data", "kernels", "methods", "metrics", "devices", "precision", "images"),
        *("runs", "splats", "fields", "surfaces", "voxels"),
    },
    "bench": {"", "contract", "cameras", "formats", "kernels", "data", "splats", "methods", "devices"},
    "cli": {"contract", "runs", "jobs", "bench"},
    "__main__": {"cli"},
    "": set(),
}
# What the add-on may import of the engine.
SHARED = {"contract", "cameras", "color", "formats"}
# Libraries beyond the standard one, where they are limited.
# zstandard is not in Blender: formats import it where it is needed.
LIBRARIES = {"contract": set(), "cameras": {"numpy"}, "color": {"numpy"}, "formats": {"numpy", "zstandard"}}

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


def part(name: str) -> str:
    """The part of the engine that a module belongs to, "" for the engine itself."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 and pieces[1] in ALLOWED else ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_import_rules(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    world = parts[0] if len(parts) > 1 else "root"
    mine = parts[1] if world == "engine" and parts[1] != "__init__" else ""
    for name, level in imports(file):
        top = name.split(".")[0]
        assert level or top not in ("engine", "addon", "scripts"), f"absolute import of {name}"
        if world == "engine":
            assert top not in ("bpy", "mathutils", "bmesh", "gpu", "addon"), f"the engine imports {name}"
            if level:
                theirs = part(name)
                assert theirs == mine or theirs in ALLOWED[mine], f"{mine} imports {theirs or name}"
            elif mine in LIBRARIES and top not in sys.stdlib_module_names:
                assert top in LIBRARIES[mine], f"{mine} imports {name}"
        elif world == "addon":
            if level and top == "engine":
                assert part(name) in SHARED, f"the add-on imports {name}"
            elif not level:
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


def test_nothing_edits_the_path_and_nothing_is_unpickled():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for forbidden in ("sys.path.insert", "sys.path.append", "import pickle", "torch.load(", "allow_pickle=True", "shell=True"):
            assert forbidden not in text, f"{file} uses {forbidden}"
