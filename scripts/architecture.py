# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws docs/architecture.svg: the floors of the program as pyproject.toml orders them, and who really imports whom.

    python -m scripts.architecture
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
_WIDTH, _FLOOR, _BOX, _HEIGHT, _LEFT = 960, 92, 104, 40, 190


def floors() -> list[list[str]]:
    """The rooms of the engine, the top floor first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def imports() -> Counter[tuple[str, str]]:
    """How many import statements lead from one room to another; the add-on is one room."""
    found: Counter[tuple[str, str]] = Counter()
    for file in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "addon").rglob("*.py")]:
        parts = file.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and node.level):
                continue
            base = [*parts[: len(parts) - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                pair = _room(parts), _room((*filter(None, base), alias.name))
                if all(pair) and pair[0] != pair[1]:
                    found[pair] += 1
    return found


def draw() -> str:
    """The picture, SVG."""
    rows, edges = floors(), imports()
    height = _FLOOR * len(rows) + 20
    places = {"addon": (90.0, _FLOOR * (len(rows) - 1) / 2 + 40)}
    for index, row in enumerate(rows):
        span = (_WIDTH - _LEFT) / len(row)
        places |= {room: (_LEFT + span * (number + 0.5), index * _FLOOR + 40) for number, room in enumerate(row)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="15">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for (importer, imported), count in sorted(edges.items()):
        if importer in places and imported in places:
            (x0, y0), (x1, y1) = places[importer], places[imported]
            color, middle = ("#d9822b" if importer == "addon" else "#4a78b5"), (y0 + y1) / 2
            path = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {y1:.0f}"
            width = min(1 + count / 12, 5)
            lines.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="0.35" stroke-width="{width:.1f}"/>')
    for room, (x, y) in places.items():
        fill = "#fdf0e1" if room == "addon" else "#e8f0fa"
        corner = f'x="{x - _BOX / 2:.0f}" y="{y - _HEIGHT / 2:.0f}"'
        lines.append(f'<rect {corner} width="{_BOX}" height="{_HEIGHT}" rx="5" fill="{fill}" stroke="#33475b"/>')
        lines.append(f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="#1d2a38">{room}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _room(parts: tuple[str, ...] | list[str]) -> str:
    if parts[0] == "addon":
        return "addon"
    return parts[1] if len(parts) > 1 and parts[0] == "engine" else ""


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)
