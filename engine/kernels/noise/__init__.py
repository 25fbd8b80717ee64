# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise on the places of gaussians that are nearly transparent."""
