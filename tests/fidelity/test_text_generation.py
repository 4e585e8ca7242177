"""Text generation on the shipped checkpoint against the pipeline of the installed transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from torchless import InputError, Pipeline, pipeline

from . import cases
from .checkpoints import Exported, save

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] | trim }}"
    "{% if not loop.last %}{{ '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\nassistant:' }}{% endif %}"
)
CHATS = {
    "question": [{"role": "user", "content": "Tell me of a girl named Amelia."}],
    "several": [
        {"role": "system", "content": "You tell stories."},
        {"role": "user", "content": "Who was Tom?"},
        {"role": "assistant", "content": "A little boy."},
        {"role": "user", "content": "What did he want?"},
    ],
    "prefilled": [{"role": "user", "content": "Begin."}, {"role": "assistant", "content": "Once upon a time "}],
}
TEXTS = [cases.STORIES[name] for name in ("opening", "space", "empty", "special")]
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 16}
OPTIONS: list[dict[str, Any]] = [
    GREEDY,
    {**GREEDY, "stop_sequence": "."},
    {**GREEDY, "stop_sequence": ["he ", "and"]},
    {**GREEDY, "return_full_text": False, "num_beams": 3},
    {**GREEDY, "num_beams": 4, "num_return_sequences": 4, "return_tensors": True},
    {"do_sample": False, "max_length": 40, "min_length": 35},
    {**GREEDY, "prefix": "He was sad. "},
]


def reference(folder: Path) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return transformers.pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("noise", cases.NOISE)
def test_texts(noise: int | None, exported: Exported, tmp_path: Path) -> None:
    ours: Pipeline[Any] = pipeline("text-generation", exported("story", noise))
    theirs = reference(save("story", noise, tmp_path / "checkpoint"))
    for options in OPTIONS:
        expected = [theirs(text, **options) for text in TEXTS]
        assert [ours(text, **options) for text in TEXTS] == expected, options
        assert ours(TEXTS, **options) == expected, options


def test_until_the_text_ends(exported: Exported) -> None:
    write: Pipeline[Any] = pipeline("text-generation", exported("story"))
    text = cases.STORIES["opening"]
    assert write(text, do_sample=False) == reference(cases.CHECKPOINTS / "story")(text, do_sample=False)


def test_the_end_of_a_long_prompt(exported: Exported) -> None:
    ours: Pipeline[Any] = pipeline("text-generation", exported("story"))
    theirs = reference(cases.CHECKPOINTS / "story")
    theirs.tokenizer.model_max_length = ours.tokenizer.max_length
    prompt = cases.STORIES["opening"] * 20
    options = {**GREEDY, "handle_long_generation": "hole", "return_tensors": True}
    with pytest.warns(UserWarning, match="tokens lost at its beginning"):
        assert ours(prompt, **options) == theirs(prompt, **options)
    with pytest.raises(InputError, match="give a shorter one"):
        ours(prompt, **GREEDY)


@pytest.mark.parametrize("continued", [None, True, False])
def test_chats(continued: bool | None, tmp_path: Path) -> None:
    from torchless.export import export

    shutil.copytree(cases.CHECKPOINTS / "story", tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    ours: Pipeline[Any] = pipeline("text-generation", export(str(tmp_path / "checkpoint"), tmp_path / "bundle"))
    theirs = reference(tmp_path / "checkpoint")
    for options in (GREEDY, {**GREEDY, "return_full_text": False}, {**GREEDY, "return_tensors": True}):
        for name, chat in CHATS.items():
            found = ours(chat, continue_final_message=continued, **options)
            assert found == theirs(chat, continue_final_message=continued, **options), (name, options)
