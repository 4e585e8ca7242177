"""Messages of a conversation to the one text that a chat model was trained on, by its Jinja template.

Templates are rendered as transformers renders them, in Jinja's sandbox and with the same additions, and see nothing but
plain data. jinja2 is an extra: ``pip install torchless[chat]``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BundleError, InputError, MissingDependencyError, OptionError

if TYPE_CHECKING:
    import jinja2

Message = Mapping[str, Any]

# jinja2 before this version has known ways out of its sandbox.
_MINIMUM = (3, 1, 6)
# The names that a message's reasoning goes by; templates read the first, and some the second.
_REASONING = ("reasoning_content", "thinking", "reasoning")
# Marks where a message that is to be continued ends; its space shows whether the template strips messages.
_TAG = "CONTINUE_FINAL_MESSAGE_TAG "


def render(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool | None = None,
    *,
    continue_final_message: bool | str = False,
    **variables: Any,
) -> str:
    """The text of a conversation.

    Args:
        template: Jinja source.
        messages: dictionaries with ``role`` and ``content``, and whatever else the template reads.
        tools: JSON schemas of functions that the model may call.
        documents: dictionaries with ``title`` and ``text``.
        add_generation_prompt: whether the text ends with what introduces an answer; None does so unless the last
            message is to be continued.
        continue_final_message: end the text within the last message, so that the model goes on with it; a string names
            the field of the message that is continued instead of ``"content"``.
        variables: what else the template can see, such as ``bos_token``.

    Raises:
        MissingDependencyError: jinja2 is not installed, or too old to be safe.
        BundleError: the template is not valid Jinja.
        InputError: messages, tools or documents of another form, or ones that the template refuses.
        OptionError: an answer is to be introduced and the last message continued.
    """
    if add_generation_prompt is None:
        add_generation_prompt = not continue_final_message
    if add_generation_prompt and continue_final_message:
        raise OptionError("add_generation_prompt and continue_final_message contradict each other: choose one")
    chat = [_named_reasoning(message) for message in _dictionaries("messages", messages)]
    if not chat:
        raise InputError("expected at least one message")
    continued = _tag(template, chat[-1], continue_final_message) if continue_final_message else None
    text = _render(
        template,
        messages=chat,
        tools=None if tools is None else _dictionaries("tools", tools),
        documents=None if documents is None else _dictionaries("documents", documents),
        add_generation_prompt=add_generation_prompt,
        **_plain(variables),
    )
    return text if continued is None else _cut(text, continued)


def choose(templates: Mapping[str, str], chosen: str | None, tools: bool) -> str:
    """A template by its name or its own text, or the default: that for tools where there are some.

    Raises:
        OptionError: there is no default.
    """
    if chosen is not None:
        return templates.get(chosen, chosen)
    name = "tool_use" if tools and "tool_use" in templates else "default"
    if name not in templates:
        known = f"name one of {sorted(templates)}" if templates else "it is not a model for chats"
        raise OptionError(f"the tokenizer has no default chat template; {known}")
    return templates[name]


def _render(template: str, **variables: Any) -> str:
    compiled = _compiled(template)
    try:
        return compiled.render(**variables)
    except Exception as error:  # a template can fail in any way
        raise InputError(f"the chat template refuses these messages: {error}") from error


@lru_cache(maxsize=32)
def _compiled(template: str) -> jinja2.Template:
    _check_version()
    import jinja2

    try:
        return _environment().from_string(template)
    except jinja2.TemplateSyntaxError as error:
        raise BundleError(f"the chat template is not valid Jinja: line {error.lineno}: {error.message}") from error


def _check_version() -> None:
    from importlib import metadata

    try:
        found = metadata.version("jinja2")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError("chat templates need jinja2: pip install torchless[chat]") from error
    if tuple(int(part) for part in found.split(".")[:3] if part.isdigit()) < _MINIMUM:
        wanted = ".".join(map(str, _MINIMUM))
        raise MissingDependencyError(
            f"chat templates need jinja2 {wanted} or later, not {found}, whose sandbox leaks: "
            "pip install torchless[chat]"
        )


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Jinja's sandbox with what transformers adds to it."""
    from jinja2.ext import loopcontrols

    from .chat_sandbox import Dictionary, Generation, Namespace, Sandbox, refuse

    environment = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = _now
    environment.globals["dict"] = Dictionary()
    environment.globals["namespace"] = Namespace
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is: Jinja's own filter escapes what means something in HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _now(layout: str) -> str:
    return datetime.now().strftime(layout)


def _dictionaries(what: str, values: Any) -> list[dict[str, Any]]:
    """Plain copies, so that a template can neither reach objects nor change what the caller holds."""
    if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
        raise InputError(f"{what} must be a list of dictionaries, not {type(values).__name__}")
    found = [_plain(value) for value in values]
    for value in found:
        if not isinstance(value, dict):
            raise InputError(f"{what} must be a list of dictionaries, not of {value!r:.80}")
    return found


def _plain(value: Any) -> Any:
    """The same data in JSON's own types; what has none is only named."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return _plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return f"<{type(value).__name__}>"


def _named_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """Drop fields without a value, which templates would print, and give reasoning the names that they read."""
    message = {name: value for name, value in message.items() if value is not None}
    reasoning = next((message[name] for name in _REASONING if name in message), None)
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _tag(template: str, message: dict[str, Any], continued: bool | str) -> str:
    """Mark the end of the last message's field that is to be continued; returns the text in it."""
    field = continued if isinstance(continued, str) else "content"
    value = message.get(field)
    if value is None:
        raise InputError(f"continue_final_message: the last message has no {field!r}; it has {sorted(message)}")
    fields = [name for name in _REASONING if message.get(name) == value] if field in _REASONING else [field]
    if not any(name in template for name in fields):
        raise InputError(f"continue_final_message: the chat template does not read {field!r}")
    if isinstance(value, str):
        message.update(dict.fromkeys(fields, value + _TAG))
        return value
    for block in reversed(value):
        if "text" in block:
            text: str = block["text"]
            block["text"] = text + _TAG
            return text
    raise InputError("continue_final_message: the last message has no text to continue")


def _cut(text: str, continued: str) -> str:
    """A text up to the end of the message that is continued."""
    if continued.strip() not in text or _TAG.strip() not in text:
        raise InputError("continue_final_message: the chat template leaves out parts of the last message")
    end = text.rindex(_TAG.strip())
    kept = text[:end]
    return kept if text[end:].startswith(_TAG) else kept.rstrip()  # the template strips messages
