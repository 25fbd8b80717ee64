# SPDX-License-Identifier: GPL-3.0-or-later
"""Where captures keep their files: the layouts of the field's programs, and the lookup of what a capture names. All readers share both."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
# Suffixes that capture files name although the photos were converted since.
_CONVERTED = (".heic", ".heif", ".avif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".exr", ".tga", ".gif")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")

# Folders of photos, best first: COLMAP and nerfstudio; what 3DGS's convert.py starts from; what people call them.
IMAGE_FOLDERS = ("images", "input", "photos", "image", "imgs", "rgb", "color", "frames")
# Folders of COLMAP models, best first: COLMAP and 3DGS, nerfstudio, COLMAP's automatic reconstruction and undistorter, 3DGS's originals.
MODEL_FOLDERS = (
    "sparse/0", "sparse", "sparse/*", ".", "colmap/sparse/0", "colmap/sparse", "colmap/sparse/*", "colmap", "dense/sparse",
    "dense/sparse/*", "dense/*/sparse", "dense/*", "undistorted/sparse", "undistorted/sparse/*", "undistorted", "distorted/sparse/*",
)  # fmt: skip
# Seed points that no file names.
POINT_FILES = ("points.ply", "points3d.ply", "sparse_pc.ply")
MASK_FOLDERS = ("masks", "mask")
# Folders beside the photos whose files have the photos' names.
UNNAMED_FOLDERS = ("depth", "depths", "normals", "normal", "albedo")
_LAYOUT_NAMES = ("sparse", "colmap", "dense", "distorted", "undistorted")

_MAX_DEPTH = 5
_MAX_ENTRIES = 500_000
# More files of one name in folders of one name are not told apart.
_MAX_SAME_NAMES = 16


def is_image(name: str) -> bool:
    """Whether a file name is an image's that can be read."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def image_folders(folder: Path) -> list[Path]:
    """The folders of photos in a folder, best first; behind them those that hold smaller copies (images_2, images_4, …)."""
    found = sorted((_rank(name), name) for name in _listed(folder) if _rank(name) is not None)
    followed = [_followed(os.path.join(folder, name)) for _, name in found]
    return [Path(path) for path in followed if os.path.isdir(path)]


def _rank(folder: str) -> int | None:
    """How early a folder of photos is looked at; None for others."""
    folder = folder.lower()
    if folder in IMAGE_FOLDERS:
        return IMAGE_FOLDERS.index(folder)
    if folder.startswith("images_") and folder[7:].isdecimal() and len(folder) < 12:
        return 100 + int(folder[7:])
    return None


def images_in(folder: str | Path) -> list[str]:
    """The names of the images in a folder, sorted."""
    return [name for name in _listed(folder) if is_image(name)]


def joined(folder: str, name: str) -> str:
    """The path of a file in a folder, from a name with slashes."""
    path = name if os.sep == "/" else name.replace("/", os.sep)
    return os.path.join(folder, path) if os.path.isabs(path) or not folder else f"{folder}{os.sep}{path}"


def _followed(path: str) -> str:
    """The folder that a link leads to. Where Git may not make links, as on Windows, it leaves a file that holds the path."""
    try:
        if os.path.isfile(path) and os.path.getsize(path) < 1024:
            with open(path, encoding="utf-8") as stream:
                named = stream.read().strip()
            target = os.path.normpath(os.path.join(os.path.dirname(path), named))
            return target if not named.startswith(("//", "\\\\")) and os.path.isdir(target) else path
    except (OSError, ValueError):
        pass
    return path


def model_folders(folder: Path) -> list[Path]:
    """The folders below (or at) a folder that hold a COLMAP model in one of the known layouts, best first."""
    found: dict[Path, None] = {}
    for pattern in MODEL_FOLDERS:
        # Numbered models by number: sparse/2 comes before sparse/10.
        matches = [folder] if pattern == "." else sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
        found |= {path: None for path in matches if is_model(path)}
    return list(found)


def is_model(folder: Path) -> bool:
    """Whether a folder holds the images file of a COLMAP model."""
    return any(os.path.isfile(folder / f"images.{kind}") for kind in ("bin", "txt"))


def enclosing(folder: Path) -> list[Path]:
    """The folders above one that is itself a part of a layout, as sparse/0 is, or sparse; the nearest first."""
    found = []
    while folder.name.lower() in _LAYOUT_NAMES or (folder.name.isdecimal() and (found or is_model(folder))):
        folder = folder.parent
        found.append(folder)
    return found


def shown(name: str) -> str:
    """A name from a file, fit for a message and for UTF-8."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return name if len(name) <= 200 else f"{name[:60]}…{name[-139:]}"


class CaptureFiles:
    """Finds the files that a capture names, wherever they lie now.

    A name that leads to a file is taken as it is: relative, absolute, through links, or out of the capture's folder, since the user named
    or linked it. Any other is looked for below the capture's folder by its last parts, in any case and with any image suffix.

    Args:
        folder: the capture's folder.
        roots: the folders that names are relative to, best first; the capture's folder if there are none.
    """

    def __init__(self, folder: Path, roots: Sequence[Path] = ()):
        self.folder = folder
        self.roots = [str(root) for root in roots] or [str(folder)]
        # Names that led nowhere, and the file that was taken instead.
        self.replaced: list[tuple[str, str]] = []
        self._below: list[str] | None = None
        self._index: dict[tuple[str | None, str], list[str]] = {}
        self._links: dict[str, str] = {}

    def images(self, names: Sequence[str]) -> list[str | None]:
        """The path of the image of each name; None if there is none, or if several fit equally well."""
        found = {name: self._direct(name, ("", ".png", ".jpg")) for name in dict.fromkeys(names)}
        lost = [name for name, path in found.items() if path is None and _parts(name)]
        if lost:
            stems = Counter(_stem(parts[-1]) for name in found if (parts := _parts(name)))
            taken = {path for path in found.values() if path is not None}
            for name in lost:
                stem = _stem(_parts(name)[-1])
                # Where photos share file names (cam0/1.png, cam1/1.png), the folder has to match as well.
                found[name] = self._best(name, stem, taken, alone=stems[stem] == 1)
        return [found[name] for name in names]

    def other(self, name: str) -> str | None:
        """A file that is no photo: a mask, depth, points. Below the folder it is only found with the folder that it is named in."""
        path = self._direct(name, ("",))
        if path is not None or not _parts(name):
            return path
        # An image without its folder would be the photo of the same name.
        return self._best(name, _parts(name)[-1], set(), alone=len(_parts(name)) == 1 and not is_image(name))

    def below(self) -> list[str]:
        """The files below the folder, relative to it; at most half a million, the nearest first."""
        if self._below is None:
            self._below = list(_walk(self.folder))
        return self._below

    def _direct(self, name: str, suffixes: tuple[str, ...]) -> str | None:
        name = name.replace("\\", "/")
        # Never a network share: Windows would sign in at whatever server a downloaded file names.
        if name.startswith("//") or not name:
            return None
        while name.startswith("./"):
            name = name[2:]
        for root in self.roots:
            for path in (joined(root, name), self._linked(root, name)):
                for suffix in suffixes:
                    if path and os.path.isfile(path + suffix):
                        return path + suffix
        return None

    def _linked(self, root: str, name: str) -> str | None:
        first, _, rest = name.partition("/")
        place = f"{root}/{first}"
        if place not in self._links:
            self._links[place] = _followed(place) if rest else place
        return joined(self._links[place], rest) if self._links[place] != place else None

    def _best(self, name: str, last: str, taken: set[str], alone: bool) -> str | None:
        """The file below the folder that fits a name best.

        Args:
            name: as in the capture's file.
            last: what the file has to be called, in lower case: a name, or an image's without suffix.
            taken: files that belong to other names.
            alone: whether the file's name without its folder can be enough.
        """
        parts = _parts(name)
        candidates = self._called(parts[-2], last) if len(parts) > 1 else []
        if not candidates and alone:
            candidates = self._called(None, last)
        relative = len(parts) > 1 and not name.startswith(("/", "\\")) and not parts[0].endswith(":")
        ranked = []
        for below in candidates[:_MAX_SAME_NAMES]:
            own, path = _comparable(below).split("/"), joined(str(self.folder), below)
            shared = 0
            while shared + 1 < min(len(own), len(parts)) and own[-2 - shared] == parts[-2 - shared]:
                shared += 1
            rank = _rank(own[-2]) if len(own) > 1 else 98
            aside = any(part in (*MASK_FOLDERS, *UNNAMED_FOLDERS) for part in own[:-1])
            # A name without its folder says enough if that folder was another machine's, or if photos are usually kept where this one is.
            if path not in taken and (shared or (not aside and (rank is not None or not relative))):
                ranked.append(((-shared, own[-1] != parts[-1], 99 if rank is None else rank, len(own)), path))
        ranked.sort()
        if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
            return None
        found = ranked[0][1]
        taken.add(found)
        self.replaced.append((name, found))
        return found

    def _called(self, parent: str | None, last: str) -> list[str]:
        """The files below with a name, or a name without an image's suffix; in a folder of a name, or in any."""
        if not self._index:
            for path in self.below():
                *_, folder, name = ("", *_comparable(path).rsplit("/", 2))
                for called in {name, _stem(name)} if is_image(name) else {name}:
                    self._index.setdefault((folder, called), []).append(path)
                    self._index.setdefault((None, called), []).append(path)
        return self._index.get((parent, last), [])


def _listed(folder: str | Path) -> list[str]:
    """The names in a folder, sorted, without hidden ones; none if it cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _walk(folder: Path) -> Iterator[str]:
    waiting = deque([("", 0)])
    top = os.path.realpath(folder)
    linked: set[str] = set()
    entries = 0
    while waiting:
        below, depth = waiting.popleft()
        try:
            with os.scandir(folder / below) as found:
                listed = sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in found if not entry.name.startswith("."))
        except OSError:
            continue
        for name, is_folder, is_link in listed:
            entries += 1
            if entries > _MAX_ENTRIES:
                return
            path = f"{below}/{name}" if below else name
            if not is_folder:
                yield path
            elif depth < _MAX_DEPTH:
                if is_link:
                    # Each folder that is linked is walked once, and none that holds the capture.
                    real = os.path.realpath(folder / path)
                    if real in linked or top == real or top.startswith(real.rstrip(os.sep) + os.sep):
                        continue
                    linked.add(real)
                waiting.append((path, depth + 1))


def _parts(name: str) -> list[str]:
    """The parts of a name in lower case, whatever system wrote it."""
    return [part for part in _comparable(name.replace("\\", "/")).split("/") if part not in ("", ".", "..")]


def _comparable(name: str) -> str:
    """A name in lower case and in one Unicode form: macOS decomposes accented letters."""
    return unicodedata.normalize("NFC", name).lower()


def _stem(name: str) -> str:
    name = _comparable(name)
    stem, suffix = os.path.splitext(name)
    return stem if suffix in IMAGE_SUFFIXES or suffix in _CONVERTED else name
