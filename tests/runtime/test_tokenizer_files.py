"""What a tokenizer reads from its files, and what is wrong with some."""

import json

import pytest

from torchless import BundleError, BundleNotFoundError, Tokenizer

from .factories import CLS, SEP, edit_json, word_pieces, write_tokenizer

WORDS = ["a", "b", "c", "d"]
A, B, C, D = range(5, 9)


@pytest.fixture
def folder(tmp_path):
    return write_tokenizer(tmp_path / "tokenizer", WORDS)


@pytest.fixture
def tokenizer(folder):
    return Tokenizer(folder)


def test_special_tokens_by_name(tokenizer):
    assert tokenizer.ids == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert tokenizer.tokens["mask"] == "[MASK]"
    assert tokenizer.special_tokens() == 2
    assert tokenizer.special_tokens(pair=True) == 3


def test_special_tokens_may_be_dictionaries_or_lie_in_their_own_file(folder):
    edit_json(
        folder / "tokenizer_config.json",
        pad_token={"content": "[PAD]", "lstrip": False},
        mask_token=None,
        cls_token="gone",
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "[MASK]"}, "sep_token": "a"}))
    tokenizer = Tokenizer(folder)
    assert tokenizer.tokens == {"pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]", "sep": "[SEP]"}
    assert tokenizer.ids["mask"] == 4


def test_no_configuration_at_all(folder):
    (folder / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer(folder)
    assert (tokenizer.tokens, tokenizer.max_length, tokenizer.padding_side) == ({}, None, "right")
    assert tokenizer("a")["input_ids"].tolist() == [[CLS, A, SEP]]


@pytest.mark.parametrize(("value", "expected"), [(8, 8), (8.0, 8), (1e30, None), (None, None), (0, None), ("x", None)])
def test_length_limit_of_the_configuration(folder, value, expected):
    edit_json(folder / "tokenizer_config.json", model_max_length=value)
    assert Tokenizer(folder).max_length == expected
    assert Tokenizer(folder, 5).max_length == 5


def test_truncation_and_padding_stored_in_the_file_are_dropped(folder):
    backend = word_pieces(WORDS)
    backend.enable_truncation(3)
    backend.enable_padding(length=16)
    backend.save(str(folder / "tokenizer.json"))
    assert Tokenizer(folder)("a b c d")["input_ids"].tolist() == [[CLS, A, B, C, D, SEP]]


def test_missing_file(tmp_path):
    with pytest.raises(BundleNotFoundError, match=r"no tokenizer\.json"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"model": {"type": "WordPiece"}}', "\x00"])
def test_malformed_file(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(BundleError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer(folder)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff"])
def test_malformed_configuration(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Tokenizer(folder)
