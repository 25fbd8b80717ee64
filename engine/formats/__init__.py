# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers and writers of files: captures, point clouds, splats.

Standard library and NumPy only, because the add-on imports them; zstandard where it is there.
"""
