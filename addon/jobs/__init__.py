# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: what takes longer than a click. process.py and engine.py know no bpy; running.py hangs a job on Blender's timers."""
