# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection of gaussians to the screen."""
