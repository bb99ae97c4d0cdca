"""Bodies from templates, in a sandbox: a template is data from outside and may be hostile.

Jinja2's sandbox with less in it: nothing may be called, no globals, strict about unknown variables,
bounded in size, nesting and time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from django.utils.translation import gettext as _
from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARS: Final = 65_536
MAX_OUTPUT_CHARS: Final = 1_048_576
MAX_SECONDS: Final = 0.25
MAX_LOOP_DEPTH: Final = 2
MAX_OPERAND: Final = 10_000
# Filters whose output can grow far beyond their input, or that call back into objects.
REMOVED_FILTERS: Final = ("center", "format", "map", "select", "reject", "selectattr", "rejectattr", "groupby")
REMOVED_NODES: Final[tuple[type[nodes.Node], ...]] = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Macro,
    nodes.CallBlock,
)


class RenderingFailed(Exception):
    """A template that can never be rendered with this data; the text says why, ``line`` where if that is known."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Keep ``'x' * 10**9`` and its kind from eating the worker's memory."""
        if operator in ("*", "**"):
            for operand in (left, right):
                if not isinstance(operand, int | float) or abs(operand) > MAX_OPERAND:
                    raise SecurityError(
                        _("{operator} takes numbers up to {most}").format(operator=operator, most=MAX_OPERAND)
                    )
            if operator == "**" and abs(right) > 16:
                raise SecurityError(_("** takes exponents up to 16"))
        if operator == "%" and isinstance(left, str):
            raise SecurityError(_("% is for numbers only"))
        return super().call_binop(context, operator, left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _make_environment(autoescape: bool) -> _Environment:
    environment = _Environment(undefined=StrictUndefined, autoescape=autoescape, keep_trailing_newline=True)
    environment.globals.clear()
    for name in REMOVED_FILTERS:
        environment.filters.pop(name, None)
    return environment


ENVIRONMENTS: Final = {False: _make_environment(False), True: _make_environment(True)}


@lru_cache(maxsize=2048)
def _compiled(source: str, html: bool) -> Template:
    if len(source) > MAX_TEMPLATE_CHARS:
        raise RenderingFailed(_("the template is longer than {most} characters").format(most=MAX_TEMPLATE_CHARS))
    environment = ENVIRONMENTS[html]
    tree = environment.parse(source)
    if any(tree.find(kind) is not None for kind in REMOVED_NODES):
        raise RenderingFailed(_("include, import, extends, macro and call are not available in messages"))
    if _loop_depth(tree) > MAX_LOOP_DEPTH:
        raise RenderingFailed(_("loops may be nested {most} deep at most").format(most=MAX_LOOP_DEPTH))
    return environment.from_string(tree)


def _loop_depth(node: nodes.Node) -> int:
    inner = max((_loop_depth(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)


def render(source: str, data: Mapping[str, Any], *, html: bool = False) -> str:
    """Render ``source`` with ``data``; ``html`` escapes what it inserts.

    Raises :class:`RenderingFailed` with a sentence a person can act on.
    """
    try:
        return _bounded(_compiled(source, html), data)
    except TemplateSyntaxError as error:
        raise RenderingFailed(
            _("line {line}: {problem}").format(line=error.lineno, problem=error.message), error.lineno
        ) from error
    except UndefinedError as error:
        text = _("{problem}: put it into body_data or take it out of the template").format(problem=error.message)
        raise RenderingFailed(text, _line_of(error)) from error
    except TemplateError as error:
        raise RenderingFailed(str(error) or type(error).__name__, _line_of(error)) from error
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise RenderingFailed(f"{type(error).__name__}: {error}", _line_of(error)) from error


def render_line(source: str, data: Mapping[str, Any]) -> str:
    """A subject: rendered like a body, on one line whatever the data holds."""
    return " ".join(render(source, data).split())


def parse(source: str) -> nodes.Template:
    """The syntax tree; raises :class:`RenderingFailed` for what could not be rendered with any data."""
    try:
        _compiled(source, False)
        return ENVIRONMENTS[False].parse(source)
    except TemplateSyntaxError as error:
        raise RenderingFailed(
            _("line {line}: {problem}").format(line=error.lineno, problem=error.message), error.lineno
        ) from error
    except (TemplateError, RecursionError) as error:
        raise RenderingFailed(str(error) or type(error).__name__) from error


def _line_of(error: BaseException) -> int | None:
    """The deepest line of the template in the traceback, which Jinja2 has rewritten to the template's lines."""
    step, line = error.__traceback__, None
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<template>":
            line = step.tb_lineno
        step = step.tb_next
    return line


def _bounded(template: Template, data: Mapping[str, Any]) -> str:
    deadline = time.monotonic() + MAX_SECONDS
    parts: list[str] = []
    size = 0
    for part in template.generate(data):
        size += len(part)
        if size > MAX_OUTPUT_CHARS:
            raise RenderingFailed(_("the result is longer than {most} characters").format(most=MAX_OUTPUT_CHARS))
        if time.monotonic() > deadline:
            raise RenderingFailed(_("rendering took longer than {most} s").format(most=MAX_SECONDS))
        parts.append(part)
    return "".join(parts)
