"""Text classification: nesting of the answers, the function applied to the logits, pairs."""

import math

import pytest

from torchless import BundleError, InputError, OptionError, TruncationWarning, pipeline

from .factories import edit_json, make_bundle

TASK = "text-classification"
# Odds of the second label: 3 to 1 for each "good", 1 to 3 for each "bad".
ROWS = {"good": (0, math.log(3)), "bad": (math.log(3), 0)}


def near(value):
    return pytest.approx(value, abs=1e-6)


GOOD = {"label": "POS", "score": near(0.75)}
REST = {"label": "NEG", "score": near(0.25)}
BAD = {"label": "NEG", "score": near(0.75)}


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "bundle", TASK, ROWS, ("NEG", "POS"))


@pytest.fixture
def classify(folder):
    return pipeline(TASK, folder)


def test_scores(classify):
    assert classify("good") == [GOOD]
    assert classify("good good") == [{"label": "POS", "score": near(0.9)}]
    assert classify("good bad") == [{"label": "NEG", "score": near(0.5)}]
    assert classify("") == [{"label": "NEG", "score": near(0.5)}]


# As the transformers 4.57 pipeline nests: a text is answered by a list, a dictionary is not; lists by one each.
@pytest.mark.parametrize(
    ("inputs", "options", "expected"),
    [
        ("good", {}, [GOOD]),
        ({"text": "good"}, {}, GOOD),
        (["good"], {}, [GOOD]),
        (["good", "bad"], {}, [GOOD, BAD]),
        ([{"text": "good"}], {}, [GOOD]),
        ("good", {"top_k": 1}, [GOOD]),
        ("good", {"top_k": 2}, [GOOD, REST]),
        ("good", {"top_k": None}, [GOOD, REST]),
        ({"text": "good"}, {"top_k": 1}, [GOOD]),
        ({"text": "good"}, {"top_k": None}, [GOOD, REST]),
        (["good", "bad"], {"top_k": 1}, [[GOOD], [BAD]]),
        (["good"], {"top_k": None}, [[GOOD, REST]]),
    ],
)
def test_nesting(classify, inputs, options, expected):
    assert classify(inputs, **options) == expected


@pytest.mark.parametrize(
    ("inputs", "top_k", "expected"),
    [
        ("good", 1, [[GOOD]]),
        ("good", None, [[GOOD, REST]]),
        ({"text": "good"}, 1, [GOOD]),
        ({"text": "good"}, None, [GOOD, REST]),
        (["good", "bad"], 1, [[GOOD], [BAD]]),
    ],
)
def test_nesting_with_top_k_given_at_construction(folder, inputs, top_k, expected):
    assert pipeline(TASK, folder, top_k=top_k)(inputs) == expected


def test_nesting_of_a_stream(classify):
    assert list(classify(text for text in ("good", "bad"))) == [GOOD, BAD]
    assert list(classify((text for text in ("good", "bad")), top_k=1)) == [[GOOD], [BAD]]


def test_a_pair(tmp_path):
    folder = make_bundle(tmp_path, TASK, {"[SEP]": (0, math.log(2)), "a": (0, 0)}, ("NO", "YES"))
    classify = pipeline(TASK, folder)
    one, two = {"label": "YES", "score": near(2 / 3)}, {"label": "YES", "score": near(4 / 5)}
    assert classify({"text": "a", "text_pair": "a"}) == two
    assert classify({"text": "a", "text_pair": None}) == one
    assert classify([{"text": "a", "text_pair": "a"}, "a"]) == [two, one]


@pytest.mark.parametrize(
    "inputs",
    [{}, {"text_pair": "a"}, {"text": None}, {"text": 5}, {"text": "a", "text_pair": 5}, {"text": "a", "label": 1},
     [("a", "b")], [["a", "b"]], [{"text": ["a"]}]],
)  # fmt: skip
def test_malformed_pairs(classify, inputs):
    with pytest.raises(InputError, match="text"):
        classify(inputs)


def test_function_to_apply(classify):
    logit = math.log(9)
    found = {name: classify("good good", function_to_apply=name, top_k=None) for name in ("softmax", "sigmoid", "none")}
    assert found == {
        "softmax": [{"label": "POS", "score": near(0.9)}, {"label": "NEG", "score": near(0.1)}],
        "sigmoid": [{"label": "POS", "score": near(0.9)}, {"label": "NEG", "score": near(0.5)}],
        "none": [{"label": "POS", "score": near(logit)}, {"label": "NEG", "score": near(0)}],
    }


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("single_label_classification", [0.75, 0.25]),
        ("multi_label_classification", [0.75, 0.5]),
        ("regression", [math.log(3), 0]),
        (None, [0.75, 0.25]),
    ],
)
def test_the_problem_decides_the_function(folder, problem, expected):
    edit_json(folder / "config.json", problem_type=problem)
    assert [answer["score"] for answer in pipeline(TASK, folder)("good", top_k=None)] == near(expected)


@pytest.mark.parametrize(("problem", "expected"), [(None, 0.75), ("regression", math.log(3))])
def test_one_label(tmp_path, problem, expected):
    folder = make_bundle(tmp_path, TASK, {"good": (math.log(3),)}, ("LABEL_0",), problem_type=problem)
    assert pipeline(TASK, folder)("good") == [{"label": "LABEL_0", "score": near(expected)}]


def test_scores_of_a_half_precision_graph_are_plain_numbers(tmp_path):
    folder = make_bundle(tmp_path, TASK, ROWS, ("NEG", "POS"), dtype="float16")
    (answer,) = pipeline(TASK, folder)("good")
    assert answer["score"] == pytest.approx(0.75, abs=1e-3)
    assert type(answer["score"]) is float


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "2", True])
def test_malformed_top_k(folder, classify, top_k):
    with pytest.raises(OptionError, match="top_k must be an integer of at least 1"):
        classify("good", top_k=top_k)
    with pytest.raises(OptionError, match="top_k"):
        pipeline(TASK, folder, top_k=top_k)


def test_top_k_beyond_the_labels(classify):
    with pytest.raises(OptionError, match="top_k=3 exceeds the 2 labels"):
        classify("good", top_k=3)


def test_an_unknown_function(classify):
    with pytest.raises(OptionError, match="function_to_apply must be one of"):
        classify("good", function_to_apply="tanh")


def test_labels_that_are_missing_from_the_configuration(folder):
    edit_json(folder / "config.json", id2label=None)
    assert pipeline(TASK, folder)("good")[0]["label"] in ("LABEL_0", "LABEL_1")


def test_fewer_labels_than_the_graph_has(folder):
    edit_json(folder / "config.json", id2label={"0": "ONLY"})
    with pytest.raises(BundleError, match=r"1 labels .* 2"):
        pipeline(TASK, folder)("good")


def test_a_text_over_the_limit_is_cut_with_a_warning(tmp_path):
    classify = pipeline(TASK, make_bundle(tmp_path, TASK, ROWS, ("NEG", "POS"), max_length=4))
    with pytest.warns(TruncationWarning, match="1 of 1 texts exceed the limit of 4 tokens") as caught:
        assert classify("good good bad bad bad") == [{"label": "POS", "score": near(0.9)}]
    assert caught[0].filename == __file__


def test_an_empty_second_text_is_none_at_all(classify):
    assert classify({"text": "good", "text_pair": ""}) == classify({"text": "good"})


def test_the_function_in_capitals(classify):
    assert classify("good", function_to_apply="SIGMOID") == classify("good", function_to_apply="sigmoid")
