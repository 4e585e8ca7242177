"""What all pipelines share: batches, streams, options, pickling, threads; and the ``pipeline`` function."""

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchless import Bundle, InputError, OptionError, Pipeline, TaskError, pipeline
from torchless.pipelines import PIPELINES
from torchless.pipelines.base import LOOKAHEAD
from torchless.pipelines.batching import PADDING_SHARE, TOKENS_PER_BATCH, batches

from .factories import make_bundle

TASK = "text-classification"
WORDS = ["a", "b", "c"]


@pytest.fixture
def folder(tmp_path):
    """Each word adds to one class: ``a`` 1, ``b`` 2, ``c`` 3."""
    rows = {"a": (1, 0), "b": (2, 0), "c": (3, 0)}
    return make_bundle(tmp_path / "bundle", TASK, rows, ("SUM", "ZERO"))


@pytest.fixture
def add(folder):
    return pipeline(TASK, folder, function_to_apply="none")


def total(text):
    return [{"label": "SUM", "score": float(sum(" abc".index(word) for word in text.split()))}]


def phrases(count, longest=30):
    rng = random.Random(count)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(count)]


def spy(add, monkeypatch):
    """The shapes that the session sees."""
    shapes, real = [], add.session.run

    def run(feeds, outputs=None):
        shapes.append(feeds["input_ids"].shape)
        return real(feeds, outputs)

    monkeypatch.setattr(add.session, "run", run)
    return shapes


@pytest.mark.parametrize("batch_size", [1, 2, 7, None])
@pytest.mark.parametrize("lengths", [[], [5], [3, 3, 3], [9, 1, 5, 5, 2, 8], [0, 0, 4], list(range(100)), [5000, 3]])
def test_every_row_is_in_one_batch(lengths, batch_size):
    found = batches(lengths, batch_size)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    assert all(batch for batch in found)
    if batch_size is not None:
        assert all(len(batch) == batch_size for batch in found[:-1])


def test_batches_by_hand():
    assert batches([3, 100, 4], 2) == [[1, 2], [0]]
    assert batches([3, 100, 4], 1) == [[1], [2], [0]]
    assert batches([3, 100, 4], None) == [[1], [2], [0]]
    assert batches([4, 4, 4], None) == [[0, 1, 2]]
    assert batches([TOKENS_PER_BATCH // 2] * 3, None) == [[0, 1], [2]]
    assert batches([TOKENS_PER_BATCH * 2, TOKENS_PER_BATCH * 2], None) == [[0], [1]]


def test_batches_bound_tokens_and_padding():
    rng = random.Random(0)
    lengths = [rng.randint(1, 300) for _ in range(2000)]
    found = batches(lengths, None)
    for batch in found:
        padded = len(batch) * max(lengths[row] for row in batch)
        assert len(batch) == 1 or padded <= TOKENS_PER_BATCH
        assert padded - sum(lengths[row] for row in batch) <= PADDING_SHARE * padded
    assert [max(lengths[row] for row in batch) for batch in found] == sorted(
        (max(lengths[row] for row in batch) for batch in found), reverse=True
    )


@pytest.mark.parametrize("batch_size", [None, 1, 3, 64])
def test_order_is_kept(folder, batch_size):
    add = pipeline(TASK, folder, function_to_apply="none", batch_size=batch_size)
    texts = phrases(200)
    expected = [total(text)[0] for text in texts]
    assert add(texts) == expected
    assert list(add(iter(texts))) == expected
    assert list(add(tuple(texts))) == expected


def test_batch_size_bounds_the_rows(folder, monkeypatch):
    add = pipeline(TASK, folder, batch_size=4)
    shapes = spy(add, monkeypatch)
    add(phrases(10))
    assert [rows for rows, _ in shapes] == [4, 4, 2]


def test_texts_of_one_length_run_together(add, monkeypatch):
    shapes = spy(add, monkeypatch)
    add(["a b", "b c", "c a"])
    assert shapes == [(3, 4)]


def test_one_text(add):
    assert add("a b c") == total("a b c")


def test_no_texts(add, monkeypatch):
    shapes = spy(add, monkeypatch)
    assert add([]) == []
    assert list(add(iter([]))) == []
    assert shapes == []


def test_a_stream_is_read_one_at_a_time_with_batches_of_one(folder):
    add = pipeline(TASK, folder, function_to_apply="none", batch_size=1)
    read = []
    answers = add(read.append(text) or text for text in ("a", "b", "c"))
    assert read == []
    for number, text in enumerate(("a", "b", "c"), start=1):
        assert [next(answers)] == total(text)
        assert len(read) == number
    assert list(answers) == []


def test_a_stream_is_read_ahead_and_not_to_its_end(add):
    def endless():
        while True:
            read.append(None)
            yield "a"

    read = []
    answers = add(endless())
    assert [next(answers) for _ in range(3)] == total("a") * 3
    assert len(read) == LOOKAHEAD


def test_a_long_list_is_answered_whole(add):
    texts = phrases(LOOKAHEAD + 5, longest=3)
    assert add(texts) == [total(text)[0] for text in texts]


def test_a_bad_input_in_a_stream_is_told_when_it_is_reached(folder):
    answers = pipeline(TASK, folder, batch_size=1)(iter(["a", None]))
    next(answers)
    with pytest.raises(InputError, match="NoneType"):
        next(answers)


@pytest.mark.parametrize("inputs", [None, 5, 1.5, object(), b"text", bytearray(b"text")])
def test_inputs_that_are_no_texts(add, inputs):
    with pytest.raises(InputError, match=f"not {type(inputs).__name__}"):
        add(inputs)


@pytest.mark.parametrize("inputs", [[None], ["a", 5], [b"a"], [["a", "b"]], [("a", "b")], [[]]])
def test_a_list_that_holds_no_texts(add, inputs):
    with pytest.raises(InputError):
        add(inputs)
    assert add("a") == total("a")


def test_options_of_a_call_come_before_those_of_construction(folder):
    classify = pipeline(TASK, folder, top_k=2)
    assert len(classify(["a"])[0]) == 2
    assert len(classify(["a"], top_k=1)[0]) == 1
    assert len(classify(["a"])[0]) == 2


@pytest.mark.parametrize("task", sorted(PIPELINES))
def test_an_unknown_option_is_told_with_the_known(task, folder):
    known = {field.name for field in PIPELINES[task].options_type.__dataclass_fields__.values()}
    with pytest.raises(OptionError, match=rf"'tok_k'.*{task}.*{min(known)}|{task} has no option 'tok_k'.*{min(known)}"):
        pipeline(task, folder, tok_k=3)


def test_an_unknown_option_of_a_call(add):
    with pytest.raises(OptionError, match="no option 'max_length'; it has top_k, function_to_apply"):
        add("a", max_length=3)


@pytest.mark.parametrize("size", [0, -1, 1.5, "2", True])
def test_malformed_batch_size(folder, size):
    with pytest.raises(OptionError, match="batch_size must be a positive integer"):
        pipeline(TASK, folder, batch_size=size)


def test_pickling(folder):
    first = pipeline(TASK, folder, threads=1, batch_size=3, top_k=1, function_to_apply="none")
    copy = pickle.loads(pickle.dumps(first))
    assert type(copy) is type(first)
    assert copy("a b") == first("a b") == [total("a b")]
    assert (copy.batch_size, copy.bundle.settings) == (3, first.bundle.settings)


def test_threads_share_a_pipeline(add):
    texts = phrases(120)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(add, texts)) == [total(text) for text in texts]


def test_an_unknown_task(folder):
    with pytest.raises(TaskError, match=r"unknown task 'summarisation'; known tasks: .*fill-mask.*ner"):
        pipeline("summarisation", folder)


@pytest.mark.parametrize("alias", ["sentiment-analysis", "text-classification", None])
def test_aliases_and_the_folders_own_task(folder, alias):
    classify = pipeline(alias, folder)
    assert isinstance(classify, Pipeline)
    assert classify.task == TASK


def test_a_folder_that_does_not_tell_its_task(folder):
    (folder / "config.json").write_text('{"id2label": {"0": "A", "1": "B"}}')
    with pytest.raises(TaskError, match=r"does not tell its task: name it, one of .*text-classification"):
        pipeline(None, folder)
    assert pipeline(TASK, folder)("a")[0]["label"] == "A"


def test_a_manifest_of_another_task(tmp_path):
    folder = make_bundle(tmp_path, "token-classification", {"a": (1, 0)}, ("O", "X"), manifest=True)
    with pytest.raises(TaskError, match="made for 'token-classification' and cannot do 'text-classification'"):
        pipeline(TASK, folder)


@pytest.mark.parametrize("task", ["token-classification", "question-answering", "feature-extraction", "fill-mask"])
def test_a_graph_of_another_task(folder, task):
    with pytest.raises(TaskError, match=f"'{task}' needs a graph with outputs .* has {{'logits': 2}}"):
        pipeline(task, folder)


def test_an_opened_bundle(folder):
    bundle = Bundle.open(folder, threads=1)
    classify = pipeline(None, bundle, top_k=1)
    assert classify.bundle is bundle
    assert classify.session is bundle.session()


@pytest.mark.parametrize(
    "argument",
    [{"dtype": "fp32"}, {"device": "auto"}, {"threads": 1}, {"revision": "main"}, {"session_options": {}},
     {"providers": ["CPUExecutionProvider"]}],
)  # fmt: skip
def test_an_opened_bundle_keeps_its_settings(folder, argument):
    with pytest.raises(OptionError, match="an opened bundle keeps its own"):
        pipeline(TASK, Bundle.open(folder), **argument)


def test_padding_on_the_left_gives_the_same(folder, tmp_path):
    rows = {"a": (1, 0), "b": (0, 2)}
    right = make_bundle(tmp_path / "right", "token-classification", rows, ("X", "Y"))
    left = make_bundle(tmp_path / "left", "token-classification", rows, ("X", "Y"), tokenizer={"padding_side": "left"})
    texts = ["a b a", "b", "a a b b a"]
    answers = [pipeline("ner", which, batch_size=3)(texts) for which in (right, left)]
    assert answers[0] == answers[1]
    assert [entity["entity"] for entity in answers[0][0]] == ["X", "Y", "X"]
