"""Text generation of chats: what is rendered, what is answered, and chats that are none."""

import sys

import pytest

from torchless import InputError, MissingDependencyError, OptionError, pipeline

from .generation_factories import ids, make_causal

TASK = "text-generation"
ROUND = {"a": {"b": 2}, "b": {"c": 3}, "c": {"a": 1}, ">": {"a": 1}}
TEMPLATE = (
    "{% for message in messages %}{% if not loop.first %}|{% endif %}<{{ message.role }}>{{ message.content }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}|<assistant>{% endif %}{{ extra }}"
)
USER, ASSISTANT = {"role": "user", "content": "a?"}, {"role": "assistant", "content": "ab"}


@pytest.fixture
def answer(tmp_path):
    folder = make_causal(tmp_path, ROUND, tokenizer={"chat_template": TEMPLATE})
    return pipeline(TASK, folder, do_sample=False, max_new_tokens=3)


def test_a_chat_is_answered(answer):
    expected = [USER, {"role": "assistant", "content": "abc"}]
    assert answer([USER]) == [{"generated_text": expected}]
    assert answer((USER,)) == [{"generated_text": expected}]
    assert answer([USER], return_full_text=False) == [{"generated_text": "abc"}]


def test_what_the_model_reads(answer):
    read = ids("<user>a?|<assistant>")
    assert answer([USER], return_tensors=True) == [{"generated_token_ids": [*read, *ids("abc")]}]


def test_the_tokenizer_adds_no_special_tokens_to_a_chat(answer):
    assert answer([USER], add_special_tokens=True, return_tensors=True) == answer([USER], return_tensors=True)


def test_many_chats(answer):
    chats = [[USER], [USER, ASSISTANT, USER]]
    expected = [answer(chat) for chat in chats]
    assert answer(chats) == expected
    assert list(answer(iter(chats))) == expected
    assert answer([[USER], "a"]) == [answer([USER]), answer("a")]


def test_an_assistants_message_is_continued(answer):
    expected = [USER, {"role": "assistant", "content": "abcab"}]
    assert answer([USER, ASSISTANT]) == [{"generated_text": expected}]
    assert answer([USER, ASSISTANT], continue_final_message=True) == [{"generated_text": expected}]
    assert answer([USER, ASSISTANT], return_full_text=False) == [{"generated_text": "cab"}]


def test_it_is_answered_where_that_is_asked_for(answer):
    found = answer([USER, ASSISTANT], continue_final_message=False)
    assert found == [{"generated_text": [USER, ASSISTANT, {"role": "assistant", "content": "abc"}]}]


def test_a_users_message_is_continued_where_that_is_asked_for(answer):
    user = {"role": "user", "content": "ab", "name": "Ann"}
    assert answer([user], continue_final_message=True) == [{"generated_text": [{**user, "content": "abcab"}]}]


def test_the_chat_of_the_caller_is_left_alone(answer):
    chat = [dict(USER), dict(ASSISTANT)]
    answer(chat)
    assert chat == [USER, ASSISTANT]


def test_variables_of_the_template(answer):
    found = answer([USER], tokenizer_encode_kwargs={"extra": "b"}, return_full_text=False)
    assert found == [{"generated_text": "cab"}]


def test_pieces(answer):
    assert list(answer.stream([USER])) == ["a", "b", "c"]
    assert list(answer.stream([USER, ASSISTANT])) == ["c", "a", "b"]


def test_a_chat_without_a_template(tmp_path):
    answer = pipeline(TASK, make_causal(tmp_path, ROUND), do_sample=False, max_new_tokens=3)
    with pytest.raises(OptionError, match="has no default chat template"):
        answer([USER])
    assert answer("a") == [{"generated_text": "abca"}]


def test_a_template_that_refuses(tmp_path):
    template = "{{ raise_exception('roles must alternate') }}"
    answer = pipeline(TASK, make_causal(tmp_path, ROUND, tokenizer={"chat_template": template}))
    with pytest.raises(InputError, match="roles must alternate"):
        answer([USER, USER])


@pytest.mark.parametrize(
    "chat",
    [[{"role": "user"}], [{"content": "a"}], [USER, {}], [USER, "a"], [USER, None], [{"role": 1, "content": "a"}],
     [{"role": "user", "content": 5}], [{"text": "a"}], [USER, [USER]]],
)  # fmt: skip
def test_malformed_messages(answer, chat):
    with pytest.raises(InputError, match="a message"):
        answer(chat)
    with pytest.raises(InputError, match="a message"):
        answer([[USER], chat])
    assert answer("a") == [{"generated_text": "abca"}]


@pytest.mark.parametrize("inputs", [[[]], [["a"]], [[USER], []], [[[USER]]]])
def test_lists_that_are_no_chats(answer, inputs):
    with pytest.raises(InputError, match="a chat is a list of messages"):
        answer(inputs)


def test_one_message_is_no_chat(answer):
    with pytest.raises(InputError, match=r"expected a text \(str\), not dict"):
        answer(USER)


def test_jinja2_missing(answer, monkeypatch):
    from importlib import metadata

    from torchless import chat

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    chat._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingDependencyError, match=r"jinja2.*torchless\[chat\]"):
        answer([USER])
    assert answer("a") == [{"generated_text": "abca"}]
    monkeypatch.undo()
    assert answer([USER], return_full_text=False) == [{"generated_text": "abc"}]
