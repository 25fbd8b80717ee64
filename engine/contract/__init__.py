# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender and the engine say to each other: capture, settings, job, events and result, as dataclasses.

Standard library only, because both worlds import it.
"""
