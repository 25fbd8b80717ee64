# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no Blender: Python, NumPy and mathutils. Everything above may import it."""
