# SPDX-License-Identifier: GPL-3.0-or-later
"""The photometric loss and the light it is measured in."""
