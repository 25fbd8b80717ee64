# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and TOML of files that anybody may have written: whatever is wrong with them is one sentence. And JSON that we write."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from .errors import UserError

_MAX_DOTS = 1000


def parse_json(text: str, what: str) -> Any:
    """The value of a JSON text.

    Args:
        what: the file, for messages.

    Raises:
        UserError: it is not JSON, is nested too deeply for Python's parser, or holds an integer of thousands of digits.
    """
    return _parsed(json.loads, text, what, "JSON")


def escaped(text: str) -> str:
    """JSON text that UTF-8 can hold: lone surrogates, by which Python stands for the bytes of a file's name that are not UTF-8, become
    escapes, from which :func:`parse_json` makes the same again.
    """
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """The table of a TOML text; see :func:`parse_json`."""
    # The parser's memory grows with the square of the dots in a key: 200 KB of them took more than 20 GB.
    line = next((number for number, line in enumerate(text.split("\n"), 1) if line.count(".") > _MAX_DOTS), None)
    if line is not None:
        raise UserError(f"{what} has more than {_MAX_DOTS} dots in line {line}.", "Split the line.")
    return _parsed(tomllib.loads, text, what, "TOML")


def _parsed(parse: Any, text: str, what: str, kind: str) -> Any:
    try:
        return parse(text)
    except RecursionError:
        raise UserError(f"{what} is not valid {kind}: it is nested too deeply.") from None
    except ValueError as error:
        # Both parsers' own errors are ValueErrors, as is Python's limit on the digits of an integer.
        reason = "an integer has too many digits" if "integer string conversion" in str(error) else str(error)[:200]
        raise UserError(f"{what} is not valid {kind}: {reason}.") from None
