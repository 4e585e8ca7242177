"""Conversations to prompts: templates of the kinds that checkpoints bring, rendered as transformers renders them."""

import json
import re
from importlib import metadata

import pytest

from torchless import BundleError, InputError, MissingDependencyError, OptionError, Tokenizer, chat

from .factories import edit_json, write_tokenizer

CHATML = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %}{{- 'You help.' }}{%- endif %}
    {{- "\\n\\n# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) or
        (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}
{% set rest = messages[1:] %}
{% set system = messages[0]['content'] %}
{% else %}
{% set rest = messages %}
{% set system = false %}
{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if loop.index0 == 0 and system != false %}
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}
{% set content = message['content'] %}
{% endif %}
{% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}
{{ ' ' + content.strip() + ' ' + eos_token }}
{% endif %}
{% endfor %}"""
LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim %}
{% set content = content + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}
{{- content -}}{% endfor %}
{% if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{% endif %}"""
MODERN = """{%- macro block(role, text) -%}<{{ role }}>{{ text }}</{{ role }}>{%- endmacro -%}
{%- set ns = namespace(last=none, count=0) -%}
{%- set names = dict(user="U", assistant="A") -%}
{%- for message in messages -%}
    {%- if message.role == "skip" -%}{%- continue -%}{%- endif -%}
    {%- if message.role == "stop" -%}{%- break -%}{%- endif -%}
    {%- set ns.last = message.role -%}
    {%- set ns.count = ns.count + 1 -%}
    {%- if message.role == "assistant" -%}
        {% generation %}{{ block("A", message.content) }}{{ message.reasoning_content or "" }}{% endgeneration %}
    {%- elif message.content is string -%}
        {{ block(names.get(message.role, message.role), message.content) }}
    {%- else -%}
        {%- for part in message.content -%}
            {{ part.text if part.type == "text" else "[" ~ part.type ~ "]" }}
        {%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{{ ns.count }}{{ ns.last }} {{ documents | tojson(indent=2) if documents else "" }} {{ unknown is defined }}
{% if enable_thinking is defined and not enable_thinking %}quick{% endif %} {{ strftime_now("%Y") | length }}
    {% if add_generation_prompt %}
    <A>
    {% endif %}
"""
TEMPLATES = {"chatml": CHATML, "llama2": LLAMA2, "llama3": LLAMA3, "modern": MODERN}

SHORT = [{"role": "user", "content": "Hi <b>there</b> & 'you' été 😀 "}]
LONG = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  What is 2 + 2? "},
    {"role": "assistant", "content": "4\n"},
    {"role": "user", "content": "And 3?"},
]
CALLS = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "n": 1}}}],
    },
    {"role": "tool", "content": '{"degrees": 21.5}'},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "It's <hot> & é",
            "parameters": {"type": "object", "x": [True, None]},
        },
    }
]
DOCUMENTS = [{"title": "A", "text": "b <c>"}]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

REQUESTS = [
    ({}, SHORT),
    ({}, LONG),
    ({"tools": TOOLS}, CALLS),
    ({"tools": TOOLS}, LONG),
    ({"documents": DOCUMENTS, "enable_thinking": False}, SHORT),
    ({"add_generation_prompt": False}, LONG),
    ({"bos_token": "<other>"}, SHORT),
]


def original(template):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer as Library
    from tokenizers import models

    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Library(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>")),
        chat_template=template, **TOKENS,
    )  # fmt: skip


@pytest.mark.export
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("options", range(len(REQUESTS)))
def test_as_transformers_renders(name, options):
    given, messages = REQUESTS[options]
    if name == "llama2" and messages is CALLS:
        with pytest.raises(InputError, match="must alternate"):
            chat.render(LLAMA2, messages, **TOKENS)
        return
    wanted = original(TEMPLATES[name]).apply_chat_template(
        messages, tokenize=False, **{"add_generation_prompt": True, **given}
    )
    assert chat.render(TEMPLATES[name], messages, **{**TOKENS, **given}) == wanted
    assert wanted


@pytest.mark.export
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("end", ["Sure, it", "Sure, it ", "Sure,\n"])
def test_a_message_is_continued_as_transformers_does(name, end):
    messages = [*SHORT, {"role": "assistant", "content": end}]
    wanted = original(TEMPLATES[name]).apply_chat_template(messages, tokenize=False, continue_final_message=True)
    assert chat.render(TEMPLATES[name], messages, continue_final_message=True, **TOKENS) == wanted
    assert wanted.endswith(("Sure, it", "Sure, it ", "Sure,\n", "Sure,"))


@pytest.mark.export
@pytest.mark.parametrize(
    "message",
    [{"role": "assistant", "content": "x", "reasoning": "because"},
     {"role": "assistant", "content": "x", "thinking": "y"},
     {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image", "image": object()}]},
     {"role": "user", "content": "x", "tool_calls": None}, {"role": "skip", "content": "x"}, {"role": "stop"}],
)  # fmt: skip
def test_messages_of_other_forms(message):
    messages = [*SHORT, message, {"role": "user", "content": "end"}]
    wanted = original(MODERN).apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert chat.render(MODERN, messages, **TOKENS) == wanted


def test_a_conversation():
    assert chat.render(CHATML, LONG) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n  What is 2 + 2? <|im_end|>\n"
        "<|im_start|>assistant\n4\n<|im_end|>\n<|im_start|>user\nAnd 3?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat.render(LLAMA2, LONG, **TOKENS) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n  What is 2 + 2? [/INST]\n 4 </s>\n<s>[INST] And 3? [/INST]\n"
    )
    assert chat.render(LLAMA3, SHORT, bos_token="<s>") == (
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi <b>there</b> & 'you' été 😀<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_reasoning_may_be_continued():
    template = "{% for m in messages %}<{{ m.reasoning_content }}>{{ m.content }}{% endfor %}"
    messages = [{"role": "assistant", "content": "", "reasoning": "because it"}]
    assert chat.render(template, messages, continue_final_message="reasoning") == "<because it"


def test_parts_of_a_message_are_continued():
    template = "{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endfor %}"
    messages = [{"role": "assistant", "content": [{"text": "a"}, {"text": "b "}, {"type": "image"}]}]
    assert chat.render(template, messages, continue_final_message=True) == "[a][b "


def test_what_the_caller_holds_stays_as_it_is():
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    before = json.dumps(messages)
    template = "{% set x = messages[0].content[0].update({'text': 'b'}) %}{{ messages[0].content[0].text }}"
    with pytest.raises(InputError, match="refuses"):  # the sandbox's data cannot be changed
        chat.render(template, messages)
    chat.render("{{ messages[0].content[0].text }}", messages, continue_final_message=True)
    assert json.dumps(messages) == before


@pytest.mark.parametrize(
    "template",
    ["{{ messages.__class__.__mro__ }}", "{{ ''.__class__.__subclasses__() }}", "{{ raise_exception.__globals__ }}",
     "{{ cycler.__init__.__globals__ }}", "{% set ns = namespace(__class__=1) %}",
     "{{ '%s' | format(messages) | attr('__class__') }}",
     "{% set ns = namespace() %}{% set ns._x = 1 %}{{ dict.__class__.__init__ }}",
     "{{ strftime_now.__globals__['os'] }}"],
)  # fmt: skip
def test_templates_cannot_leave_the_sandbox(template):
    try:
        found = chat.render(template, SHORT)
    except InputError:
        return
    assert found == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [("{{ raise_exception('no system') }}", "no system"), ("{{ messages[0].content + 1 }}", "refuses"),
     ("{{ messages[0].nope.nope }}", "refuses"), ("{{ 1 / 0 }}", "refuses")],
)  # fmt: skip
def test_a_template_that_refuses(template, message):
    with pytest.raises(InputError, match=message):
        chat.render(template, SHORT)


def test_a_malformed_template():
    with pytest.raises(BundleError, match="not valid Jinja: line 2"):
        chat.render("ok\n{% for %}", SHORT)
    with pytest.raises(BundleError, match="not valid Jinja: line 1: No filter named 'nope'"):
        chat.render("{{ messages | nope }}", SHORT)


@pytest.mark.parametrize("messages", ["Hi", {"role": "user"}, None, 3, ["Hi"], [None], [["a"]], []])
def test_what_are_no_messages(messages):
    with pytest.raises(InputError, match="message"):
        chat.render(CHATML, messages)


@pytest.mark.parametrize("options", [{"tools": "x"}, {"tools": [print]}, {"documents": ["x"]}, {"documents": {"a": 1}}])
def test_what_are_no_tools_or_documents(options):
    with pytest.raises(InputError, match="dictionaries"):
        chat.render(CHATML, SHORT, **options)


@pytest.mark.parametrize(
    ("message", "options", "error", "text"),
    [({"role": "assistant", "content": "x"}, {"add_generation_prompt": True}, OptionError, "contradict"),
     ({"role": "assistant"}, {}, InputError, "has no 'content'"),
     ({"role": "assistant", "content": [{"type": "image"}]}, {}, InputError, "no text to continue"),
     ({"role": "assistant", "note": "y"}, {"continue_final_message": "note"}, InputError, "does not read")],
)  # fmt: skip
def test_what_cannot_be_continued(message, options, error, text):
    with pytest.raises(error, match=text):
        chat.render("{{ messages[-1].content }}", [message], **{"continue_final_message": True, **options})


def test_a_template_that_leaves_out_what_is_to_be_continued():
    with pytest.raises(InputError, match="leaves out"):
        chat.render(
            "{{ messages[0].content[:1] }}", [{"role": "assistant", "content": "abc"}], continue_final_message=True
        )


def test_jinja_is_missing(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(MissingDependencyError, match=re.escape("pip install torchless[chat]")):
        chat.render("{{ 'a template that was not compiled before' }}", SHORT)


def test_jinja_is_too_old(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "3.1.2")
    with pytest.raises(MissingDependencyError, match=r"jinja2 3\.1\.6 or later, not 3\.1\.2"):
        chat.render("{{ 'another template that was not compiled before' }}", SHORT)


class TestTokenizer:
    @pytest.fixture
    def folder(self, tmp_path):
        return write_tokenizer(tmp_path / "tokenizer", ["a", "b"])

    def test_a_template_of_the_configuration(self, folder):
        edit_json(
            folder / "tokenizer_config.json", chat_template="{{ cls_token }}{{ messages[0].content }}{{ sep_token }}"
        )
        tokenizer = Tokenizer(folder)
        text = tokenizer.apply_chat_template([{"role": "user", "content": "a"}])
        assert text == "[CLS]a[SEP]"
        assert tokenizer.encode([text], special_tokens=False)[0].ids == [2, 5, 3]
        assert tokenizer.apply_chat_template(SHORT, cls_token="!").startswith("!Hi")

    def test_a_template_in_a_file(self, folder):
        edit_json(folder / "tokenizer_config.json", chat_template="not this")
        (folder / "chat_template.jinja").write_text("{{ messages[0].content }} é", encoding="utf-8")
        assert Tokenizer(folder).apply_chat_template([{"role": "user", "content": "a"}]) == "a é"

    def test_several_templates(self, folder):
        named = {"default": "one", "tool_use": "two", "x": "3"}
        listed = [{"name": name, "template": template} for name, template in named.items()]
        edit_json(folder / "tokenizer_config.json", chat_template=listed)
        tokenizer = Tokenizer(folder)
        assert tokenizer.apply_chat_template(SHORT) == "one"
        assert tokenizer.apply_chat_template(SHORT, tools=TOOLS) == "two"
        assert tokenizer.apply_chat_template(SHORT, tools=TOOLS, chat_template="default") == "one"
        assert tokenizer.apply_chat_template(SHORT, chat_template="x") == "3"
        assert tokenizer.apply_chat_template(SHORT, chat_template="{{ 1 + 1 }}") == "2"

    def test_further_files(self, folder):
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "rag.jinja").write_text("rag")
        tokenizer = Tokenizer(folder)
        assert tokenizer.chat_templates == {"rag": "rag"}
        with pytest.raises(OptionError, match=r"no default chat template; name one of \['rag'\]"):
            tokenizer.apply_chat_template(SHORT)

    def test_no_template(self, folder):
        with pytest.raises(OptionError, match="not a model for chats"):
            Tokenizer(folder).apply_chat_template(SHORT)

    @pytest.mark.parametrize("declared", [[{"name": "x"}], 3, ["x"], [None]])
    def test_malformed_templates(self, folder, declared):
        edit_json(folder / "tokenizer_config.json", chat_template=declared)
        with pytest.raises(BundleError, match="chat_template"):
            Tokenizer(folder).apply_chat_template(SHORT)

    def test_a_file_that_is_no_text(self, folder):
        (folder / "chat_template.jinja").write_bytes(b"\xff\xfe\xff")
        with pytest.raises(BundleError, match=r"chat_template\.jinja"):
            Tokenizer(folder).apply_chat_template(SHORT)
