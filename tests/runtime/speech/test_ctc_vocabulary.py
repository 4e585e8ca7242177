"""The vocabulary of CTC models: files, and tokens written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless.errors import BundleError, BundleNotFoundError, OptionError
from torchless.speech.ctc_collapse import collapse
from torchless.speech.ctc_vocabulary import CtcVocabulary, Written

LETTERS = {"<pad>": 0, "|": 1, "A": 2, "B": 3, "<unk>": 4}


def vocabulary(folder: Path, vocab: Any = LETTERS, added: Any = None, **config: Any) -> CtcVocabulary:
    for name, content in (("vocab", vocab), ("tokenizer_config", config), ("added_tokens", added)):
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return CtcVocabulary(folder)


def characters(found: CtcVocabulary, frames: list[int]) -> list[Written]:
    return found.characters(collapse(np.array(frames), found.blank))


def text(found: CtcVocabulary, frames: list[int]) -> str:
    return found.text(characters(found, frames))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], ""),
        ([0, 0, 0, 0], ""),
        ([2, 2, 0, 2, 3], "AAB"),
        ([1, 2, 1, 1, 3, 1], "A B"),
        ([2, 1, 0, 1, 3], "A  B"),
        ([0, 1, 0, 1], ""),
        ([2, 4, 99], "A<unk>"),
        ([4, 0, 99], "<unk><unk>"),
    ],
)
def test_text(frames: list[int], expected: str, tmp_path: Path) -> None:
    found = vocabulary(tmp_path)
    distinct = found.distinct(100)
    assert text(found, distinct[np.array(frames, dtype=np.int64)].tolist()) == expected


def test_words_between_delimiters(tmp_path: Path) -> None:
    found = vocabulary(tmp_path)
    spoken = characters(found, [1, 2, 2, 0, 3, 1, 0, 1, 0, 3, 3, 1])
    assert spoken == [(" ", 0, 1), ("A", 1, 3), ("B", 4, 5), (" ", 5, 6), (" ", 7, 8), ("B", 9, 11), (" ", 11, 12)]
    assert found.words(spoken) == [("AB", 1, 5), ("B", 9, 11)]
    assert found.words([]) == []
    assert found.words(characters(found, [1, 1, 0, 1])) == []


def test_lower_case_is_for_the_text_alone(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, do_lower_case=True)
    assert text(found, [2, 3]) == "ab"
    assert [one.text for one in characters(found, [2, 3])] == ["A", "B"]


def test_special_tokens_are_written(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, bos_token="B")
    assert text(found, [2, 3, 4]) == "AB<unk>"


def test_a_delimiter_written_otherwise(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, word_delimiter_token={"content": "B"}, replace_word_delimiter_char="-")
    spoken = characters(found, [2, 3, 2])
    assert found.text(spoken) == "A-A"
    assert found.words(spoken) == [("A", 0, 1), ("A", 2, 3)]


def test_no_delimiter(tmp_path: Path) -> None:
    assert text(vocabulary(tmp_path, word_delimiter_token=None), [2, 1, 3]) == "A|B"


def test_cleaned_up(tmp_path: Path) -> None:
    vocab = {"<pad>": 0, "|": 1, "I": 2, "'m": 3, ".": 4}
    frames = [2, 1, 3, 1, 4]
    assert text(vocabulary(tmp_path, vocab), frames) == "I 'm ."
    assert text(vocabulary(tmp_path, vocab, clean_up_tokenization_spaces=True), frames) == "I'm."


def test_the_blank_is_the_padding_token(tmp_path: Path) -> None:
    assert vocabulary(tmp_path).blank == 0
    assert vocabulary(tmp_path, pad_token={"content": "B", "lstrip": False}).blank == 3


def test_special_tokens_that_the_vocabulary_lacks_come_behind_it(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, {"a": 0, "b": 1, "|": 2})
    assert [found.name(token) for token in range(3, 7)] == ["<s>", "</s>", "<unk>", "<pad>"]
    assert found.blank == 6


@pytest.mark.parametrize("where", ["added_tokens.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_added_tokens(where: str, tmp_path: Path) -> None:
    if where == "special_tokens_map.json":
        (tmp_path / where).write_text(json.dumps({"pad_token": {"content": "<blank>"}}), encoding="utf-8")
        found = vocabulary(tmp_path, added={"<blank>": 9})
    elif where == "added_tokens.json":
        found = vocabulary(tmp_path, added={"<blank>": 9}, pad_token="<blank>")
    else:
        found = vocabulary(tmp_path, pad_token="<blank>", added_tokens_decoder={"9": {"content": "<blank>"}})
    assert found.blank == 9
    assert text(found, [2, 9, 9, 2]) == "AA"


def test_ids_that_are_called_the_same_are_one_token(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, added={"A": 7, "<pad>": 8}, bos_token=None, eos_token=None)
    assert found.distinct(10).tolist() == [8, 1, 2, 3, 4, 4, 4, 2, 8, 4]


def test_a_blank_that_the_graph_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the blank is token 3, and the graph has logits of 3 tokens"):
        vocabulary(tmp_path, pad_token="B").distinct(3)


LANGUAGES = {"eng": LETTERS, "deu": {"<pad>": 0, "ß": 1}}


def test_a_vocabulary_of_several_languages(tmp_path: Path) -> None:
    assert text(vocabulary(tmp_path, LANGUAGES, target_lang="deu"), [1]) == "ß"
    with pytest.raises(BundleError, match="must name one of eng, deu as target_lang"):
        vocabulary(tmp_path, LANGUAGES)
    with pytest.raises(BundleError, match="has no language 'fra'; it has eng, deu"):
        vocabulary(tmp_path, LANGUAGES, target_lang="fra")


def test_phonemes(tmp_path: Path) -> None:
    vocab = {"<pad>": 0, "|": 1, "tʃ": 2, "aː": 3, "<unk>": 4}
    kind = "Wav2Vec2PhonemeCTCTokenizer"
    found = vocabulary(tmp_path, vocab, tokenizer_class=kind, word_delimiter_token="|", do_phonemize=True)
    spoken = characters(found, [2, 1, 3, 0, 3])
    assert found.text(spoken) == "tʃ aː aː"
    assert spoken == [("tʃ", 0, 1), ("aː", 2, 3), ("aː", 4, 5)]
    with pytest.raises(OptionError, match="return_timestamps='char'"):
        found.words(spoken)
    assert text(vocabulary(tmp_path, vocab, tokenizer_class=kind), [2, 1, 3]) == "tʃ | aː"


def test_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError, match=r"has no vocab\.json"):
        vocabulary(tmp_path, None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"vocab": {"A": "one"}}, "malformed vocab.json"),
        ({"vocab": {"A": None}}, "malformed vocab.json"),
        ({"vocab": ["A"]}, "does not hold a JSON object"),
        ({"added_tokens_decoder": ["A"]}, "malformed"),
        ({"added_tokens_decoder": {"x": "A"}}, "malformed"),
        ({"pad_token": None}, "names no pad_token"),
        ({"tokenizer_class": "BertTokenizer"}, "has a BertTokenizer"),
    ],
)
def test_malformed_files(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        vocabulary(tmp_path, **files)
