"""What chat templates can use beyond Jinja itself. Imports jinja2."""

from __future__ import annotations

from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment as Sandbox

__all__ = ["Dictionary", "Generation", "Namespace", "Sandbox", "refuse"]


class Generation(Extension):
    """``{% generation %}`` marks what an assistant wrote, for training; here its content is all that counts."""

    tags = frozenset({"generation"})  # type: ignore[assignment]  # Jinja only looks names up in it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block's content, in a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller: Any) -> Any:
        return caller()


class Dictionary:
    """``dict(...)`` without the class's attributes."""

    def __call__(self, *arguments: Any, **items: Any) -> dict[Any, Any]:
        """As ``dict(...)``."""
        return dict(*arguments, **items)

    def fromkeys(self, keys: Any, value: Any = None) -> dict[Any, Any]:
        """As ``dict.fromkeys``."""
        return dict.fromkeys(keys, value)


class Namespace(jinja2.utils.Namespace):
    """``namespace(...)`` that refuses the names by which Python's insides are reached."""

    def __init__(*arguments: Any, **items: Any) -> None:  # an attribute may be called "self"
        self, *rest = arguments
        attributes = dict(*rest, **items)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def refuse(message: str) -> NoReturn:
    """``raise_exception(...)``: the template cannot render these messages."""
    raise jinja2.TemplateError(message)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a chat template cannot set {name!r} on a namespace")
