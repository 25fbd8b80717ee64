# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Blender scene to a capture folder: camera rigs, render passes, export."""
