"""Text generation: texts, lists, streams and chats on a model whose next characters are in a table."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from torchless import InputError, OptionError, TruncationWarning, pipeline
from torchless.generation import GenerationConfig

from .generation_factories import BOS, EOS, PAD, characters, ids, make_causal

TASK = "text-generation"
# a, b, c go round; c may end.
ROUND = {"a": {"b": 2, "c": 1}, "b": {"c": 3}, "c": {"a": 1, "</s>": 0.5}, "<s>": {"b": 1}, "</s>": {"a": 1}}


@pytest.fixture
def folder(tmp_path):
    return make_causal(tmp_path / "bundle", ROUND)


@pytest.fixture
def write(folder):
    return pipeline(TASK, folder, do_sample=False, max_new_tokens=4)


def texts(answers):
    return [answer["generated_text"] for answer in answers]


def spy(write, monkeypatch):
    """The shapes that the generator sees."""
    shapes, real = [], write.generator.generate

    def generate(ids, mask, **options):
        shapes.append(ids.shape)
        return real(ids, mask, **options)

    monkeypatch.setattr(write.generator, "generate", generate)
    return shapes


def test_a_text(write):
    assert write("a") == [{"generated_text": "abcab"}]
    assert write(text_inputs="a") == write(inputs="a") == write("a")


def test_the_continuation_alone(write):
    assert write("a", return_full_text=False) == [{"generated_text": "bcab"}]


def test_token_ids(write):
    tokens = {"generated_token_ids": ids("abcab")}
    assert write("a", return_tensors=True) == write("a", return_text=False) == [tokens]
    assert write("a", return_text=True) == write("a", return_tensors=False) == write("a")


def test_it_ends_with_the_end_of_sequence_token(tmp_path):
    write = pipeline(TASK, make_causal(tmp_path, {"a": {"b": 1}, "b": {"</s>": 1}}), do_sample=False)
    assert write("a") == [{"generated_text": "ab"}]
    assert write("a", return_tensors=True) == [{"generated_token_ids": [*ids("ab"), EOS]}]
    assert write("a", skip_special_tokens=False) == [{"generated_text": "ab</s>"}]


def test_several_answers(write):
    assert len(write("a", num_return_sequences=3, num_beams=3)) == 3
    drawn = texts(write("a", num_return_sequences=20, do_sample=True, seed=1))
    assert {"abcab", "acabc"} <= set(drawn)


def test_lists_and_iterables(write):
    prompts = ["a", "bca", "cc"]
    expected = [write(prompt) for prompt in prompts]
    assert write(prompts) == expected
    assert list(write(iter(prompts))) == list(write(tuple(prompts))) == expected
    assert write([]) == []


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"min_new_tokens": 3}, {"no_repeat_ngram_size": 2},
                                     {"max_length": 9}, {"min_length": 5}])  # fmt: skip
def test_a_list_is_answered_as_one_by_one(write, options):
    prompts = ["a", "bc", "abc", "c", "ca", "b", "abca", "cabca"]
    assert write(prompts, **options) == [write(prompt, **options) for prompt in prompts]


def test_new_tokens_are_counted_alike_in_a_batch(write, monkeypatch):
    shapes = spy(write, monkeypatch)
    write(["a", "bc", "abc"])
    assert shapes == [(3, 3)]


@pytest.mark.parametrize(
    "options",
    [{"max_length": 9}, {"min_length": 2}, {"exponential_decay_length_penalty": (3, 1.5)}, {"forced_bos_token_id": 7}],
)
def test_what_counts_padding_keeps_lengths_apart(write, monkeypatch, options):
    shapes = spy(write, monkeypatch)
    write(["a", "bc", "c"], **options)
    assert shapes == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    "options", [{"stopping": lambda tokens: False}, {"prefix_allowed_tokens_fn": lambda row, tokens: ids("abc")},
                {"logits_processors": [lambda tokens, scores: scores]}, {"prompt_lookup_num_tokens": 3}]
)  # fmt: skip
def test_what_is_called_by_row_sees_one_row(write, monkeypatch, options):
    shapes = spy(write, monkeypatch)
    assert texts(answer[0] for answer in write(["ab", "bc"], **options)) == ["abcabc", "bcabca"]
    assert shapes == [(1, 2), (1, 2)]


def test_the_batch_size(folder, monkeypatch):
    write = pipeline(TASK, folder, batch_size=2, do_sample=False, max_new_tokens=1)
    shapes = spy(write, monkeypatch)
    write(["a"] * 5)
    assert [rows for rows, _ in shapes] == [2, 2, 1]


def test_a_stream_of_inputs_is_read_one_at_a_time_with_batches_of_one(folder):
    write = pipeline(TASK, folder, batch_size=1, do_sample=False, max_new_tokens=1)
    read = []
    answers = write(read.append(text) or text for text in ("a", "b", "c"))
    assert read == []
    assert next(answers) == [{"generated_text": "ab"}]
    assert read == ["a"]


def test_padding_of_shorter_answers_is_not_returned(tmp_path):
    write = pipeline(TASK, make_causal(tmp_path, {"a": {"b": 1}, "b": {"c": 1}, "c": {"</s>": 1}}), do_sample=False)
    tokens = [[{"generated_token_ids": [*ids("abc"), EOS]}], [{"generated_token_ids": [*ids("c"), EOS]}]]
    assert write(["a", "c"], return_tensors=True) == tokens


def test_defaults_are_those_of_transformers(folder):
    options = pipeline(TASK, folder)._options({}).config
    assert (options.max_new_tokens, options.do_sample, options.temperature) == (256, True, 0.7)
    greedy = pipeline(TASK, folder)._options({"do_sample": False}).config
    assert (greedy.max_new_tokens, greedy.temperature) == (256, 1.0)


def test_the_checkpoint_comes_before_the_defaults(tmp_path):
    folder = make_causal(tmp_path, ROUND, generation={"max_new_tokens": 3, "do_sample": False})
    assert pipeline(TASK, folder)("a") == [{"generated_text": "abca"}]
    folder = make_causal(tmp_path, ROUND, generation={"max_length": 3, "do_sample": False})
    assert pipeline(TASK, folder)("a") == [{"generated_text": "abc"}]
    assert pipeline(TASK, folder)("a", max_new_tokens=1) == [{"generated_text": "ab"}]


def test_a_length_that_is_asked_for_comes_before_the_checkpoints(tmp_path):
    folder = make_causal(tmp_path, ROUND, generation={"max_new_tokens": 3, "do_sample": False})
    assert pipeline(TASK, folder)("a", max_length=3) == [{"generated_text": "abc"}]
    assert pipeline(TASK, folder, max_length=3)("a") == [{"generated_text": "abc"}]


def test_task_specific_parameters(tmp_path):
    specific = {"text-generation": {"do_sample": False, "max_length": 3}, "summarization": {"prefix": "c"}}
    write = pipeline(TASK, make_causal(tmp_path, ROUND, task_specific_params=specific))
    # As in transformers 4.57, the default of 256 new tokens beats a max_length that stands here.
    assert len(write("a")[0]["generated_text"]) == 257
    assert write("a", max_length=4) == [{"generated_text": "abca"}]
    assert write("a", generation_config=GenerationConfig(max_new_tokens=1, do_sample=False)) == [
        {"generated_text": "ab"}
    ]


def test_a_whole_configuration(write):
    config = GenerationConfig(max_new_tokens=2, do_sample=False, suppress_tokens=ids("b"))
    assert write("c", generation_config=config) == [{"generated_text": "cac"}]
    assert write("c", generation_config=config, max_new_tokens=1) == [{"generated_text": "ca"}]
    assert pipeline(TASK, write.bundle, generation_config=config)("c") == [{"generated_text": "cac"}]


def test_a_prefix_is_read_and_not_answered(write, tmp_path):
    assert write("", prefix="a") == [{"generated_text": "bcab"}]
    assert write("b", prefix="a", return_tensors=True) == [{"generated_token_ids": ids("abcabc")}]
    folder = make_causal(tmp_path, ROUND, prefix="aa")
    tokens = pipeline(TASK, folder, do_sample=False, max_new_tokens=1, return_tensors=True)("b")
    assert tokens == [{"generated_token_ids": ids("aabc")}]


def test_an_empty_text_begins_with_the_beginning_of_sequence_token(write):
    assert write("") == [{"generated_text": "bcab"}]
    assert write("", return_tensors=True) == [{"generated_token_ids": [BOS, *ids("bcab")]}]
    assert write(["", "a"]) == [write(""), write("a")]


def test_an_empty_text_without_anything_to_begin_with(tmp_path):
    folder = make_causal(tmp_path, ROUND, bos_token_id=None)
    with pytest.raises(InputError, match="an empty text cannot be continued"):
        pipeline(TASK, folder)("")
    with pytest.raises(InputError, match="an empty text cannot be continued"):
        pipeline(TASK, folder)(["a", ""])


def test_a_prompt_of_special_tokens_only(write):
    assert write("</s>") == [{"generated_text": "</s>abca"}]
    assert write("</s></s>", return_full_text=False) == [{"generated_text": "abca"}]


def test_a_stop_sequence(write):
    assert write("a", stop_sequence="ca") == [{"generated_text": "abca"}]
    assert write("a", stop_sequence=["x", "b"]) == [{"generated_text": "ab"}]
    assert write("a", stop_sequence="ca", stop_strings=["c"]) == [{"generated_text": "abc"}]


def test_a_seed_draws_the_same_again(folder):
    write = pipeline(TASK, folder, max_new_tokens=30)
    assert write("a", seed=5) == write("a", seed=5) == pipeline(TASK, folder, max_new_tokens=30, seed=5)("a")
    assert write(["a"] * 9, seed=5) == write(["a"] * 9, seed=5)
    assert len({text for (answer,) in write(["a"] * 9, seed=5) for text in answer.values()}) > 1
    assert len({write("a")[0]["generated_text"] for _ in range(20)}) > 1


def test_a_generator_of_numbers_goes_on(folder):
    write, numbers = pipeline(TASK, folder, max_new_tokens=30), np.random.default_rng(5)
    first, second = write("a", seed=numbers), write("a", seed=numbers)
    assert first == write("a", seed=5)
    assert second != first


@pytest.mark.parametrize("prompt", ["a", "ab", "", "</s>", "é a"])
def test_pieces_add_up_to_the_answer(folder, prompt):
    write = pipeline(TASK, folder, max_new_tokens=12, seed=3, return_full_text=False)
    pieces = list(write.stream(prompt))
    assert "".join(pieces) == write(prompt)[0]["generated_text"]
    assert all(pieces)


def test_a_piece_never_splits_a_character(tmp_path):
    one, two = (characters()[token] for token in ids("é"))
    folder = make_causal(tmp_path, {"a": {one: 1}, one: {two: 1}, two: {"a": 1}})
    write = pipeline(TASK, folder, do_sample=False, max_new_tokens=6)
    assert list(write.stream("a")) == ["é", "a", "é", "a"]
    assert write("a") == [{"generated_text": "aéaéa"}]
    # A character that is cut by the length shows as it does in the whole text.
    assert "".join(write.stream("a", max_new_tokens=1)) == write("a", max_new_tokens=1)[0]["generated_text"][1:]


def test_a_stream_is_made_step_by_step(write, monkeypatch):
    seen, real = [], write.generator.stream

    def stream(*arguments, **options):
        for step in real(*arguments, **options):
            seen.append(step)
            yield step

    monkeypatch.setattr(write.generator, "stream", stream)
    pieces = write.stream("a")
    assert next(pieces) == "b"
    assert len(seen) == 1


def test_a_streamer_gets_the_pieces_and_the_answer_is_returned(write):
    pieces = []
    assert write("a", streamer=pieces.append) == write("a")
    assert pieces == ["b", "c", "a", "b"]
    pieces.clear()
    assert write(["a", "bc"], streamer=pieces.append) == write(["a", "bc"])
    assert "".join(sorted(pieces)) == "aaabbbcc"
    assert write("a", streamer=pieces.append, return_tensors=True) == write("a", return_tensors=True)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"num_return_sequences": 2, "do_sample": True}])
def test_several_texts_cannot_be_streamed(write, options):
    with pytest.raises(OptionError, match="there is more than one text"):
        write.stream("a", **options)
    with pytest.raises(OptionError, match="there is more than one text"):
        write("a", streamer=print, **options)


@pytest.mark.parametrize("inputs", [["a", "b"], iter("ab"), [[{"role": "user", "content": "a"}]], None, 5])
def test_several_inputs_cannot_be_streamed(write, inputs):
    with pytest.raises(InputError, match="only one input can be streamed"):
        write.stream(inputs)


def test_pickling(folder):
    write = pipeline(TASK, folder, threads=1, max_new_tokens=3, do_sample=False, batch_size=2)
    copy = pickle.loads(pickle.dumps(write))
    assert copy("a") == write("a") == [{"generated_text": "abca"}]
    assert (copy.batch_size, copy.bundle.settings) == (2, write.bundle.settings)


def test_threads_share_a_pipeline(write):
    prompts = ["a", "bc", "cab", "abcab"] * 12
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, prompts)) == [write(prompt) for prompt in prompts]


@pytest.fixture
def short(tmp_path):
    return pipeline(TASK, make_causal(tmp_path, ROUND, max_position_embeddings=8), do_sample=False)


@pytest.mark.parametrize("length", [8, 9, 100])
def test_a_prompt_that_fills_the_context(short, length):
    with pytest.raises(InputError, match=f"the prompt has {length} tokens, and the model reads 8"):
        short("a" * length)
    with pytest.raises(InputError, match=f"the prompt has {length} tokens, and the model reads 8"):
        short(["a", "a" * length])


def test_a_default_length_is_cut_to_the_context(short):
    assert short("abc") == [{"generated_text": "abcabcab"}]
    assert short("abcabca") == [{"generated_text": "abcabcab"}]
    assert short(["a", "abc", "ca"]) == [short("a"), short("abc"), short("ca")]


def test_a_length_that_is_asked_for_is_not(short):
    assert short("abc", max_new_tokens=5) == [{"generated_text": "abcabcab"}]
    for options in ({"max_new_tokens": 6}, {"max_length": 9}):
        with pytest.raises(OptionError, match="the model has 8 positions: at most max_new_tokens=5"):
            short("abc", **options)


def test_a_hole(short):
    with pytest.warns(TruncationWarning, match="prompt of 12 tokens leaves no room for 3 more: 7 tokens lost"):
        found = short("abcabcabcabc", handle_long_generation="hole", max_new_tokens=3, return_tensors=True)
    assert found == [{"generated_token_ids": ids("bcabcabc")}]
    assert short("abc", handle_long_generation="hole", max_new_tokens=3) == [{"generated_text": "abcabc"}]


def test_a_hole_that_is_too_large(short):
    for options in ({}, {"max_new_tokens": 8}):
        with pytest.raises(OptionError, match="new tokens leave no room for a prompt: the model reads 8"):
            short("abcabcabcabc", handle_long_generation="hole", **options)
    with pytest.raises(OptionError, match="max_length=9 ends before the prompt of 12 tokens does"):
        short("abcabcabcabc", handle_long_generation="hole", max_length=9)


def test_truncation(short):
    for options, length in (({}, 7), ({"max_new_tokens": 3}, 5), ({"max_length": 6}, 5)):
        with pytest.warns(TruncationWarning, match=f"{12 - length} tokens lost"):
            (found,) = short("abcabcabcabc", truncation=True, **options)
        # The whole prompt is shown, though only its beginning was read.
        assert found["generated_text"] == "abcabcabcabc" + "abcabcabcabc"[length : options.get("max_length", 8)]
    with pytest.raises(OptionError, match="8 new tokens leave no room for a prompt"):
        short("abc", truncation=True, max_new_tokens=8)


def test_a_shorter_prompt_is_answered_afterwards(short):
    with pytest.raises(InputError):
        short("a" * 9)
    assert short("abc") == [{"generated_text": "abcabcab"}]


def test_the_padding_token_of_the_tokenizer_is_used(tmp_path):
    folder = make_causal(tmp_path, ROUND, pad_token_id=None)
    assert pipeline(TASK, folder)._options({}).config.pad_token_id == PAD
