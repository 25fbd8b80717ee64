# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: what takes longer than a click. stages.py starts them, process.py follows a process, running.py does so on Blender's timers."""
