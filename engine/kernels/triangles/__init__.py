# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle is in front at each pixel."""
