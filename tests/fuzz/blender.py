# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's import of damaged files: they come in, or are refused in a sentence that leaves nothing behind, in time and within memory.

    python -m tests.fuzz.blender --count 300 --seed 0 [--bombs]

All run in one process, because Blender's cannot be forked; the last line that is printed names the case that ended it.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import bpy

from engine.contract.result import Artifact, Result, write_result

from . import corpus
from .bombs import bombs
from .mutate import mutate
from .run import GROWTH, MEMORY, SECONDS

ROOT = Path(__file__).resolve().parents[2]
# What a result lists, by the reader of the corpus whose file it is.
_ARTIFACTS = {"splats": "splats.ply", "points": "points.ply", "mesh": "mesh.glb", "proxy": "proxy.glb", "voxels": "voxels.npz"}


def _load() -> ModuleType:
    """Registers the checkout as the add-on, and returns it."""
    spec = importlib.util.spec_from_file_location("reconstruct", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["reconstruct"] = module
    spec.loader.exec_module(module)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    module.register()
    return module


def _counts() -> list[int]:
    return [len(blocks) for blocks in (bpy.data.objects, bpy.data.meshes, bpy.data.collections, bpy.data.images)]


def _clear() -> None:
    for blocks in (bpy.data.objects, bpy.data.collections):
        for block in list(blocks):
            blocks.remove(block)
    bpy.data.orphans_purge(do_recursive=True)


def _bring(reader: str, folder: Path, file: str) -> str:
    """Imports a file or the result that it belongs to. Returns what was wrong, "" where nothing was."""
    before = _counts()
    try:
        if (folder / "result.json").is_file():
            bpy.context.scene.reconstruct.import_.result = str(folder)
            bpy.ops.reconstruct.import_result()
        else:
            bpy.ops.reconstruct.import_file(filepath=str(folder / file))
    except RuntimeError as error:
        said = str(error)
        if "Traceback" in said:
            return said.replace("\n", " | ")[-500:]
        # A button that is gray has its reason elsewhere.
        if not said.startswith("Error: ") and "poll" not in said:
            return f"not a sentence: {said[:300]}"
        return f"left {_counts()} of {before}: {said[:200]}" if _counts() != before else ""
    return ""


def main(arguments: list[str]) -> int:
    """Runs the command line. Returns 1 where something was found."""
    parser = argparse.ArgumentParser(description="Imports damaged files into Blender.")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bombs", action="store_true")
    given = parser.parse_args(arguments)
    addon = _load()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        chosen = list(_cases(Path(made), given.count, given.seed, given.bombs))
        for name, reader, folder, file, content in chosen:
            case = Path(made) / "case"
            shutil.rmtree(case, ignore_errors=True)
            shutil.copytree(folder, case)
            data = content()
            (case / file).write_bytes(data)
            print(f"{name}", flush=True)
            faulthandler.dump_traceback_later(10 * SECONDS, exit=True)
            begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            wrong = _bring(reader, case, file)
            took, grown = time.process_time() - begin, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
            faulthandler.cancel_dump_traceback_later()
            if not wrong and took > SECONDS:
                wrong = f"hang: {took:.0f} s"
            if not wrong and grown > max(MEMORY, GROWTH * len(data)):
                wrong = f"memory: {grown / 2**30:.1f} GiB for {len(data)} bytes"
            if wrong:
                found.append(f"{wrong}  ({name})")
            _clear()
    # A Blender that is a Python module crashes at its end where properties of an add-on are left.
    addon.unregister()
    print(f"{len(chosen)} inputs: {len(found)} findings", *found, sep="\n")
    return 1 if found else 0


def _cases(made: Path, count: int, seed: int, with_bombs: bool) -> Iterator[tuple[str, str, Path, str, Callable[[], bytes]]]:
    """Name, reader, folder, file and what makes its content."""
    sources = [source for source in corpus.build(made / "corpus") if source.reader in _ARTIFACTS]
    targets = [source for source in sources if source.reader in ("splats", "points") and not source.file.startswith("points3D")]
    for reader, artifact in _ARTIFACTS.items():
        source = next(source for source in sources if source.reader == reader and source.file.endswith(artifact[-3:]))
        folder = made / f"result {reader}"
        folder.mkdir()
        shutil.copy(source.folder / source.file, folder / artifact)
        write_result(folder, Result("done", "splat", str(made), artifacts=(Artifact(reader, artifact),), up=(0.0, 0.0, 1.0)))
        targets += [corpus.Source(reader, folder, artifact), corpus.Source(reader, folder, "result.json")]
    files = [(target.folder / target.file).read_bytes() for target in targets]
    for target, data in zip(targets, files, strict=True):
        yield f"valid {target.reader} {target.file}", target.reader, target.folder, target.file, lambda data=data: data
    for index in range(count):
        target = targets[index % len(targets)]
        how, content = mutate(files[index % len(targets)], files, random.Random(f"{seed}:{index}"))
        name = f"{seed}:{index} {target.reader} {target.file} {how}"
        yield name, target.reader, target.folder, target.file, lambda content=content: content
    for index, (reader, file, content) in enumerate(bombs() if with_bombs else ()):
        if reader in ("splats", "points") and not file.startswith("points3D"):
            yield f"bomb {index} {file}", reader, targets[0].folder, file, content
        elif reader in _ARTIFACTS and not file.startswith("points3D"):
            yield f"bomb {index} {file}", reader, made / f"result {reader}", _ARTIFACTS[reader], content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
