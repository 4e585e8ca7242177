"""Text to text, summarization: a model whose words can be worked out by hand."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchless import InputError, OptionError, TruncationWarning, pipeline

from .generation_factories import EOS, PAD, make_seq2seq

MEANING = {"der": {"the": 3}, "hund": {"dog": 2}, "katze": {"cat": 2.2}, "schläft": {"sleeps": 1.5}}
NAMES = {"text2text-generation": "generated", "summarization": "summary", "translation": "translation"}


@pytest.fixture
def folder(tmp_path):
    return make_seq2seq(tmp_path / "bundle", MEANING)


@pytest.mark.parametrize(("task", "name"), NAMES.items())
def test_an_answer_is_called_as_its_task(folder, task, name):
    answer = pipeline(task, folder)
    assert answer("der hund schläft") == [{f"{name}_text": "the dog sleeps"}]
    assert answer("der hund", return_tensors=True) == [{f"{name}_token_ids": [PAD, 4, 5, EOS]}]
    assert answer("der hund", return_text=False) == answer("der hund", return_tensors=True)


@pytest.fixture
def say(folder):
    return pipeline("text2text-generation", folder)


def test_nesting(say):
    text, one = "der hund", {"generated_text": "the dog"}
    assert say(text) == say(inputs=text) == [one]
    assert say([text]) == [one]
    assert say([text, text]) == [one, one]
    assert list(say(iter([text, text]))) == [[one], [one]]
    assert say([]) == []
    several = say(text, num_return_sequences=2)
    assert several[0] == one
    assert len(several) == 2
    assert say([text, text], num_return_sequences=2) == [several, several]


@pytest.mark.parametrize(
    "options",
    [{}, {"num_beams": 1}, {"min_length": 4}, {"max_length": 3}, {"max_new_tokens": 1},
     {"encoder_no_repeat_ngram_size": 1}, {"encoder_repetition_penalty": 2.0}],
)  # fmt: skip
def test_a_list_is_answered_as_one_by_one(say, options):
    texts = ["der hund", "katze", "der katze schläft", "schläft der hund", "hund hund hund", "unknown"]
    assert say(texts, **options) == [say(text, **options)[0] for text in texts]


def test_texts_of_several_lengths_run_together(say, monkeypatch):
    shapes, real = [], say.generator.generate
    monkeypatch.setattr(
        say.generator, "generate", lambda ids, mask, **more: shapes.append(ids.shape) or real(ids, mask, **more)
    )
    say(["der", "der hund", "hund"], max_length=5)
    assert shapes == [(3, 3)]
    shapes.clear()
    say(["der"] * 5, num_beams=16, max_new_tokens=5)
    assert [rows for rows, _ in shapes] == [2, 2, 1]  # 32 sequences
    shapes.clear()
    say(["der"] * 3, num_beams=1, max_new_tokens=2000)
    assert [rows for rows, _ in shapes] == [2, 1]  # 4096 tokens
    shapes.clear()
    say(["der"] * 2, num_beams=1, max_new_tokens=5000)
    assert [rows for rows, _ in shapes] == [1, 1]


def test_defaults_are_those_of_transformers(folder, tmp_path):
    config = pipeline("summarization", folder)._options({}).config
    assert (config.max_new_tokens, config.num_beams, config.do_sample) == (256, 4, False)
    other = make_seq2seq(tmp_path / "other", MEANING, generation={"num_beams": 2, "max_length": 3})
    config = pipeline("summarization", other)._options({}).config
    assert (config.max_new_tokens, config.max_length, config.num_beams) == (None, 3, 2)
    assert pipeline("summarization", other)("der hund schläft") == [{"summary_text": "the dog"}]


def test_task_specific_parameters(tmp_path):
    meaning = {**MEANING, "kurz:": {"dog": -15}}
    specific = {"summarization": {"prefix": "kurz: ", "num_beams": 3, "min_length": 3, "max_length": 2, "unknown": 1}}
    folder = make_seq2seq(tmp_path, meaning, task_specific_params=specific)
    summarize = pipeline("summarization", folder)
    config = summarize._options({}).config
    # As in transformers 4.57, the default of 256 new tokens beats a max_length that stands here.
    assert (config.num_beams, config.min_length, config.max_new_tokens) == (3, 3, 256)
    assert summarize("der hund schläft") == [{"summary_text": "the sleeps"}]
    assert summarize("der hund schläft", prefix="") == [{"summary_text": "the dog sleeps"}]
    assert summarize("der hund schläft", prefix="", max_length=2, min_length=0) == [{"summary_text": "the"}]
    # A task's own wishes are idle where the call's leave no room for them.
    assert summarize("der hund schläft", num_beams=1, max_new_tokens=1) == [{"summary_text": "the"}]
    assert pipeline("text2text-generation", folder)("der hund") == [{"generated_text": "the dog"}]


def test_the_prefix_of_the_configuration(tmp_path):
    folder = make_seq2seq(tmp_path, MEANING, prefix="der ")
    assert pipeline("summarization", folder)("hund") == [{"summary_text": "the dog"}]


def test_a_text_that_is_too_long_is_cut_with_a_warning(tmp_path):
    folder = make_seq2seq(tmp_path, MEANING, tokenizer={"model_max_length": 3})
    summarize = pipeline("summarization", folder)
    with pytest.warns(TruncationWarning, match="1 of 1 texts exceed the limit of 3 tokens and were cut: 1 tokens lost"):
        assert summarize("der hund schläft") == [{"summary_text": "the dog"}]
    assert summarize("der hund schläft", truncation=False) == [{"summary_text": "the dog sleeps"}]


def test_a_default_length_is_cut_to_the_decoders_positions(tmp_path):
    say = pipeline("text2text-generation", make_seq2seq(tmp_path, MEANING, max_target_positions=3))
    assert say("der hund schläft") == [{"generated_text": "the dog"}]
    with pytest.raises(OptionError, match="the model has 3 positions: at most max_new_tokens=2"):
        say("der hund schläft", max_new_tokens=3)


def test_an_empty_text_is_its_special_tokens(say):
    assert say("") == [{"generated_text": ""}]
    assert say("</s> </s>") == [{"generated_text": ""}]


def test_pieces(say):
    assert list(say.stream("der hund schläft", num_beams=1)) == ["the", " dog", " sleeps"]
    pieces = []
    assert say("der hund", num_beams=1, streamer=pieces.append, return_tensors=True) == [
        {"generated_token_ids": [PAD, 4, 5, EOS]}
    ]
    assert pieces == ["the", " dog"]
    with pytest.raises(OptionError, match="num_beams=4 and num_return_sequences=1: there is more than one text"):
        say.stream("der hund")


def test_whether_it_streams(folder):
    assert not pipeline("summarization", folder).streams
    assert pipeline("summarization", folder, num_beams=1).streams
    assert not pipeline("summarization", folder, num_beams=1, return_tensors=True).streams


def test_pickling_and_threads(folder):
    say = pipeline("text2text-generation", folder, threads=1, num_beams=2)
    copy = pickle.loads(pickle.dumps(say))
    texts = ["der hund", "katze", "der katze schläft"] * 8
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(copy, texts)) == [say(text) for text in texts]


@pytest.mark.parametrize("inputs", [None, 5, {"text": "der"}, [None], [["der"]], [{"text": "der"}], b"der"])
def test_malformed_inputs(say, inputs):
    with pytest.raises(InputError):
        say(inputs)
    assert say("der hund") == [{"generated_text": "the dog"}]


def test_a_checkpoint_without_a_start(tmp_path):
    folder = make_seq2seq(tmp_path, MEANING, decoder_start_token_id=None, bos_token_id=None)
    with pytest.raises(OptionError, match="decoder_start_token_id"):
        pipeline("summarization", folder)("der")
    assert pipeline("summarization", folder)("der", decoder_start_token_id=PAD) == [{"summary_text": "the"}]
