"""Texts to model inputs and back."""

import pickle
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from torchless import InputError, OptionError, Tokenizer, TruncationWarning

from .factories import CLS, PAD, SEP, UNK, edit_json, write_tokenizer

WORDS = ["a", "b", "c", "d", "e", "play", "##ing", "##s", ".", ",", "'", "n", "##t", "s", "do"]
A, B, C, D, E, PLAY, ING, S = range(5, 13)


@pytest.fixture
def folder(tmp_path):
    return write_tokenizer(tmp_path / "tokenizer", WORDS)


@pytest.fixture
def tokenizer(folder):
    return Tokenizer(folder)


def test_one_text(tokenizer):
    batch = tokenizer("a playing b")
    assert {name: array.tolist() for name, array in batch.items()} == {
        "input_ids": [[CLS, A, PLAY, ING, B, SEP]],
        "attention_mask": [[1, 1, 1, 1, 1, 1]],
        "token_type_ids": [[0, 0, 0, 0, 0, 0]],
    }
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}
    assert batch.offsets == [[(0, 0), (0, 1), (2, 6), (6, 9), (10, 11), (0, 0)]]


def test_a_pair(tokenizer):
    batch = tokenizer(("a b", "c"))
    assert batch["input_ids"].tolist() == [[CLS, A, B, SEP, C, SEP]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert batch.encodings[0].sequence_ids == [None, 0, 0, None, 1, None]


def test_texts_and_pairs_together_are_padded(tokenizer):
    batch = tokenizer(["a", ("a", "b")])
    assert batch["input_ids"].tolist() == [[CLS, A, SEP, PAD, PAD], [CLS, A, SEP, B, SEP]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]
    assert [len(encoding) for encoding in batch.encodings] == [3, 5]


def test_padding_on_the_left(folder):
    edit_json(folder / "tokenizer_config.json", padding_side="left")
    batch = Tokenizer(folder)(["a", "a b"])
    assert batch["input_ids"].tolist() == [[PAD, CLS, A, SEP], [CLS, A, B, SEP]]
    assert batch["attention_mask"].tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]


def test_words(tokenizer):
    (encoding,) = tokenizer.encode([["playing", "b", "plays"]])
    assert encoding.ids == [CLS, PLAY, ING, B, PLAY, S, SEP]
    assert encoding.word_ids == [None, 0, 0, 1, 2, 2, None]
    assert encoding.offsets[1:-1] == [(0, 4), (4, 7), (0, 1), (0, 4), (4, 5)]


def test_a_list_of_lists_is_words_and_a_list_of_strings_is_texts(tokenizer):
    assert tokenizer([["a", "b"]])["input_ids"].tolist() == [[CLS, A, B, SEP]]
    assert tokenizer(["a", "b"])["input_ids"].tolist() == [[CLS, A, SEP], [CLS, B, SEP]]


def test_without_special_tokens(tokenizer):
    assert tokenizer.encode(["a b"], special_tokens=False)[0].ids == [A, B]


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_its_special_tokens(tokenizer, text):
    assert tokenizer(text)["input_ids"].tolist() == [[CLS, SEP]]


def test_no_texts(tokenizer):
    assert tokenizer([])["input_ids"].shape == (0, 0)


def test_unknown_words(tokenizer):
    assert tokenizer("a ☕")["input_ids"].tolist() == [[CLS, A, UNK, SEP]]


@pytest.mark.parametrize(
    "texts",
    [None, 5, 1.5, b"abc", {"text": "a"}, [None], [5], [b"a"], ("a", "b", "c"), ("a",), [("a", None)], [("a", 1)],
     [["a", 1]], ["a", ["b", "c"]], [["a"], "b"], "\ud800", [["\ud800"]], [("a", "\udcff")]],
)  # fmt: skip
def test_what_is_no_text(tokenizer, texts):
    with pytest.raises(InputError, match="text"):
        tokenizer(texts)


@pytest.mark.parametrize("texts", ["a", b"a", None])
def test_encode_takes_a_list(tokenizer, texts):
    with pytest.raises(InputError, match="list of texts"):
        tokenizer.encode(texts)


def test_a_tokenizer_survives_bad_input(tokenizer):
    with pytest.raises(InputError):
        tokenizer([None])
    assert tokenizer("a")["input_ids"].tolist() == [[CLS, A, SEP]]


def test_no_padding_token(folder):
    edit_json(folder / "tokenizer_config.json", pad_token=None)
    tokenizer = Tokenizer(folder)
    assert tokenizer(["a", "b"])["input_ids"].tolist() == [[CLS, A, SEP], [CLS, B, SEP]]
    with pytest.raises(InputError, match="no padding token"):
        tokenizer(["a", "a b"])


def test_pickling(folder):
    copy = pickle.loads(pickle.dumps(Tokenizer(folder, 4)))
    assert copy.max_length == 4
    assert copy("a")["input_ids"].tolist() == [[CLS, A, SEP]]


def test_decoding(tokenizer):
    assert tokenizer.decode([CLS, PLAY, ING, B, SEP]) == "[CLS] playing b [SEP]"
    assert tokenizer.decode(np.array([CLS, PLAY, ING, B, SEP]), skip_special_tokens=True) == "playing b"
    assert tokenizer.join(["play", "##ing", "b"]) == "playing b"
    assert (tokenizer.token(PLAY), tokenizer.id("play"), tokenizer.id("nope")) == ("play", PLAY, None)
    assert len(tokenizer) == 5 + len(WORDS)


@pytest.mark.parametrize("identifier", [99, -1, 10**12])
def test_an_id_beyond_the_vocabulary(tokenizer, identifier):
    with pytest.raises(InputError, match=f"token id {identifier}"):
        tokenizer.token(identifier)


@pytest.mark.parametrize(
    ("setting", "expected"), [(None, "do n't , a 's ."), (False, "do n't , a 's ."), (True, "don't, a's.")]
)
def test_spaces_are_cleaned_up_where_the_configuration_says(folder, setting, expected):
    backend = tokenizers.Tokenizer(models.WordLevel({"do": 0, "n't": 1, ",": 2, "a": 3, "'s": 4, ".": 5}))
    backend.save(str(folder / "tokenizer.json"))
    edit_json(folder / "tokenizer_config.json", clean_up_tokenization_spaces=setting)
    assert Tokenizer(folder).decode([0, 1, 2, 3, 4, 5]) == expected


def test_spaces_of_byte_pairs_are_never_cleaned_up(folder):
    vocab = {"Ġ": 0, ".": 1, "a": 2}
    backend = tokenizers.Tokenizer(models.BPE(vocab, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.save(str(folder / "tokenizer.json"))
    edit_json(folder / "tokenizer_config.json", clean_up_tokenization_spaces=True)
    assert Tokenizer(folder).decode([2, 0, 1]) == "a ."


def test_pieces_without_a_decoder_are_joined_by_spaces(folder):
    backend = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    backend.save(str(folder / "tokenizer.json"))
    assert Tokenizer(folder).join(["a", "b"]) == "a b"


def test_threads_share_a_tokenizer(tokenizer):
    texts = [" ".join("abcde"[(number + place) % 5] for place in range(10 + number % 50)) for number in range(300)]
    limits = [5 + number % 6 for number in range(300)]

    def work(text: str, limit: int) -> list[list[int]]:
        cut = tokenizer.encode([text], max_length=limit)
        windows = tokenizer.windows(text, max_length=limit, stride=limit % 3)
        return [encoding.ids for encoding in (*cut, *windows, *tokenizer(text).encodings)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
            warnings.simplefilter("ignore", TruncationWarning)
            expected = list(map(work, texts, limits))
            assert list(pool.map(work, texts, limits)) == expected
    finally:
        sys.setswitchinterval(interval)


def test_a_limit_holds_until_its_text_is_cut(tokenizer):
    class Interrupted:
        """The library's tokenizer, with another thread coming in just after a limit is set."""

        def __init__(self, library):
            self.library, self.others = library, []

        def enable_truncation(self, limit, **settings):
            self.library.enable_truncation(limit, **settings)
            if not self.others:
                self.others.append(Thread(target=tokenizer.windows, args=("a b c d e",), kwargs=other))
                self.others[0].start()
                self.others[0].join(timeout=0.2)

        def encode(self, *arguments, **settings):
            return self.library.encode(*arguments, **settings)

    other = {"max_length": 6, "stride": 1}
    expected = tokenizer.windows("a b c d e", max_length=4, stride=1)
    tokenizer._truncating = Interrupted(tokenizer._truncating)
    found = tokenizer.windows("a b c d e", max_length=4, stride=1)
    tokenizer._truncating.others[0].join()
    assert [window.ids for window in found] == [window.ids for window in expected]


def test_a_folder_may_be_copied(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert Tokenizer(tmp_path / "copy")("a")["input_ids"].tolist() == [[CLS, A, SEP]]


@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_a_limit_below_the_special_tokens(tokenizer, limit):
    with pytest.raises(OptionError, match="2 special tokens"):
        tokenizer("a b c", max_length=limit)
