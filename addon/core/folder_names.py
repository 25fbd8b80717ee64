# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the folders that a scene's captures and results lie in, fit for every system."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# A home in the paths that users see and type. The names are those of Blender's own path templates.
HOME = "//reconstruct/{blend_name}/{scene_name}"
# The folders in a home.
CAPTURE, TRAINED, VOXELS = "capture", "result", "voxels"

# Version 0.1 kept one capture and one result for all files and scenes of a folder. Files that it saved still use them.
OLD_HOME = "//reconstruct"
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
# Bytes of a name in UTF-8; file systems allow 255.
_MAX_NAME = 100


def safe_name(name: str) -> str:
    """A name as the name of a folder on every system. Names that differ stay different."""
    plain = unicodedata.normalize("NFC", name)
    safe = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]', "_", plain).strip(" .") or "_"
    safe = safe.encode("utf-8", errors="replace")[:_MAX_NAME].decode("utf-8", errors="ignore").rstrip(" .")
    if safe.partition(".")[0].rstrip().casefold() in _RESERVED:
        safe = f"_{safe}"
    return safe if safe == name else f"{safe}-{digest(name)}"


def digest(name: str) -> str:
    """Six digits that tell names apart which would give the same folder."""
    return hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).hexdigest()[:6]
