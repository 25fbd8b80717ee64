# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share: a user's error becomes a report, and a long job is followed or waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bpy

from ...engine.contract.errors import UserError
from ..core.job_state import JobState
from ..jobs import running
from ..jobs.process import JobProcess
from ..properties.labels import in_panel_words


class Reporting:
    """Mix-in of an operator whose ``run(context)`` may raise UserError, OSError, MemoryError, or RuntimeError, as Blender's own operators
    do: a sentence is reported, nothing else happens.
    """

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Runs to the end; for scripts and -b."""
        return self.guard(lambda: self.run(context))

    def guard(self, work: Callable[[], None]) -> set[str]:
        """Does the work and tells Blender how it went."""
        try:
            work()
        except UserError as error:
            self.report({"ERROR"}, in_panel_words(str(error)))
            return {"CANCELLED"}
        except OSError as error:
            self.report({"ERROR"}, f"{error.filename or 'A file'}: {error.strerror or error}.")
            return {"CANCELLED"}
        except MemoryError:
            self.report({"ERROR"}, "There is not enough memory. Close other programs, or choose a smaller file.")
            return {"CANCELLED"}
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
            return {"CANCELLED"}
        return {"FINISHED"}


class StartsJob(Reporting):
    """Mix-in of an operator that starts a job: it is followed where a button was pressed, and waited for in a script."""

    # Set by ``invoke``. It stays so after a dialog was confirmed.
    _invoked = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return no_job_runs(cls)

    def follow_or_wait(self, job: JobProcess, kind: str, after: Callable[[JobState], None] | None = None) -> None:
        """Follows a job without blocking the window, see :func:`~...jobs.running.follow`, or waits for its end.

        Raises:
            UserError: a job that was waited for failed.
        """
        if self._invoked:
            running.follow(job, kind, after)
            return
        state = job.wait()
        if state.status == "failed":
            raise UserError(state.message, state.hint, state.code)
        if after is not None:
            after(state)


def select(objects: Sequence[bpy.types.Object]) -> None:
    """Selects what came in, and nothing else, so that it can be placed."""
    for item in bpy.context.selected_objects:
        item.select_set(False)
    layer = bpy.context.view_layer
    for item in objects:
        if item.name in layer.objects:
            item.select_set(True)
            layer.objects.active = item


def no_job_runs(cls: type[bpy.types.Operator]) -> bool:
    """For ``poll``: whether no job runs; else the button says why it is gray."""
    if running.current() is not None:
        cls.poll_message_set("A job is running. Wait for its end, or cancel it.")
        return False
    return True
