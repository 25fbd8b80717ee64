# SPDX-License-Identifier: GPL-3.0-or-later
"""Rooms, and where results stand in them."""
