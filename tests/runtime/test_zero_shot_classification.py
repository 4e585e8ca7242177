"""Zero-shot classification: entailment odds by hand, and how labels are given."""

import math

import pytest

from torchless import InputError, OptionError, TruncationWarning, pipeline

from .factories import make_bundle

TASK = "zero-shot-classification"
NLI = ("contradiction", "neutral", "entailment")
# Odds of (contradiction, neutral, entailment) that each word brings.
ODDS = {"sports": (1, 1, 6), "music": (1, 7, 3), "politics": (2, 1, 1), "won": (1, 1, 2), "not": (6, 1, 1)}
WORDS = ["This", "example", "is", ".", "they", "text", "about"]


def made(folder, labels=NLI, order=(0, 1, 2), **settings):
    rows = {word: [math.log(odds[index]) for index in order] for word, odds in ODDS.items()}
    options = settings.pop("options", {})
    return pipeline(TASK, make_bundle(folder, "text-classification", rows, labels, words=WORDS, **settings), **options)


@pytest.fixture
def classify(tmp_path):
    return made(tmp_path / "bundle")


def answer(text, **scores):
    found = {label: pytest.approx(score, abs=1e-6) for label, score in scores.items()}
    return {"sequence": text, "labels": list(found), "scores": list(found.values())}


LABELS = ["politics", "sports", "music"]
BEST = answer("they", sports=0.6, music=0.3, politics=0.1)


@pytest.mark.parametrize("labels", [LABELS, tuple(LABELS), "politics,sports,music", " politics , sports,, music "])
def test_labels_may_be_a_list_or_a_text(classify, labels):
    assert classify("they", labels) == BEST
    assert classify("they", candidate_labels=labels) == BEST


def test_labels_may_be_given_at_construction(tmp_path):
    assert made(tmp_path, options={"candidate_labels": LABELS})("they") == BEST


def test_a_manifest_of_text_classification_serves(tmp_path):
    assert made(tmp_path, manifest=True)("they", LABELS) == BEST


def test_several_texts(classify):
    # "won" raises every label alike
    expected = [BEST, answer("won", sports=0.6, music=0.3, politics=0.1)]
    assert classify(["they", "won"], LABELS) == expected
    assert list(classify(iter(["they", "won"]), LABELS)) == expected
    assert classify(["they"], LABELS) == expected[:1]
    assert classify([], LABELS) == []


def test_several_labels_at_once(classify):
    # entailment against contradiction: 6 to 1, 3 to 1, 1 to 2
    expected = answer("they", sports=6 / 7, music=3 / 4, politics=1 / 3)
    assert classify("they", LABELS, multi_label=True) == expected
    assert classify("won", LABELS, multi_label=True)["scores"][0] == pytest.approx(12 / 13, abs=1e-6)


def test_one_label_is_scored_on_its_own(classify):
    assert classify("they", ["sports"]) == answer("they", sports=6 / 7)
    assert classify("they", "sports") == answer("they", sports=6 / 7)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (2, 1, 0)),
        (("Contradiction", "Entailment", "Neutral"), (0, 2, 1)),
        (("contradicts", "neutral", "entails"), (0, 1, 2)),
    ],
)
def test_the_entailment_label_is_found_by_name(tmp_path, labels, order, multi_label):
    found = made(tmp_path, labels, order)("they", LABELS, multi_label=multi_label)
    assert found == (answer("they", sports=6 / 7, music=3 / 4, politics=1 / 3) if multi_label else BEST)


def test_without_an_entailment_label_the_last_is_taken_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="no label of .* is called 'entailment': taking the last") as caught:
        classify = made(tmp_path, ("LABEL_0", "LABEL_1", "LABEL_2"))
    assert caught[0].filename == __file__
    assert classify("they", LABELS) == BEST


def test_the_template_is_part_of_the_hypothesis(classify):
    found = classify("they", ["sports", "politics"], hypothesis_template="{} not .", multi_label=True)
    assert found == answer("they", sports=0.5, politics=1 / 13)


def test_a_label_of_several_words(classify):
    assert classify("they", ["sports text", "not about music"])["labels"] == ["sports text", "not about music"]


def test_only_the_text_is_cut_where_both_are_too_long(tmp_path):
    # "they" and "This example is sports ." with three special tokens are nine
    classify = made(tmp_path, max_length=9)
    with pytest.warns(TruncationWarning, match="2 of 2 texts exceed the limit of 9 tokens"):
        found = classify("they they they", ["sports", "politics"])
    assert found["scores"] == pytest.approx([6 / 7, 1 / 7], abs=1e-6)


def test_a_label_that_fills_the_model(tmp_path):
    with pytest.raises(InputError, match="cannot be cut to 9 tokens"):
        made(tmp_path, max_length=9)("they", ["sports " * 9])


@pytest.mark.parametrize("labels", [None, [], (), "", " , "])
def test_no_labels(classify, labels):
    with pytest.raises(InputError, match="needs candidate_labels"):
        classify("they", labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidate_labels": ["sports", ""]}, "candidate_labels must be words"),
        ({"candidate_labels": ["sports", 5]}, "candidate_labels must be words"),
        ({"candidate_labels": 5}, "candidate_labels must be words"),
        ({"hypothesis_template": "no place"}, "hypothesis_template needs one"),
        ({"hypothesis_template": "{} {}"}, "hypothesis_template needs one"),
        ({"hypothesis_template": "{label}"}, "hypothesis_template needs one"),
        ({"hypothesis_template": "{"}, "hypothesis_template needs one"),
        ({"hypothesis_template": None}, "hypothesis_template needs one"),
        ({"multi_label": "yes"}, "multi_label must be True or False"),
    ],
)
def test_malformed_options(classify, options, message):
    with pytest.raises(OptionError, match=message):
        classify("they", **{"candidate_labels": LABELS} | options)


@pytest.mark.parametrize("text", ["", ["they", ""], [5], {"text": "they"}])
def test_malformed_texts(classify, text):
    with pytest.raises(InputError):
        classify(text, LABELS)


def test_the_name_that_transformers_gives_the_inputs(classify):
    assert classify(sequences="they", candidate_labels=LABELS) == BEST


def test_nothing_to_classify(classify):
    with pytest.raises(InputError, match="not NoneType"):
        classify(candidate_labels=LABELS)
