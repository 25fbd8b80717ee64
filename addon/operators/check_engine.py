# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the engine what this machine has."""

import subprocess

import bpy

from ...engine.contract.errors import UserError
from ..blender.preferences import engine_python
from ..core import engine_command
from ..jobs import running
from .base import Reporting

_doctor: subprocess.Popen | None = None


class RECONSTRUCT_OT_check_engine(Reporting, bpy.types.Operator):
    """Start the engine and show what it finds: its version, the devices, and what will be used"""

    bl_idname = "reconstruct.check_engine"
    bl_label = "Check Engine"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        def start() -> None:
            global _doctor
            stop()
            _show("Checking …", False)
            _doctor = engine_command.start_check(engine_command.interpreter(engine_python()))
            bpy.app.timers.register(_tick, first_interval=0.3)

        return self.guard(start)

    def run(self, context: bpy.types.Context) -> None:
        _show(_lines(engine_command.read_check(engine_command.start_check(engine_command.interpreter(engine_python())))), True)

    def guard(self, work) -> set[str]:
        """As for every operator; what is wrong is shown beside the button as well."""

        def shown() -> None:
            try:
                work()
            except (UserError, OSError) as error:
                _show(str(error), False)
                raise

        return super().guard(shown)


def stop() -> None:
    """Gives up a check that is under way."""
    global _doctor
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _doctor is not None:
        _doctor.kill()
        _doctor.communicate()
        _doctor = None


def _tick() -> float | None:
    global _doctor
    if _doctor is None:
        return None
    if _doctor.poll() is None:
        return 0.3
    doctor, _doctor = _doctor, None
    try:
        _show(_lines(engine_command.read_check(doctor)), True)
    except UserError as error:
        _show(str(error), False)
    return None


def _lines(facts: dict) -> str:
    """The doctor's answer for people, a line for each thing it found."""
    lines = [
        f"Engine {facts.get('engine', '')} works",
        f"{facts.get('processor', 'Processor')}, {facts.get('threads', '?')} threads",
        f"Devices: {', '.join(map(str, facts.get('devices', [])))}",
    ]
    lines += [f"{name} uses {choice.get('device')}: {choice.get('reason')}" for name, choice in facts.get("methods", {}).items()]
    if not facts.get("kernels", {}).get("compiled", True):
        lines.append("The first training compiles its kernels, which takes a minute")
    return "\n".join(lines)


def _show(text: str, ok: bool) -> None:
    shown = bpy.context.window_manager.reconstruct
    shown.engine, shown.engine_ok = text, ok
    running.redraw()


CLASSES = (RECONSTRUCT_OT_check_engine,)
