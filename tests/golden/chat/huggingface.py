"""Renders templates exactly as transformers does, with a clock that stands still."""

import datetime
import traceback

import jinja2
import transformers
from transformers.utils import chat_template_utils

VERSIONS = {"jinja2": jinja2.__version__, "transformers": transformers.__version__}
NOW = datetime.datetime(2024, 7, 26, 9, 5, 3, 120456)


class _StoppedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = _StoppedClock


def _line(error: BaseException) -> int:
    """The template's line that a failing rendering or parse was at."""
    if isinstance(error, jinja2.TemplateSyntaxError) and error.lineno:
        return error.lineno
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<template>"
    ]
    return lines[-1] if lines else 0


def render(template: str, context: dict) -> dict:
    """{"output": …} or {"error": what, "line": where}."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return {"output": compiled.render(**context)}
    except Exception as error:  # whatever a template can make Python raise
        return {"error": str(error), "type": type(error).__name__, "line": _line(error)}
