"""Fill-mask: probabilities by hand, one mask and several, targets."""

import math

import pytest

from torchless import InputError, OptionError, TaskError, TruncationWarning, pipeline

from .factories import SPECIAL, edit_json, make_bundle

TASK = "fill-mask"
WORDS = ["capital", "city", "paris", "is", "the", "##s"]
CAPITAL, CITY, PARIS, IS, THE, S = range(5, 11)
# What a mask is filled with, by vocabulary.
CHANCES = [0.02] * len(SPECIAL) + [0.4, 0.3, 0.1, 0.05, 0.04, 0.01]
FOUND = {"capital": (CAPITAL, 0.4), "city": (CITY, 0.3), "paris": (PARIS, 0.1), "is": (IS, 0.05), "the": (THE, 0.04)}


def filling(word, sequence=None):
    token, score = FOUND[word]
    sequence = f"paris is the {word}" if sequence is None else sequence
    return {"score": pytest.approx(score, abs=1e-6), "token": token, "token_str": word, "sequence": sequence}


def bundle(folder, **settings):
    rows = {"[MASK]": [math.log(chance) for chance in CHANCES]}
    return make_bundle(folder, TASK, rows, words=WORDS, **settings)


@pytest.fixture
def fill(tmp_path):
    return pipeline(TASK, bundle(tmp_path / "bundle"))


TEXT = "paris is the [MASK]"


def test_five_fillings_best_first(fill):
    assert fill(TEXT) == [filling(word) for word in FOUND]


def test_top_k(fill):
    assert fill(TEXT, top_k=1) == [filling("capital")]
    everything = fill(TEXT, top_k=11)
    assert [found["token"] for found in everything] == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 10]
    assert sum(found["score"] for found in everything) == pytest.approx(1, abs=1e-6)


def test_a_list_of_one_is_answered_like_the_text(fill):
    assert fill([TEXT], top_k=1) == [filling("capital")]


def test_several_texts(fill):
    other = "the [MASK] is paris"
    expected = [[filling("capital")], [filling("capital", "the capital is paris")]]
    assert fill([TEXT, other], top_k=1) == expected
    assert list(fill(iter([TEXT, other]), top_k=1)) == expected
    assert list(fill(iter([TEXT]), top_k=1)) == expected[:1]
    assert fill([]) == []


def test_several_masks_show_each_other(fill):
    assert fill("[MASK] is [MASK]", top_k=1) == [
        [filling("capital", "[CLS] capital is [MASK] [SEP]")],
        [filling("capital", "[CLS] [MASK] is capital [SEP]")],
    ]


def test_texts_with_different_numbers_of_masks(fill):
    one, two = fill([TEXT, "[MASK] is [MASK]"], top_k=2)
    assert one == [filling("capital"), filling("city")]
    assert [len(fillings) for fillings in two] == [2, 2]


def test_targets(fill):
    assert fill(TEXT, targets=["paris", "city"]) == [filling("city"), filling("paris")]
    assert fill(TEXT, targets="paris") == [filling("paris")]
    assert fill(TEXT, targets=["paris", "city"], top_k=1) == [filling("city")]
    assert fill(TEXT, targets=["city", "city"]) == [filling("city")]


def test_a_target_beyond_the_vocabulary_is_replaced_with_a_warning(fill):
    with pytest.warns(UserWarning, match="the target 'citys' is not in the vocabulary: using 'city'") as caught:
        assert fill(TEXT, targets=["citys", "city", "paris"]) == [filling("city"), filling("paris")]
    assert caught[0].filename == __file__


def test_a_target_without_tokens_is_left_out_with_a_warning(fill):
    with pytest.warns(UserWarning, match="the target '  ' is not in the vocabulary: left out"):
        assert fill(TEXT, targets=["  ", "city"]) == [filling("city")]
    with pytest.raises(OptionError, match="none of the targets"):
        fill(TEXT, targets=["  "])


def test_a_text_without_a_mask(fill):
    with pytest.raises(InputError, match=r"no mask token '\[MASK\]' in 'paris is the'"):
        fill("paris is the")
    with pytest.raises(InputError, match=r"no mask token '\[MASK\]' in ''"):
        fill([TEXT, ""])


def test_a_mask_that_was_cut_off(tmp_path):
    fill = pipeline(TASK, bundle(tmp_path, max_length=4))
    with (
        pytest.warns(TruncationWarning),
        pytest.raises(InputError, match="no mask token"),
    ):
        fill(TEXT)


def test_a_tokenizer_without_a_mask(tmp_path):
    folder = bundle(tmp_path)
    edit_json(folder / "tokenizer_config.json", mask_token=None)
    with pytest.raises(TaskError, match="no mask token"):
        pipeline(TASK, folder)(TEXT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be"),
        ({"top_k": 12}, "top_k=12 exceeds the vocabulary of 11 tokens"),
        ({"targets": []}, "targets must be one or more words"),
        ({"targets": ""}, "targets must be one or more words"),
        ({"targets": ["city", 5]}, "targets must be one or more words"),
        ({"targets": 2024}, "targets must be one or more words, not 2024"),
    ],
)
def test_malformed_options(fill, options, message):
    with pytest.raises(OptionError, match=message):
        fill(TEXT, **options)
