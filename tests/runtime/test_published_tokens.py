"""Tokenizations published elsewhere, replayed with the real tokenizers."""

import json

import pytest

from torchless import Tokenizer

# Published file to the folder of its tokenizer; the other tokenizers are not there as a usable tokenizer.json.
ENCODED = {
    "bert_uncased_encoded.json": "bert-base-uncased",
    "gpt2_encoded_tokens.json": "gpt2",
    "t5_base_encoded.json": "t5",
    "whisper_large_v2_encoded.json": "whisper",
}
SUITES = {
    "bert-base-uncased": "bert-base-uncased",
    "google-bert/bert-base-uncased": "bert-base-uncased",
    "distilgpt2": "gpt2",
    "openai/whisper-large-v2": "whisper",
    "t5-base": "t5",
}
_opened: dict[str, Tokenizer] = {}


@pytest.fixture
def load(shared_data):
    def open_tokenizer(name: str) -> Tokenizer:
        if name not in _opened:
            _opened[name] = Tokenizer(shared_data / "tokenizers" / name)
        return _opened[name]

    return open_tokenizer


def read(shared_data, name):
    return json.loads((shared_data / "reference" / "tokenizers" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ENCODED)
def test_tokens_and_ids_of_a_paragraph(shared_data, load, name):
    expected, tokenizer = read(shared_data, name), load(ENCODED[name])
    plain = tokenizer.encode([expected["text"]], special_tokens=False)[0]
    assert plain.tokens == expected["bpe_tokens"]
    assert tokenizer.encode([expected["text"]])[0].ids == expected["token_ids"]


@pytest.mark.parametrize("suite", SUITES)
def test_suite(shared_data, load, suite):
    tokenizer = load(SUITES[suite])
    for case in read(shared_data, "tokenizer_tests.json")[suite]:
        batch = tokenizer(case["input"])
        for name, expected in case["encoded"].items():
            assert batch[name][0].tolist() == expected, (case["input"], name)


@pytest.mark.parametrize("suite", [suite for suite in SUITES if SUITES[suite] not in ("gpt2", "whisper")])
def test_suite_decoded(shared_data, load, suite):
    tokenizer = load(SUITES[suite])
    for case in read(shared_data, "tokenizer_tests.json")[suite]:
        ids = case["encoded"]["input_ids"]
        assert tokenizer.decode(ids) == case["decoded_with_special"], case["input"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == case["decoded_without_special"], case["input"]


@pytest.mark.parametrize("suite", ["distilgpt2", "openai/whisper-large-v2"])
def test_byte_pairs_decode_to_the_text_itself(shared_data, load, suite):
    # The published texts have spaces before punctuation taken out, which transformers has since stopped doing.
    tokenizer = load(SUITES[suite])
    for case in read(shared_data, "tokenizer_tests.json")[suite]:
        assert tokenizer.decode(case["encoded"]["input_ids"], skip_special_tokens=True) == case["input"]


def test_thousands_of_lines_in_many_scripts(shared_data, load):
    folder = shared_data / "reference" / "tokenizers"
    lines = (folder / "bert-base-uncased.regression-tokens.txt").read_text(encoding="utf-8").split("\n")
    tokenizer = load("bert-base-uncased")
    expected = [line.split("\t") for line in lines if line]
    texts = [text for text, *_ in expected]
    found = tokenizer.encode(texts, truncation=None, special_tokens=False)
    assert len(texts) > 1000
    assert [encoding.tokens for encoding in found] == [tokens for _, *tokens in expected]


def test_questions(shared_data, load):
    tokenizer = load("bert-base-uncased")
    questions = read(shared_data, "tokenized_questions.json")
    texts = [tokenizer.decode(ids) for ids in questions[:500]]
    assert texts[0] == "which nfl team represented the afc at super bowl 50?"
    again = tokenizer.encode(texts, special_tokens=False)
    agreeing = sum(encoding.ids == ids for encoding, ids in zip(again, questions, strict=False))
    assert agreeing > 490  # decoding may join what the question kept apart


def test_ids_of_the_quick_tour(load):
    batch = load("bert-base-uncased")(
        ["We are very happy to show you the 🤗 Transformers library.", "We hope you don't hate it."]
    )
    assert batch["input_ids"].tolist() == [
        [101, 2057, 2024, 2200, 3407, 2000, 2265, 2017, 1996, 100, 19081, 3075, 1012, 102],
        [101, 2057, 3246, 2017, 2123, 1005, 1056, 5223, 2009, 1012, 102, 0, 0, 0],
    ]
    assert batch["attention_mask"].tolist() == [[1] * 14, [1] * 11 + [0] * 3]


def test_pieces_and_offsets_of_the_task_summary(load):
    text = (
        "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO,\n"
        "therefore very close to the Manhattan Bridge which is visible from the window."
    )
    expected = [
        ("Hu", 1, 0, 2), ("##gging", 2, 2, 7), ("Face", 3, 8, 12), ("Inc", 4, 13, 16), ("New", 11, 40, 43),
        ("York", 12, 44, 48), ("City", 13, 49, 53), ("D", 19, 79, 80), ("##UM", 20, 80, 82), ("##BO", 21, 82, 84),
        ("Manhattan", 28, 114, 123), ("Bridge", 29, 124, 130),
    ]  # fmt: skip
    (encoding,) = load("bert-base-cased").encode([text])
    found = [(encoding.tokens[index], index, *encoding.offsets[index]) for _, index, _, _ in expected]
    assert found == expected
    direct = text.replace("\n", " ").replace("Bridge which is visible from the window.", "Bridge.")
    assert " ".join(load("bert-base-cased").encode([direct])[0].tokens) == (
        "[CLS] Hu ##gging Face Inc . is a company based in New York City . Its headquarters are in D ##UM ##BO , "
        "therefore very close to the Manhattan Bridge . [SEP]"
    )
