# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported result can be shown as."""

LABELS = {"box": "Box", "points": "Point Cloud", "mesh": "Mesh", "proxy": "Proxy", "splats": "Splats"}
DESCRIPTIONS = {
    "box": "The box about its solid part, in its real size",
    "points": "Colored points",
    "mesh": "The fine surface, with a color for each vertex",
    "proxy": "A light, closed, textured mesh, which the room's lights can fall on",
    "splats": "Gaussian splats, as they were captured",
}
# From the lightest to the heaviest.
LOOKS = tuple(LABELS)
# What a result itself can hold, and so what is rendered where nothing else is asked for, best first. The box is made about it.
BEST = tuple(look for look in reversed(LOOKS) if look != "box")
_INSTEAD = {"splats": ("proxy", "mesh", "points"), "proxy": ("mesh", "points"), "mesh": ("proxy", "points")}


def nearest(look: str, held: list[str]) -> str:
    """The requested look, or the closest substitute that a result holds."""
    return next((other for other in (look, *_INSTEAD.get(look, ()), "box") if other in held), "points")
