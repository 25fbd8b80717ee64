# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks a job file without a window: capture, train, voxels, import, place, render, save.

    blender -b -P scripts/batch.py -- JOB.toml
    python scripts/batch.py JOB.toml            (with the bpy wheel)

Exit code 0: done. 1: a stage failed or was cancelled. 2: a bad argument or job file.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _package():
    """The checkout or the extension as one package, whatever its folder is called."""
    spec = importlib.util.spec_from_file_location("reconstruct", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["reconstruct"] = module
    spec.loader.exec_module(module)
    return importlib.import_module("reconstruct.addon.batch"), importlib.import_module("reconstruct.addon.blender.preferences")


def main() -> int:
    try:
        import bpy
    except ImportError:
        print("reconstruct: refused: this Python has no bpy; use: blender -b -P scripts/batch.py -- JOB.toml")
        return 2
    batch, preferences = _package()
    # Blender passes its own arguments on; ours begin behind the two dashes.
    inside_blender = not bpy.app.module
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [] if inside_blender else sys.argv[1:]
    code = batch.main(arguments, preferences.engine_python())
    if not inside_blender:
        # The wheel's own clean-up can hang or crash at the end of Python, which would hide the outcome.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
