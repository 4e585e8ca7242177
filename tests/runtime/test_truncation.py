"""Cutting texts that are too long, and windows over them: the same as the `tokenizers` library's own."""

import random
import warnings

import pytest

from torchless import InputError, OptionError, Tokenizer, TruncationWarning

from .factories import CLS, SEP, word_pieces, write_tokenizer

WORDS = ["a", "b", "c", "d", "e", "play", "##ing", "##s"]
A, B, C, D, E = range(5, 10)
PARTS = ("ids", "type_ids", "tokens", "offsets", "word_ids", "sequence_ids", "special_tokens_mask", "attention_mask")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer(write_tokenizer(tmp_path_factory.mktemp("tokenizer"), WORDS))


def parts(encoding):
    return {name: getattr(encoding, name) for name in PARTS}


def phrase(rng, longest):
    return " ".join(rng.choice(["a", "b", "c", "playing", "plays", "☕"]) for _ in range(rng.randint(0, longest)))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
def test_texts_are_cut_as_the_library_cuts_them(tokenizer, monkeypatch, strategy, side):
    rng = random.Random(strategy)
    library = word_pieces(WORDS)
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    cut = 0
    for _ in range(150):
        limit = rng.randint(4, 14)
        pair = strategy == "only_second" or rng.random() < 0.5
        text = (phrase(rng, 12), phrase(rng, 12)) if pair else phrase(rng, 16)
        library.enable_truncation(limit, strategy=strategy, direction=side)
        try:
            expected = library.encode(*text) if pair else library.encode(text)
        except Exception:
            with pytest.raises(InputError, match=f"cannot be cut to {limit} tokens with '{strategy}'"):
                tokenizer.encode([text], truncation=strategy, max_length=limit)
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (found,) = tokenizer.encode([text], truncation=strategy, max_length=limit)
        assert parts(found) == parts(expected)
        assert len(caught) == bool(expected.overflowing)
        cut += len(caught)
    assert cut > 30


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_are_the_overflow_of_the_library(tokenizer, monkeypatch, side):
    rng = random.Random(7)
    library = word_pieces(WORDS)
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    several = 0
    for number in range(200):
        strategy = ("longest_first", "only_first", "only_second")[number % 3]
        first, second = phrase(rng, 30), phrase(rng, 30)
        room = rng.randint(2, 12)
        stride = rng.randint(0, room - 1)
        if strategy == "longest_first":
            text, limit = first, room + 2
        else:
            kept = first if strategy == "only_second" else second
            text, limit = (first, second), room + 3 + len(library_ids(kept))
        library.enable_truncation(limit, stride=stride, strategy=strategy, direction=side)
        encoding = library.encode(*text) if isinstance(text, tuple) else library.encode(text)
        expected = [encoding, *encoding.overflowing]
        found = tokenizer.windows(text, max_length=limit, stride=stride, truncation=strategy)
        assert [parts(window) for window in found] == [parts(window) for window in expected]
        several += len(found) > 1
    assert several > 60


def library_ids(text):
    return word_pieces(WORDS).encode(text, add_special_tokens=False).ids


def test_windows_over_words(tokenizer):
    library = word_pieces(WORDS)
    words = ["playing", "a", "b", "plays", "c", "d"]
    library.enable_truncation(6, stride=1)
    encoding = library.encode(words, is_pretokenized=True)
    found = tokenizer.windows(words, max_length=6, stride=1)
    assert [parts(window) for window in found] == [parts(window) for window in (encoding, *encoding.overflowing)]


def test_windows_by_hand(tokenizer):
    windows = tokenizer.windows("a b c d e", max_length=5, stride=1)
    assert [window.ids for window in windows] == [[CLS, A, B, C, SEP], [CLS, C, D, E, SEP]]
    assert windows[1].offsets == [(0, 0), (4, 5), (6, 7), (8, 9), (0, 0)]


def test_one_window_where_the_text_fits(tokenizer):
    (window,) = tokenizer.windows("a b c", max_length=5, stride=4)
    assert window.ids == [CLS, A, B, C, SEP]


@pytest.mark.parametrize(("limit", "stride"), [(5, 3), (5, 4), (5, 50), (5, -1), (3, 1), (2, 0), (1, 0), (0, 0)])
def test_windows_that_cannot_advance(tokenizer, capfd, limit, stride):
    with pytest.raises(OptionError, match=f"no windows of {limit} tokens with a stride of {stride}"):
        tokenizer.windows("a b c d e", max_length=limit, stride=stride)
    assert capfd.readouterr().err == ""


def test_windows_whose_overlap_the_question_leaves_no_room_for(tokenizer, capfd):
    text = ("a b", "a b c d e a b c")
    assert len(tokenizer.windows(text, max_length=8, stride=2, truncation="only_second")) == 6
    with pytest.raises(OptionError, match="no windows of 8 tokens with a stride of 3"):
        tokenizer.windows(text, max_length=8, stride=3, truncation="only_second")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("limit", [4, 5])
def test_windows_that_a_repeated_text_fills(tokenizer, limit):
    with pytest.raises(InputError, match="leaves no room"):
        tokenizer.windows(("a b", "a b c d e"), max_length=limit, stride=0, truncation="only_second")


def test_windows_over_a_pair_cut_one_of_the_two(tokenizer):
    with pytest.raises(OptionError, match="only_first"):
        tokenizer.windows(("a b", "a b c d e"), max_length=6, stride=0)


@pytest.mark.parametrize("text", [None, 5, b"a", ("a", "b", "c"), ("a", None), "\ud800"])
def test_windows_over_what_is_no_text(tokenizer, text):
    with pytest.raises(InputError, match="text"):
        tokenizer.windows(text, max_length=5, stride=0)


def test_windows_leave_the_tokenizer_as_it_was(tokenizer):
    tokenizer.windows("a b c d e", max_length=4, stride=1)
    assert tokenizer.encode(["a b c d e"])[0].ids == [CLS, A, B, C, D, E, SEP]


def test_the_warning_counts_the_tokens_lost(tokenizer):
    with pytest.warns(TruncationWarning) as caught:
        encodings = tokenizer.encode(["a b c d e", "a", "a b c d"], max_length=5)
    assert [len(encoding) for encoding in encodings] == [5, 3, 5]
    assert str(caught[0].message) == (
        "2 of 3 texts exceed the limit of 5 tokens and were cut: 3 tokens lost, at most 2 from one text"
    )
    assert len(caught) == 1


def test_the_warning_points_at_the_caller(tokenizer):
    with pytest.warns(TruncationWarning) as caught:
        tokenizer("a b c d e", max_length=4)
    assert caught[0].filename == __file__


def test_nothing_is_cut_without_a_limit_or_on_request(tokenizer):
    assert len(tokenizer.encode(["a " * 2000])[0]) == 2002
    assert len(tokenizer.encode(["a b c d"], max_length=3, truncation=None)[0]) == 6


def test_the_models_limit_is_the_default(tmp_path):
    tokenizer = Tokenizer(write_tokenizer(tmp_path, WORDS, model_max_length=4))
    with pytest.warns(TruncationWarning, match="limit of 4 tokens"):
        assert tokenizer("a b c d")["input_ids"].tolist() == [[CLS, A, B, SEP]]
    with pytest.warns(TruncationWarning, match="limit of 3 tokens"):
        assert tokenizer("a b c d", max_length=3)["input_ids"].tolist() == [[CLS, A, SEP]]


def test_cutting_from_the_left(tmp_path):
    tokenizer = Tokenizer(write_tokenizer(tmp_path, WORDS, model_max_length=4, truncation_side="left"))
    with pytest.warns(TruncationWarning):
        assert tokenizer("a b c d")["input_ids"].tolist() == [[CLS, C, D, SEP]]


def test_cutting_without_special_tokens(tokenizer):
    with pytest.warns(TruncationWarning, match="2 tokens lost"):
        assert tokenizer.encode(["a b c d"], max_length=2, special_tokens=False)[0].ids == [A, B]


def test_cutting_down_to_the_special_tokens(tokenizer):
    with pytest.warns(TruncationWarning, match="3 tokens lost"):
        assert tokenizer("a b c", max_length=2)["input_ids"].tolist() == [[CLS, SEP]]


@pytest.mark.parametrize("limit", [-1, 0, 1, 2])
def test_a_limit_below_the_special_tokens_of_a_pair(tokenizer, limit):
    with pytest.raises(OptionError, match="3 special tokens"):
        tokenizer(("a b", "c"), max_length=limit)


def test_an_unknown_way_of_cutting(tokenizer):
    with pytest.raises(OptionError, match=r"truncation must be .* not 'longest'"):
        tokenizer("a", truncation="longest")
