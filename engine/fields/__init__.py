# SPDX-License-Identifier: GPL-3.0-or-later
"""Radiance fields: what they hold, and how they are asked for density and color. Their space has the cube [-1, 1]^3 about the scene."""
