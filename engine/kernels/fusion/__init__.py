# SPDX-License-Identifier: GPL-3.0-or-later
"""From depth pictures to signed distances in a grid of blocks."""
