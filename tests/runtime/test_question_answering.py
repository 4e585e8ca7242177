"""Question answering: spans on hand-made logits, windows, and the ways to call it."""

import math

import numpy as np
import pytest

from torchless import InputError, OptionError, TruncationWarning, pipeline
from torchless.pipelines.question_answering import best_spans

from .factories import make_bundle

TASK = "question-answering"


def odds(start, end=None):
    return (math.log(start), math.log(start if end is None else end))


# Of the context "anna lives in berlin .", and of [CLS], every token has odds 1 but "berlin", which has 5: with six
# tokens its probability is 0.5 and the others' 0.1.
ROWS = {"berlin": odds(5), "anna": odds(1), "lives": odds(1), "in": odds(1), ".": odds(1), "where": odds(1),
        "##er": odds(1), "does": odds(1)}  # fmt: skip
CONTEXT = "anna lives in berlin ."


def near(value):
    return pytest.approx(value, abs=1e-6)


def made(tmp_path, rows=ROWS, **settings):
    return pipeline(TASK, make_bundle(tmp_path / "bundle", TASK, rows, **settings))


@pytest.fixture
def answer(tmp_path):
    return made(tmp_path)


BERLIN = {"score": near(0.25), "start": 14, "end": 20, "answer": "berlin"}


def spans(start, end, *, allowed=None, count=10, longest=10):
    start, end = np.log(np.array(start, dtype=np.float32)), np.log(np.array(end, dtype=np.float32))
    allowed = np.ones(start.size, dtype=bool) if allowed is None else np.array(allowed, dtype=bool)
    found = best_spans(start, end, allowed, count, longest)
    listed = zip(found.starts.tolist(), found.ends.tolist(), map(float, found.scores), strict=True)
    return [(first, last, near(score)) for first, last, score in listed], found.null_score


def test_spans_by_hand():
    # start (0.1, 0.6, 0.2, 0.1), end (0.1, 0.2, 0.6, 0.1)
    found, null = spans([1, 6, 2, 1], [1, 2, 6, 1])
    assert found == [(1, 2, 0.36), (1, 1, 0.12), (2, 2, 0.12), (1, 3, 0.06), (2, 3, 0.02), (3, 3, 0.01)]
    assert null == near(0.01)


def test_spans_are_limited_in_number_and_length():
    assert spans([1, 6, 2, 1], [1, 2, 6, 1], count=1)[0] == [(1, 2, 0.36)]
    assert spans([1, 6, 2, 1], [1, 2, 6, 1], longest=1)[0] == [(1, 1, 0.12), (2, 2, 0.12), (3, 3, 0.01)]
    assert spans([1, 6, 2, 1], [1, 2, 6, 1], longest=2, count=2)[0] == [(1, 2, 0.36), (1, 1, 0.12)]


def test_an_end_before_its_start_is_no_span():
    # the surest start is the last token and the surest end the first of the context
    assert spans([1, 1, 8], [1, 8, 1], count=2)[0] == [(1, 1, 0.08), (2, 2, 0.08)]


def test_only_allowed_tokens_make_spans_and_share_the_probability():
    # allowed: the first, which stands for no answer, and the last two
    found, null = spans([1, 96, 2, 1], [2, 96, 1, 1], allowed=[1, 0, 1, 1])
    assert found == [(2, 2, 0.125), (2, 3, 0.125), (3, 3, 0.0625)]
    assert null == near(0.125)


def test_logits_of_half_precision_do_not_overflow():
    logits = np.array([0, 60000, 60000], dtype=np.float16)
    found = best_spans(logits, logits, np.ones(3, dtype=bool), 3, 5)
    assert found.scores.tolist() == [0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    "call",
    [
        lambda answer: answer(question="where", context=CONTEXT),
        lambda answer: answer("where", CONTEXT),
        lambda answer: answer({"question": "where", "context": CONTEXT}),
        lambda answer: answer([{"question": "where", "context": CONTEXT}]),
        lambda answer: answer(question=["where"], context=CONTEXT),
        lambda answer: answer(question=["where"], context=[CONTEXT]),
        lambda answer: next(answer(iter([{"question": "where", "context": CONTEXT}]))),
    ],
)
def test_ways_to_call(answer, call):
    assert call(answer) == BERLIN


def test_several_questions(answer):
    assert answer(question=["where", "does"], context=CONTEXT) == [BERLIN, BERLIN]
    second = {"score": near((5 / 7) ** 2), "start": 0, "end": 6, "answer": "berlin"}
    assert answer(question=["where", "does"], context=[CONTEXT, "berlin in"])[0] == BERLIN
    assert answer(question=["where", "does"], context=[CONTEXT, "berlin in"])[1] == second
    assert answer([]) == []


def test_several_answers(answer):
    found = answer("where", CONTEXT, top_k=3, align_to_words=False)
    assert found[0] == BERLIN
    assert [(a["answer"], a["score"]) for a in found[1:]] == [
        ("anna lives in berlin", near(0.05)),
        ("lives in berlin", near(0.05)),
    ]


def test_more_answers_than_there_are(answer):
    found = answer("where", "in berlin", top_k=20)
    assert [a["answer"] for a in found] == ["berlin", "in berlin", "in"]
    assert answer("where", "in", top_k=2) == [{"score": near(0.25), "start": 0, "end": 2, "answer": "in"}]


def test_answers_are_widened_to_words(answer):
    # "anna", "berlin", "##er": probabilities 1/8, 5/8, 1/8 with [CLS] 1/8
    question = {"question": "where", "context": "anna berliner"}
    plain = answer(question, align_to_words=False)
    assert plain == {"score": near(25 / 64), "start": 5, "end": 11, "answer": "berlin"}
    # berlin + berlin##er + ##er
    assert answer(question) == {"score": near((25 + 5 + 1) / 64), "start": 5, "end": 13, "answer": "berliner"}


def test_max_answer_len(answer):
    # three tokens, probabilities 5/12, 5/12, 1/12: without a limit the words between count too
    question = {"question": "where", "context": "berlin in berlin"}
    found = answer(question, top_k=9, max_answer_len=1, align_to_words=False)
    assert [a["answer"] for a in found] == ["berlin", "in"]
    assert found[0]["score"] == near(2 * 25 / 144)


def test_the_same_answer_of_several_windows_adds_up(answer):
    # room for three tokens, overlapping by two: [in berlin in] [berlin in in]; odds 5, 1, 1 and [CLS] 1 in each
    found = answer("where", "in berlin in in", max_seq_len=7, doc_stride=2)
    assert found == {"score": near(2 * (5 / 8) ** 2), "start": 3, "end": 9, "answer": "berlin"}


def test_the_same_answer_in_other_letters_adds_up(tmp_path):
    answer = made(tmp_path, ROWS | {"Berlin": odds(5)})
    found = answer("where", "Berlin in berlin", top_k=9, max_answer_len=1)
    assert [a["answer"] for a in found] == ["Berlin", "in"]
    assert found[0] == {"score": near(2 * (5 / 12) ** 2), "start": 0, "end": 6, "answer": "Berlin"}


def test_windows_reach_the_end_of_a_long_context(answer):
    context = "in " * 1000 + "berlin"
    assert answer("where", context)["answer"] == "berlin"
    assert answer("where", context)["start"] == 3000


def test_an_impossible_answer(tmp_path):
    answer = made(tmp_path, ROWS | {"[CLS]": odds(8)})
    # [CLS] 8, "anna" 1, "lives" 1
    nothing = {"score": near(0.64), "start": 0, "end": 0, "answer": ""}
    assert answer("where", "anna lives", handle_impossible_answer=True) == nothing
    assert answer("where", "anna lives") == {"score": near(0.01), "start": 0, "end": 4, "answer": "anna"}
    both = answer("where", "anna lives", handle_impossible_answer=True, top_k=2)
    assert both == [nothing, {"score": near(0.01), "start": 0, "end": 4, "answer": "anna"}]


def test_an_answer_is_impossible_if_no_window_has_one(tmp_path):
    # windows [in berlin in] and [in in]: no answer has (8/15)**2 in the first and (8/10)**2 in the second
    answer = made(tmp_path, ROWS | {"[CLS]": odds(8)})
    found = answer("where", "in berlin in in", max_seq_len=7, doc_stride=1, handle_impossible_answer=True, top_k=9)
    assert next(a for a in found if not a["answer"])["score"] == near((8 / 15) ** 2)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side(tmp_path, side):
    answer = made(tmp_path, tokenizer={"padding_side": side})
    items = [{"question": "where", "context": context} for context in (CONTEXT, "berlin", "in berlin")]
    assert answer(items) == [answer(item) for item in items]
    assert answer(items)[0] == BERLIN


def test_a_long_question_is_cut_with_a_warning(answer):
    with pytest.warns(
        TruncationWarning, match=r"the question has 5 tokens: 3 were cut \(max_question_len=2\)"
    ) as caught:
        found = answer("where does berlin lives in", CONTEXT, max_question_len=2)
    assert found == BERLIN
    assert caught[0].filename == __file__


def test_a_question_that_fills_the_model(tmp_path):
    answer = made(tmp_path, max_length=8)
    with pytest.raises(InputError, match="leaves no room"):
        answer("where " * 6, CONTEXT)


def test_a_question_that_leaves_less_room_than_the_windows_overlap(tmp_path, capfd):
    answer = made(tmp_path, max_length=12)
    assert answer("where " * 5, "in " * 20)["answer"].startswith("in"), "the default overlap gives way"
    with pytest.raises(OptionError, match="no windows of 12 tokens with a stride of 6"):
        answer("where " * 5, "in " * 20, doc_stride=6)
    assert "panicked" not in capfd.readouterr().err
    assert answer("where " * 5, "in " * 20, doc_stride=2)["answer"].startswith("in")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"doc_stride": 10, "max_seq_len": 9}, "doc_stride=10 exceeds max_seq_len=9"),
        ({"doc_stride": 500}, "doc_stride=500 exceeds the window of 20"),
        ({"max_seq_len": 21}, "max_seq_len=21 exceeds the model's limit of 20 tokens"),
        ({"max_seq_len": 0}, "max_seq_len must be an integer of at least 1"),
        ({"doc_stride": -1}, "doc_stride must be an integer of at least 0"),
        ({"top_k": 0}, "top_k must be"),
        ({"max_answer_len": 0}, "max_answer_len must be"),
        ({"max_answer_len": -5}, "max_answer_len must be"),
        ({"max_question_len": 0}, "max_question_len must be"),
        ({"max_question_len": "9"}, "max_question_len must be"),
        ({"handle_impossible_answer": "no"}, "handle_impossible_answer must be True or False"),
        ({"align_to_words": None}, "align_to_words must be True or False"),
    ],
)
def test_malformed_options(tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        made(tmp_path, max_length=20)("where", CONTEXT, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": "", "context": CONTEXT}, "the question is empty"),
        ({"question": "where", "context": ""}, "the context is empty"),
        ({"question": "where"}, "needs a question and a context"),
        ({"context": CONTEXT}, "needs a question and a context"),
        ({}, "needs a question and a context"),
        ({"question": ["where", "does"], "context": [CONTEXT]}, "2 questions and 1 contexts"),
        ({"question": 5, "context": CONTEXT}, "question"),
        ({"question": ["where"], "context": 5}, "context"),
        ({"question": [5], "context": CONTEXT}, "expected a question"),
        ({"question": "where", "context": 5}, "expected a context"),
        ({"inputs": "where"}, "a question needs its context"),
        ({"inputs": {"question": "where"}}, "expected"),
        ({"inputs": {"question": "where", "context": CONTEXT, "id": 1}}, "expected"),
        ({"inputs": ["where"]}, "expected|needs its context"),
        ({"inputs": {"question": "where", "context": CONTEXT}, "context": CONTEXT}, "give either"),
        ({"inputs": 5}, "takes one input"),
    ],
)
def test_malformed_inputs(answer, arguments, message):
    with pytest.raises(InputError, match=message):
        answer(**arguments)
