"""Token ids to texts, and what tokenizer_config.json tells beyond tokenizer.json."""

import json
import pickle

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from torchless import BundleError, BundleNotFoundError, InputError, IntegrityError, OptionError, Tokenizer

from .factories import CLS, SEP, edit_json, write_tokenizer

WORDS = ["a", "b", "c", "play", "##ing", ".", "de", "fr"]
A, B, C, PLAY, ING, STOP, DE, FR = range(5, 13)


@pytest.fixture
def folder(tmp_path):
    return write_tokenizer(tmp_path / "tokenizer", WORDS)


def test_rows(folder):
    tokenizer = Tokenizer(folder)
    rows = np.array([[CLS, PLAY, ING, SEP], [CLS, A, STOP, SEP]])
    assert tokenizer.decode_batch(rows) == ["[CLS] playing [SEP]", "[CLS] a. [SEP]"]
    assert tokenizer.decode_batch(rows.astype(np.int32), skip_special_tokens=True) == ["playing", "a."]
    assert tokenizer.decode_batch([[A], [], [B, C]]) == ["a", "", "b c"]
    assert tokenizer.decode_batch([]) == []
    assert tokenizer.decode_batch(rows) == [tokenizer.decode(row) for row in rows]


def test_rows_are_cleaned_up(folder):
    backend = tokenizers.Tokenizer(models.WordLevel({"a": 0, ".": 1}))
    backend.save(str(folder / "tokenizer.json"))
    assert Tokenizer(folder).decode_batch([[0, 1]], clean_up_tokenization_spaces=True) == ["a."]
    assert Tokenizer(folder).decode_batch([[0, 1]]) == ["a ."]


@pytest.mark.parametrize("ids", [[-1], [1.5], ["a"], [None], [2**40], np.array([1.0])])
def test_what_is_no_id(folder, ids):
    tokenizer = Tokenizer(folder)
    with pytest.raises(InputError, match="token ids"):
        tokenizer.decode(ids)
    with pytest.raises(InputError, match="token ids"):
        tokenizer.decode_batch([ids])


def test_special_ids(folder):
    assert Tokenizer(folder).special_ids == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("key", ["additional_special_tokens", "extra_special_tokens"])
def test_special_tokens_of_a_checkpoint(folder, key):
    edit_json(folder / "tokenizer_config.json", **{key: ["de", {"content": "fr"}, "gone"]})
    tokenizer = Tokenizer(folder)
    assert (tokenizer.ids["de"], tokenizer.tokens["fr"]) == (DE, "fr")
    assert "gone" not in tokenizer.ids


def test_special_tokens_of_a_checkpoint_with_names(folder):
    edit_json(folder / "tokenizer_config.json", extra_special_tokens={"image_token": "de"})
    assert Tokenizer(folder).tokens["image"] == "de"


def test_what_is_hidden(folder):
    edit_json(folder / "tokenizer_config.json", torchless={"hidden": "play"})
    assert Tokenizer(folder).decode([A, PLAY, ING]) == "a ing"


class TestAliases:
    @pytest.fixture
    def aliased(self, folder):
        edit_json(folder / "tokenizer_config.json", torchless={"size": DE, "aliases": [1, A]})
        return Tokenizer(folder)

    def test_ids(self, aliased):
        assert aliased("a de fr b")["input_ids"].tolist() == [[CLS, A, 1, A, B, SEP]]
        (encoding,) = aliased.encode(["a fr"])
        assert (encoding.ids, encoding.tokens) == ([CLS, A, A, SEP], ["[CLS]", "a", "fr", "[SEP]"])
        assert encoding.offsets == [(0, 0), (0, 1), (2, 4), (0, 0)]
        assert encoding.special_tokens_mask == [1, 0, 0, 1]

    def test_pairs_and_words(self, aliased):
        (encoding,) = aliased.encode([("a", "fr")])
        assert (encoding.ids, encoding.type_ids) == ([CLS, A, SEP, A, SEP], [0, 0, 0, 1, 1])
        assert encoding.sequence_ids == [None, 0, None, 1, None]
        (encoding,) = aliased.encode([["b", "de"]])
        assert (encoding.ids, encoding.word_ids) == ([CLS, B, 1, SEP], [None, 0, 1, None])

    def test_windows(self, aliased):
        windows = aliased.windows("fr fr fr", max_length=4, stride=1)
        assert [window.ids for window in windows] == [[CLS, A, A, SEP], [CLS, A, A, SEP]]
        assert aliased.windows("fr", max_length=4, stride=1)[0].ids == [CLS, A, SEP]

    def test_they_are_no_tokens(self, aliased):
        assert len(aliased) == DE
        assert (aliased.id("fr"), aliased.id("b")) == (None, B)
        with pytest.raises(InputError, match=f"token id {FR}"):
            aliased.token(FR)

    @pytest.mark.parametrize(
        "own",
        [{"size": 9, "aliases": [1]}, {"size": DE, "aliases": [1, DE]}, {"size": DE, "aliases": [1, -1]},
         {"size": "x", "aliases": [1, 1]}, {"aliases": 3}, {"size": DE, "aliases": [1, None]}, [1], "x"],
    )  # fmt: skip
    def test_malformed(self, folder, own):
        edit_json(folder / "tokenizer_config.json", torchless=own)
        with pytest.raises(BundleError, match=r"tokenizer_config\.json"):
            Tokenizer(folder)


def test_names_of_unfinished_words(folder):
    vocabulary = {"<unk>": 0, "t": 1, "h</w>": 2, "th</w>": 3, "th": 4}
    backend = tokenizers.Tokenizer(
        models.BPE(vocabulary, [("t", "h</w>")], unk_token="<unk>", end_of_word_suffix="</w>")
    )
    backend.add_special_tokens(["<unk>"])
    backend.save(str(folder / "tokenizer.json"))
    edit_json(folder / "tokenizer_config.json", torchless={"continuing_suffix": "@@"}, unk_token="<unk>")
    tokenizer = Tokenizer(folder)
    assert [tokenizer.token(identifier) for identifier in range(5)] == ["<unk>", "t@@", "h", "th", "th@@"]
    assert [tokenizer.id(token) for token in ("<unk>", "t@@", "h", "th", "th@@")] == [0, 1, 2, 3, 4]
    assert [tokenizer.id(token) for token in ("t", "h@@", "x@@")] == [None, None, None]
    assert tokenizer.ids["unk"] == 0


class TestTwoVocabularies:
    @pytest.fixture
    def both(self, folder):
        backend = tokenizers.Tokenizer(models.WordLevel({"</s>": 0, "x": 1, "y": 2}))
        backend.decoder = decoders.Fuse()
        backend.add_special_tokens(["</s>"])
        backend.save(str(folder / "target_tokenizer.json"))
        edit_json(folder / "tokenizer_config.json", torchless={"target": "target_tokenizer.json"})
        return Tokenizer(folder)

    def test_what_comes_out(self, both):
        assert (both.decode([1, 2, 0]), both.decode([1, 0], skip_special_tokens=True)) == ("xy</s>", "x")
        assert (both.token(1), both.id("y"), len(both), both.special_ids) == ("x", 2, 3, {0})

    def test_what_goes_in(self, both):
        assert both("a")["input_ids"].tolist() == [[CLS, A, SEP]]
        assert both.ids["sep"] == SEP

    def test_no_file(self, both, folder):
        (folder / "target_tokenizer.json").unlink()
        with pytest.raises(BundleNotFoundError, match=r"target_tokenizer\.json"):
            Tokenizer(folder)

    def test_a_file_outside(self, folder):
        edit_json(folder / "tokenizer_config.json", torchless={"target": "../other.json"})
        with pytest.raises(IntegrityError, match="outside"):
            Tokenizer(folder)


SPOKEN = {"tokens": {"german": "de", "french": "fr"}, "prefix": [None], "suffix": ["[SEP]"], "default": "german"}


class TestLanguages:
    @pytest.fixture
    def speaking(self, folder):
        edit_json(folder / "tokenizer_config.json", torchless={"languages": SPOKEN})
        return Tokenizer(folder)

    def test_tokens_around_a_text(self, speaking):
        batch = speaking(["a b", "c"], src_lang="french")
        assert batch["input_ids"].tolist() == [[FR, A, B, SEP], [FR, C, SEP, 0]]
        assert batch.encodings[0].special_tokens_mask == [1, 0, 0, 1]
        assert batch.offsets[0] == [(0, 0), (0, 1), (2, 3), (0, 0)]
        assert speaking.encode(["a"], src_lang="german")[0].ids == [DE, A, SEP]
        assert speaking.encode(["a"])[0].ids == [CLS, A, SEP]

    def test_their_ids(self, speaking):
        assert (speaking.language_id("german"), speaking.language_id("french")) == (DE, FR)
        assert speaking.languages == ["german", "french"]

    def test_a_long_text(self, speaking):
        with pytest.warns(UserWarning, match="1 of 2 texts exceed the limit of 4 tokens and were cut: 3 tokens lost"):
            encodings = speaking.encode(["a b c a b", "c"], src_lang="french", max_length=4)
        assert [encoding.ids for encoding in encodings] == [[FR, A, B, SEP], [FR, C, SEP]]
        with pytest.raises(OptionError, match="a limit of 1 tokens leaves no room for the 2 special tokens"):
            speaking.encode(["a"], src_lang="french", max_length=1)

    def test_a_copy(self, speaking):
        assert pickle.loads(pickle.dumps(speaking)).language_id("french") == FR

    @pytest.mark.parametrize(
        ("texts", "options", "message"),
        [(["a"], {"src_lang": "xx"}, "unknown language 'xx'; the tokenizer knows french, german"),
         ([("a", "b")], {"src_lang": "french"}, "not for pairs"),
         (["a"], {"src_lang": "french", "special_tokens": False}, "contradicts")],
    )  # fmt: skip
    def test_what_does_not_go_together(self, speaking, texts, options, message):
        with pytest.raises(OptionError, match=message):
            speaking.encode(texts, **options)

    def test_a_tokenizer_without_any(self, folder):
        tokenizer = Tokenizer(folder)
        assert tokenizer.languages == []
        with pytest.raises(OptionError, match="no languages"):
            tokenizer.language_id("de")
        with pytest.raises(OptionError, match="no languages"):
            tokenizer("a", src_lang="de")

    @pytest.mark.parametrize(
        "languages",
        [
            {"tokens": {}},
            [1],
            {**SPOKEN, "tokens": {"german": "gone"}},
            {**SPOKEN, "prefix": 3},
            {**SPOKEN, "suffix": ["gone"]},
        ],
    )
    def test_malformed(self, folder, languages):
        edit_json(folder / "tokenizer_config.json", torchless={"languages": languages})
        with pytest.raises(BundleError, match="languages"):
            Tokenizer(folder)


def test_cutting_does_not_change_how_a_text_is_cut_into_pieces(tmp_path):
    """Scores are read from the file again: a copy of the tokenizer by its text would round them otherwise."""
    backend = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -2.0122928619384766)], unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    content = json.loads(backend.to_str())
    content["model"]["vocab"] = "VOCABULARY"
    text = json.dumps(content).replace('"VOCABULARY"', '[["<unk>", 0.0], ["a", -20122928619384766e-16]]')
    (tmp_path / "tokenizer.json").write_text(text)
    tokenizer = Tokenizer(tmp_path)
    with pytest.warns(UserWarning, match="1 tokens lost"):
        assert tokenizer.encode(["a a a"], max_length=2)[0].ids == [1, 1]
    assert tokenizer._truncating is not None
    assert tokenizer._truncating.model is not None
    scores = [json.loads(one.to_str())["model"]["vocab"] for one in (tokenizer.backend, tokenizer._truncating)]
    assert scores[0] == scores[1]
