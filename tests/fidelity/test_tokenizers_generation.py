"""Tokenizers of generating models, frozen from real vocabularies, on thousands of lines in many scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from torchless import Tokenizer
from torchless.generation.streaming import TextStream

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")]


@dataclass(frozen=True)
class Case:
    """A checkpoint's tokenizer: model type, folder of the shared data, files by the names that they get, settings."""

    model_type: str
    source: str
    files: dict[str, str]
    config: dict[str, Any] = field(default_factory=dict)


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


FIXTURES = "sentencepiece-fixtures"
PIECES = {"test_sentencepiece.model": "sentencepiece.bpe.model"}
CASES = {
    "t5": Case("t5", "t5", same("spiece.model")),
    "t5-json": Case("t5", "t5", same("tokenizer.json", "tokenizer_config.json")),
    "mt5": Case("mt5", "t5", same("spiece.model")),
    "marian": Case(
        "marian",
        "marian-opus-mt-tc-big-fr-en",
        same("source.spm", "target.spm", "vocab.json", "tokenizer_config.json"),
    ),
    "llama": Case("llama", "llama2", same("tokenizer.model")),
    "llama-legacy": Case(
        "llama", "llama2", same("tokenizer.model"),
        {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True},
    ),
    "llama-bos-eos": Case(
        "llama", "llama2", same("tokenizer.model"),
        {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": True},
    ),
    "ctrl": Case("ctrl", "ctrl", same("merges.txt")),
    "openai-gpt": Case("openai-gpt", "openai-gpt", same("vocab.json", "merges.txt")),
    "gpt2": Case("gpt2", "gpt2", same("vocab.json", "merges.txt")),
    "qwen2": Case("qwen2", "qwen2", same("vocab.json", "merges.txt")),
    "bart": Case("bart", "roberta-base", same("vocab.json", "merges.txt")),
    "xlnet": Case("xlnet", "xlnet-base-cased", same("spiece.model")),
    "albert": Case("albert", "albert", same("spiece.model")),
    "whisper": Case("whisper", "whisper", same("tokenizer.json", "tokenizer_config.json")),
    "pegasus": Case("pegasus", FIXTURES, {"test_sentencepiece_no_bos.model": "spiece.model"}),
    "mbart": Case("mbart", FIXTURES, PIECES, {"tokenizer_class": "MBartTokenizer"}),
    "mbart50": Case("mbart", FIXTURES, PIECES, {"tokenizer_class": "MBart50Tokenizer"}),
}  # fmt: skip

Loaded = Callable[[str], tuple[Any, Tokenizer]]


@pytest.fixture(scope="module")
def load(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The original of a case and the frozen one, each made once."""
    from torchless.export.tokenizer import freeze

    made: dict[str, tuple[Any, Tokenizer]] = {}

    def load_case(name: str) -> tuple[Any, Tokenizer]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            original = transformers.AutoTokenizer.from_pretrained(
                write(CASES[name], shared_data, folder / "checkpoint")
            )
            (folder / "bundle").mkdir()
            freeze(original, folder / "bundle", ("input_ids", "attention_mask"))
            made[name] = original, Tokenizer(folder / "bundle")
        return made[name]

    return load_case


def write(case: Case, shared_data: Path, folder: Path) -> Path:
    """The files that a checkpoint of this case has."""
    folder.mkdir()
    for source, name in case.files.items():
        shutil.copy(shared_data / "tokenizers" / case.source / source, folder / name)
    if case.model_type == "ctrl":
        write_ctrl_vocabulary(shared_data / "tokenizers/ctrl/vocab", folder / "vocab.json")
    (folder / "config.json").write_text(json.dumps({"model_type": case.model_type}))
    if case.config:
        (folder / "tokenizer_config.json").write_text(json.dumps(case.config))
    return folder


def write_ctrl_vocabulary(source: Path, target: Path) -> None:
    """The vocabulary in the form that transformers reads: a word's line is its id, then come two more."""
    words = [line.split(" ")[0] for line in source.read_text(encoding="utf-8").split("\n")]
    target.write_text(json.dumps({word: index for index, word in enumerate([*words, "<unk>", "\n"])}))


@pytest.fixture(scope="module")
def lines(shared_data: Path) -> list[str]:
    return (shared_data / "reference/tokenizers/regression-text.txt").read_text(encoding="utf-8").split("\n")


@pytest.mark.parametrize("name", CASES)
def test_lines_in_many_scripts(load: Loaded, lines: list[str], name: str) -> None:
    original, frozen = load(name)
    wanted = original(lines, verbose=False)["input_ids"]
    found = [encoding.ids for encoding in frozen.encode(lines, truncation=None)]
    assert len(lines) > 10_000
    assert [index for index in range(len(lines)) if found[index] != wanted[index]] == []
    for skip in (False, True):
        texts = frozen.decode_batch(wanted, skip_special_tokens=skip)
        expected = [original.decode(ids, skip_special_tokens=skip) for ids in wanted]
        assert [index for index in range(len(lines)) if texts[index] != expected[index]] == []
        assert frozen.decode(wanted[7], skip_special_tokens=skip) == expected[7]


@pytest.mark.parametrize(
    ("name", "published"),
    [("t5", "t5_base"), ("t5-json", "t5_base"), ("llama-legacy", "llama"), ("gpt2", "gpt2"),
     ("whisper", "whisper_large_v2")],
)  # fmt: skip
def test_published_encodings(load: Loaded, shared_data: Path, name: str, published: str) -> None:
    (path,) = (shared_data / "reference/tokenizers").glob(f"{published}_encoded*.json")
    expected = json.loads(path.read_text(encoding="utf-8"))
    _, frozen = load(name)
    assert frozen.encode([expected["text"]], truncation=None)[0].ids == expected["token_ids"]


# The texts that the source of these ids gives beside them; spaces before punctuation are since left in.
CONTINUED = {
    "gpt2": "The dog was found in a field near the intersection of West and West Streets.\n\nThe dog",
    "openai-gpt": 'the president is a very good man . " \n " i \'m sure he is , " said the',
    "ctrl": "Legal the president is a good guy and I don't want to lose my job. \n \n I have a",
}


@pytest.mark.parametrize("name", CONTINUED)
def test_published_continuations(load: Loaded, shared_data: Path, name: str) -> None:
    expected = json.loads((shared_data / "reference/transformers_greedy_ids.json").read_text(encoding="utf-8"))[name]
    original, frozen = load(name)
    assert frozen.encode([expected["prompt"]])[0].ids == expected["input_ids"]
    assert frozen.decode(expected["greedy_output_ids"]) == CONTINUED[name]
    assert original.decode(expected["greedy_output_ids"]) == CONTINUED[name]


@pytest.mark.parametrize("name", ["marian", "ctrl", "t5", "llama"])
def test_tokens_by_name(load: Loaded, name: str) -> None:
    original, frozen = load(name)
    vocabulary = original.get_vocab()
    assert len(frozen) == len(original)
    sample = [*list(vocabulary.items())[:: len(vocabulary) // 2000], *original.added_tokens_encoder.items()]
    for token, identifier in sample:
        assert frozen.token(identifier) == original.convert_ids_to_tokens(identifier)
        assert frozen.id(token) == identifier
    assert frozen.special_ids == set(original.all_special_ids)
    assert frozen.tokens["unk"] == original.unk_token


@pytest.mark.parametrize("name", ["t5", "marian", "llama", "ctrl", "openai-gpt", "gpt2", "xlnet"])
def test_streams_join_to_the_text(load: Loaded, lines: list[str], name: str) -> None:
    _, frozen = load(name)
    for line in lines[::200]:
        ids = frozen.encode([line], truncation=None)[0].ids
        stream = TextStream(frozen.decode)
        pieces = [stream.feed(identifier) for identifier in ids]
        assert "".join([*pieces, stream.end()]) == frozen.decode(ids, skip_special_tokens=True)


def test_control_codes(load: Loaded) -> None:
    original, frozen = load("ctrl")
    assert {code: frozen.id(code) for code in original.control_codes} == original.control_codes


def test_a_language_code_in_front(load: Loaded) -> None:
    original, frozen = load("marian")
    for text in (">>xxx<< Bonjour", ">>xxx<<Bonjour", ">> Bonjour", ">>xxx<<"):
        assert frozen.encode([text])[0].ids == original(text)["input_ids"], text


def test_bundles_are_read_by_transformers(load: Loaded) -> None:
    for name in ("marian", "ctrl", "t5"):
        original, frozen = load(name)
        again = type(original).from_pretrained(frozen._folder)
        assert again("Bonjour le monde.")["input_ids"] == original("Bonjour le monde.")["input_ids"]


def test_a_long_text_is_cut(load: Loaded) -> None:
    original, frozen = load("ctrl")
    text = "an unseenword9– and more " * 40
    with pytest.warns(UserWarning, match="exceed the limit of 30 tokens"):
        (encoding,) = frozen.encode([text], max_length=30)
    assert encoding.ids == original(text)["input_ids"][:30]
    windows = frozen.windows(text, max_length=30, stride=5)
    assert [identifier for window in windows[:2] for identifier in window.ids[:25]] == original(text)["input_ids"][:50]
