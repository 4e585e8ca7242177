"""Token classification: strategies, groups, windows and words, on logits with answers worked out by hand."""

import numpy as np
import pytest
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers

from torchless import InputError, OptionError, TruncationWarning, pipeline
from torchless.pipelines.token_classification import _without_overlaps

from .factories import make_bundle, vocabulary

TASK = "token-classification"
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
PROBABILITIES = {
    "anna": (0.1, 0.6, 0.1, 0.1, 0.1),
    "##belle": (0.1, 0.1, 0.2, 0.5, 0.1),
    "bob": (0.1, 0.5, 0.1, 0.2, 0.1),
    "##ville": (0.1, 0.1, 0.05, 0.7, 0.05),
    "new": (0.1, 0.1, 0.1, 0.6, 0.1),
    "york": (0.1, 0.1, 0.1, 0.2, 0.5),
    "smith": (0.1, 0.1, 0.6, 0.1, 0.1),
    "in": (0.8, 0.05, 0.05, 0.05, 0.05),
    ",": (0.8, 0.05, 0.05, 0.05, 0.05),
    "-": (0.3, 0.1, 0.1, 0.1, 0.4),
    "[UNK]": (0.1, 0.1, 0.1, 0.7, 0.0001),
}
ROWS = {token: tuple(np.log(np.array(row) / sum(row))) for token, row in PROBABILITIES.items()}


def entity(label, score, index, word, start, end):
    return {
        "entity": label,
        "score": pytest.approx(score, abs=1e-4),
        "index": index,
        "word": word,
        "start": start,
        "end": end,
    }


def group(label, score, word, start, end):
    return {"entity_group": label, "score": pytest.approx(score, abs=1e-4), "word": word, "start": start, "end": end}


@pytest.fixture
def ner(tmp_path):
    return pipeline(TASK, make_bundle(tmp_path / "bundle", TASK, ROWS, LABELS))


TEXT = "annabelle in new york, bobville"
NEW_YORK = group("LOC", 0.55, "new york", 13, 21)
EXPECTED = {
    "none": [
        entity("B-PER", 0.6, 1, "anna", 0, 4),
        entity("B-LOC", 0.5, 2, "##belle", 4, 9),
        entity("B-LOC", 0.6, 4, "new", 13, 16),
        entity("I-LOC", 0.5, 5, "york", 17, 21),
        entity("B-PER", 0.5, 7, "bob", 23, 26),
        entity("B-LOC", 0.7, 8, "##ville", 26, 31),
    ],
    "simple": [
        group("PER", 0.6, "anna", 0, 4),
        group("LOC", 0.5, "##belle", 4, 9),
        NEW_YORK,
        group("PER", 0.5, "bob", 23, 26),
        group("LOC", 0.7, "##ville", 26, 31),
    ],
    "first": [group("PER", 0.6, "annabelle", 0, 9), NEW_YORK, group("PER", 0.5, "bobville", 23, 31)],
    # annabelle: (0.1, 0.35, 0.15, 0.3, 0.1); bobville: (0.1, 0.3, 0.075, 0.45, 0.075)
    "average": [group("PER", 0.35, "annabelle", 0, 9), NEW_YORK, group("LOC", 0.45, "bobville", 23, 31)],
    "max": [group("PER", 0.6, "annabelle", 0, 9), NEW_YORK, group("LOC", 0.7, "bobville", 23, 31)],
}


@pytest.mark.parametrize("strategy", EXPECTED)
def test_strategies(ner, strategy):
    assert ner(TEXT, aggregation_strategy=strategy) == EXPECTED[strategy]


@pytest.mark.parametrize("strategy", EXPECTED)
def test_a_list_gives_what_single_texts_give(ner, strategy):
    texts = ["in", TEXT, "", "new york in anna", "anna"]
    expected = [ner(text, aggregation_strategy=strategy) for text in texts]
    assert ner(texts, aggregation_strategy=strategy) == expected
    assert list(ner(iter(texts), aggregation_strategy=strategy)) == expected
    assert expected[1] == EXPECTED[strategy]
    assert expected[2] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("new new", [("LOC", "new"), ("LOC", "new")]),  # B- begins anew
        ("york york", [("LOC", "york york")]),  # I- goes on
        ("new york york new york", [("LOC", "new york york"), ("LOC", "new york")]),
        ("anna york", [("PER", "anna"), ("LOC", "york")]),  # another type
        ("anna smith", [("PER", "anna smith")]),
        ("new in york", [("LOC", "new"), ("LOC", "york")]),  # "O" between
    ],
)
def test_groups(ner, text, expected):
    found = ner(text, aggregation_strategy="simple")
    assert [(entity["entity_group"], entity["word"]) for entity in found] == expected


def test_labels_without_prefix_or_with_hyphens(tmp_path):
    rows = {"x": (0, 9, 0), "y": (0, 0, 9)}
    ner = pipeline(TASK, make_bundle(tmp_path, TASK, rows, ("O", "PER", "B-X-Y")), aggregation_strategy="simple")
    found = [(entity["entity_group"], entity["word"]) for entity in ner("x x y y")]
    assert found == [("PER", "x x"), ("X-Y", "y"), ("X-Y", "y")]


def test_ignored_labels(ner):
    assert [e["entity"] for e in ner("in anna", ignore_labels=[])] == ["O", "B-PER"]
    assert [e["entity"] for e in ner("in anna new", ignore_labels=["O", "B-PER"])] == ["B-LOC"]
    assert [e["entity_group"] for e in ner("anna new", aggregation_strategy="simple", ignore_labels=["PER"])] == ["LOC"]


def test_an_unknown_word_is_shown_as_it_stands(ner):
    assert ner("in ☕") == [entity("B-LOC", 0.7 / 1.0001, 2, "☕", 3, 4)]
    assert ner("in ☕", aggregation_strategy="first")[0]["word"] == "☕"


def test_a_text_over_the_limit_is_cut_with_a_warning(tmp_path):
    ner = pipeline(TASK, make_bundle(tmp_path, TASK, ROWS, LABELS, max_length=4))
    with pytest.warns(TruncationWarning, match="2 tokens lost"):
        assert [e["word"] for e in ner("in new york anna")] == ["new"]


@pytest.fixture
def short(tmp_path):
    """Windows of three tokens beside the two special ones."""
    return pipeline(
        TASK, make_bundle(tmp_path / "short", TASK, ROWS, LABELS, max_length=5), aggregation_strategy="simple"
    )


def test_windows(short):
    # [in new york] [york in anna]: the second window's "york" is a part of the first's "new york"
    expected = [group("LOC", 0.55, "new york", 3, 11), group("PER", 0.6, "anna", 15, 19)]
    assert short("in new york in anna", stride=1) == expected
    assert short(["in", "in new york in anna"], stride=1) == [[], expected]


def test_windows_that_do_not_overlap(short):
    # [in new york] [anna in new] [york]: no token is shared, so "new york" is found in two parts
    found = short("in new york anna in new york", stride=0)
    assert [(e["word"], e["start"], e["end"]) for e in found] == [
        ("new york", 3, 11), ("anna", 12, 16), ("new", 20, 23), ("york", 24, 28),
    ]  # fmt: skip


def test_windows_are_not_needed_where_the_text_fits(short):
    assert short("in new york", stride=1) == [group("LOC", 0.55, "new york", 3, 11)]


def test_of_overlapping_entities_the_longest_then_the_surest_is_kept():
    def found(start, end, score):
        return {"start": start, "end": end, "score": score}

    assert _without_overlaps([]) == []
    assert _without_overlaps([found(5, 9, 0.1), found(0, 4, 0.2)]) == [found(0, 4, 0.2), found(5, 9, 0.1)]
    assert _without_overlaps([found(0, 4, 0.9), found(0, 8, 0.1)]) == [found(0, 8, 0.1)]
    assert _without_overlaps([found(0, 8, 0.1), found(4, 8, 0.9)]) == [found(0, 8, 0.1)]
    assert _without_overlaps([found(0, 4, 0.1), found(2, 6, 0.9), found(6, 7, 0.5)]) == [
        found(2, 6, 0.9),
        found(6, 7, 0.5),
    ]
    assert _without_overlaps([found(0, 4, 0.9), found(2, 6, 0.1)]) == [found(0, 4, 0.9)]


WORDS = ["annabelle", "in", "new", "york"]


@pytest.mark.parametrize(("delimiter", "starts"), [(" ", (0, 13, 17)), ("", (0, 11, 14)), (" / ", (0, 17, 23))])
def test_words(ner, delimiter, starts):
    found = ner(WORDS, is_split_into_words=True, delimiter=delimiter, aggregation_strategy="first")
    anna, new, york = starts
    assert found == [group("PER", 0.6, "annabelle", anna, anna + 9), group("LOC", 0.55, "new york", new, york + 4)]


def test_words_token_by_token(ner):
    found = ner(WORDS, is_split_into_words=True)
    assert [(e["index"], e["word"], e["start"], e["end"]) for e in found] == [
        (1, "anna", 0, 4), (2, "##belle", 4, 9), (4, "new", 13, 16), (5, "york", 17, 21),
    ]  # fmt: skip


def test_lists_of_words(ner):
    one = ner(WORDS, is_split_into_words=True)
    assert ner([WORDS, ["in"]], is_split_into_words=True) == [one, []]
    assert list(ner(iter([WORDS, ["in"]]), is_split_into_words=True)) == [one, []]
    assert ner([], is_split_into_words=True) == []


def test_windows_over_words(short):
    found = short(["in", "new", "york", "in", "anna"], is_split_into_words=True, stride=1)
    assert found == [group("LOC", 0.55, "new york", 3, 11), group("PER", 0.6, "anna", 15, 19)]


@pytest.mark.parametrize("words", [["a", 1], "anna", [["a"], "b"], {"a": 1}, [["a", None]]])
def test_malformed_words(ner, words):
    with pytest.raises(InputError):
        ner(words, is_split_into_words=True)


def test_words_are_told_by_spaces_where_pieces_are_not_marked(tmp_path):
    folder = make_bundle(tmp_path, TASK, ROWS, LABELS)
    library = Library(models.WordLevel(vocabulary([w for w in ROWS if w != "[UNK]"]), unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.save(str(folder / "tokenizer.json"))
    ner = pipeline(TASK, folder, ignore_labels=[])
    # new, - and york stand together, so they are one word; ", in" is another after its space
    found = ner("anna new-york in", aggregation_strategy="first")
    assert [(e["entity_group"], e["word"], e["start"], e["end"]) for e in found] == [
        ("PER", "anna", 0, 4), ("LOC", "new - york", 5, 13), ("O", "in", 14, 16),
    ]  # fmt: skip
    # (0.1+0.3+0.1, ..., 0.6+0.1+0.2, 0.1+0.4+0.5) / 3
    assert ner("new-york", aggregation_strategy="average")[0]["score"] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregation_strategy": "mean"}, "aggregation_strategy must be one of"),
        ({"ignore_labels": "O"}, "ignore_labels must be a list"),
        ({"ignore_labels": 5}, "ignore_labels must be a list"),
        ({"ignore_labels": [5]}, "ignore_labels must be a list"),
        ({"stride": 1}, "needs an aggregation_strategy"),
        ({"stride": -1, "aggregation_strategy": "simple"}, "stride must be an integer of at least 0"),
        ({"stride": 1.5, "aggregation_strategy": "simple"}, "stride must be an integer"),
        ({"delimiter": 5}, "delimiter must be a text"),
        ({"is_split_into_words": "yes"}, "is_split_into_words must be True or False"),
    ],
)
def test_malformed_options(ner, options, message):
    with pytest.raises(OptionError, match=message):
        ner("anna", **options)


@pytest.mark.parametrize("stride", [3, 5])
def test_a_stride_that_fills_the_window(short, stride):
    with pytest.raises(OptionError, match=f"no windows of 5 tokens with a stride of {stride}"):
        short("in new york in anna", stride=stride)
