# SPDX-License-Identifier: GPL-3.0-or-later
"""Surfaces of what was learnt, as meshes."""
