# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads and changes Blender's data for the layers above: captures, results and rooms; no operators, no panels."""
