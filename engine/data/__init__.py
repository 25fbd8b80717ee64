# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures as arrays: pictures with their cameras, the box they look at, and what training starts from."""
