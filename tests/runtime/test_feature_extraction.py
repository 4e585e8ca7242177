"""Feature extraction: hidden states by hand, pooling, and padding that must not show."""

import math
import random

import numpy as np
import pytest
from tokenizers import Tokenizer, processors

from torchless import InputError, OptionError, TruncationWarning, pipeline

from .factories import make_bundle

TASK = "feature-extraction"
ROWS = {"[PAD]": (1000, -1000), "[CLS]": (1, 0), "[SEP]": (0, 1), "a": (3, 4), "b": (6, 8), "[UNK]": (0, 0)}


def made(folder, **settings):
    options = settings.pop("options", {})
    return pipeline(TASK, make_bundle(folder, TASK, ROWS, **settings), **options)


@pytest.fixture
def embed(tmp_path):
    return made(tmp_path / "bundle")


def test_token_by_token(embed):
    found = embed("a b")
    assert found.tolist() == [[[1, 0], [3, 4], [6, 8], [0, 1]]]
    assert found.dtype == np.float32


def test_pooling(embed):
    assert embed("a b", pooling="cls").tolist() == [1, 0]
    assert embed("a b", pooling="mean").tolist() == [2.5, 3.25]
    assert embed("", pooling="mean").tolist() == [0.5, 0.5]


def test_normalizing(embed):
    length = math.hypot(2.5, 3.25)
    assert embed("a b", pooling="mean", normalize=True) == pytest.approx([2.5 / length, 3.25 / length], abs=1e-6)
    assert embed("a b", pooling="cls", normalize=True).tolist() == [1, 0]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    "options", [{}, {"pooling": "mean"}, {"pooling": "cls"}, {"pooling": "mean", "normalize": True}]
)
def test_padding_does_not_show(tmp_path, side, options):
    embed = made(tmp_path, tokenizer={"padding_side": side}, options={"batch_size": 8})
    rng = random.Random(1)
    texts = [" ".join(rng.choices(["a", "b", "☕"], k=rng.randint(0, 20))) for _ in range(30)]
    together = embed(texts, **options)
    for text, found in zip(texts, together, strict=True):
        np.testing.assert_array_equal(found, embed(text, **options))
    np.testing.assert_equal(list(embed(iter(texts), **options)), together)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_text_without_any_token_cannot_be_pooled(tmp_path, pooling):
    folder = make_bundle(tmp_path, TASK, ROWS)
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.post_processor = processors.Sequence([])
    library.save(str(folder / "tokenizer.json"))
    embed = pipeline(TASK, folder)
    assert embed("").shape == (1, 0, 2)
    assert embed("a", pooling=pooling).tolist() == [3, 4]
    with pytest.raises(InputError, match="without any token"):
        embed(["a", ""], pooling=pooling)


def test_an_answer_is_its_own_array(embed):
    one, other = embed(["a", "a"])
    one[:] = 0
    assert other.tolist() == [[[1, 0], [3, 4], [0, 1]]]


def test_half_precision_is_widened(tmp_path):
    # 6 + 3 * 4096 tokens are beyond what float16 counts to exactly
    embed = made(tmp_path, dtype="float16")
    assert embed("a").dtype == np.float32
    assert embed("a " * 4096, pooling="mean").tolist() == pytest.approx([12289 / 4098, 16385 / 4098], rel=1e-6)


def test_a_text_over_the_limit_is_cut_with_a_warning(tmp_path):
    embed = made(tmp_path, max_length=3)
    with pytest.warns(TruncationWarning, match="2 tokens lost"):
        assert embed("a b b").tolist() == [[[1, 0], [3, 4], [0, 1]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling must be 'cls', 'mean' or None"),
        ({"pooling": 1}, "pooling must be"),
        ({"normalize": True}, "needs pooling"),
        ({"pooling": "mean", "normalize": "yes"}, "normalize must be True or False"),
    ],
)
def test_malformed_options(embed, options, message):
    with pytest.raises(OptionError, match=message):
        embed("a", **options)


def test_a_call_that_contradicts_the_construction(tmp_path):
    embed = made(tmp_path, options={"pooling": "mean", "normalize": True})
    with pytest.raises(OptionError, match="needs pooling"):
        embed("a", pooling=None)


@pytest.mark.parametrize("inputs", [{"text": "a"}, [5], [["a"]]])
def test_malformed_inputs(embed, inputs):
    with pytest.raises(InputError, match="expected a text"):
        embed(inputs)
