# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconstruct's training engine: a command-line program that turns captures into splats. It never imports bpy."""

__version__ = "0.1.0"
