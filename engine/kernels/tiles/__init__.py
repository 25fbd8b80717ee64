# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorting of projected gaussians by depth and tile."""
