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
_WIDTH, _FLOOR, _BOX, _HEIGHT, _LEFT = 1060, 92, 104, 40, 270
_COLORS = {"addon": ("#fdf0e1", "#d9822b"), "engine": ("#e8f0fa", "#4a78b5")}


def floors(program: str) -> list[list[str]]:
    """The rooms of a program, ``addon`` or ``engine``, the top floor first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == [f"reconstruct.{program}"])
    return [[f"{program}.{room.strip()}" for room in layer.split("|")] for layer in layers]


def imports() -> Counter[tuple[str, str]]:
    """How many import statements lead from one room to another."""
    found: Counter[tuple[str, str]] = Counter()
    for file in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "addon").rglob("*.py")]:
        parts = file.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and node.level):
                continue
            base = [*parts[: len(parts) - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                pair = ".".join(parts[:2]), ".".join([*filter(None, base), alias.name][:2])
                if pair[0] != pair[1]:
                    found[pair] += 1
    return found


def draw() -> str:
    """The picture, SVG."""
    height = _FLOOR * len(floors("engine")) + 20
    places: dict[str, tuple[float, float]] = {}
    for program, left, right in (("addon", 0, _LEFT), ("engine", _LEFT, _WIDTH)):
        rows = floors(program)
        top = (height - _FLOOR * len(rows)) / 2 + _FLOOR / 2
        for index, row in enumerate(rows):
            span = (right - left) / len(row)
            places |= {room: (left + span * (number + 0.5), top + _FLOOR * index) for number, room in enumerate(row)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="15">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for (importer, imported), count in sorted(imports().items()):
        if importer in places and imported in places:
            (x0, y0), (x1, y1) = places[importer], places[imported]
            color, middle = _COLORS[importer.partition(".")[0]][1], (y0 + y1) / 2
            path = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {y1:.0f}"
            width = min(1 + count / 12, 5)
            lines.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="0.35" stroke-width="{width:.1f}"/>')
    for room, (x, y) in places.items():
        program, _, name = room.partition(".")
        corner = f'x="{x - _BOX / 2:.0f}" y="{y - _HEIGHT / 2:.0f}"'
        lines.append(f'<rect {corner} width="{_BOX}" height="{_HEIGHT}" rx="5" fill="{_COLORS[program][0]}" stroke="#33475b"/>')
        lines.append(f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="#1d2a38">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)
