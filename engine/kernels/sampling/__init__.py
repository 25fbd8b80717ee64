# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of places on a surface, from pictures of it."""
