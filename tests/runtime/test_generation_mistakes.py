"""Bad input to the tasks that generate: an error that says what would work, and a pipeline that works as before."""

import pytest

from torchless import Bundle, InputError, OptionError, TaskError, TorchlessError, pipeline
from torchless.pipelines import PIPELINES

from .factories import make_bundle
from .generation_factories import make_causal, make_seq2seq

FOLLOW = {"a": {"b": 2, "</s>": 0}, "b": {"a": 1}, "<s>": {"a": 0}}
MEANING = {"der": {"the": 3}, "hund": {"dog": 2}}
CAUSAL = ["text-generation", "next-token"]
SEQ2SEQ = ["text2text-generation", "summarization", "translation"]
WRITING = ["text-generation", *SEQ2SEQ]
ANYTHING = [None, 5, 0.5, b"a", object, [None], [5], [b"a"], {"nothing": "a"}, "\ud800", ["a", "\udfff"], [["a", 5]]]


def make(folder, task):
    return make_causal(folder, FOLLOW) if task in CAUSAL else make_seq2seq(folder, MEANING)


@pytest.fixture
def write(tmp_path):
    return pipeline("text-generation", make_causal(tmp_path, FOLLOW), do_sample=False, max_new_tokens=3)


@pytest.mark.parametrize("task", [*CAUSAL, *SEQ2SEQ])
def test_a_pipeline_survives_anything(tmp_path, task):
    answer = pipeline(task, make(tmp_path, task), **({"seed": 1} if task == "text-generation" else {}))
    before = answer("a")
    for inputs in ANYTHING:
        with pytest.raises(TorchlessError):
            answer(inputs)
        with pytest.raises(TorchlessError):
            list(answer(iter([inputs])))
        assert answer("a") == before


@pytest.mark.parametrize("task", WRITING)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tok_k": 3}, "no generation option 'tok_k'; did you mean top_k.*also has the options .*return_tensors"),
        ({"penalty_alpha": 0.5}, "penalty_alpha=0.5 is not implemented"),
        ({"num_beam_groups": 2}, "num_beam_groups=2 is not implemented"),
        ({"assistant_model": "other"}, "assistant_model='other' is not implemented"),
        ({"use_cache": False}, "use_cache=False has no meaning here"),
        ({"max_new_tokens": 0}, "max_new_tokens must be an integer of at least 1"),
        ({"max_new_tokens": "many"}, "max_new_tokens must be an integer"),
        ({"max_length": -3}, "max_length must be an integer"),
        ({"num_beams": 0}, "num_beams must be"),
        ({"temperature": 0.0, "do_sample": True}, "temperature must be"),
        ({"early_stopping": "sometimes"}, "early_stopping must be"),
        ({"bad_words_ids": [5]}, "bad_words_ids must be"),
        ({"generation_config": {"max_new_tokens": 5}}, "generation_config must be a GenerationConfig"),
        ({"seed": -1}, "seed must be"),
        ({"seed": "luck"}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"prefix": 5}, "prefix must be a text"),
        ({"stop_sequence": 5}, "stop_sequence must be"),
        ({"stop_sequence": [""]}, "stop_strings must be"),
        ({"return_tensors": "pt"}, "return_tensors must be True or False"),
        ({"return_text": True, "return_tensors": True}, "return_text=True and return_tensors=True contradict"),
        ({"return_text": False, "return_tensors": False}, "return_text=False and return_tensors=False contradict"),
        ({"skip_special_tokens": 1}, "skip_special_tokens must be True or False"),
        ({"clean_up_tokenization_spaces": "yes"}, "clean_up_tokenization_spaces must be"),
        ({"truncation": "longest_first"}, "truncation must be True or False"),
        ({"streamer": "stdout"}, "streamer must be callable"),
        ({"stopping": 5}, "stopping must be callable"),
        ({"prefix_allowed_tokens_fn": []}, "prefix_allowed_tokens_fn must be callable"),
        ({"logits_processors": print}, "logits_processors must be"),
        ({"logits_processors": [5]}, "logits_processors must be"),
        ({"output_scores": True}, "a pipeline returns no scores"),
    ],
)
def test_malformed_options(tmp_path, task, options, message):
    folder = make(tmp_path, task)
    with pytest.raises(OptionError, match=message):
        pipeline(task, folder, **options)
    answer = pipeline(task, folder)
    with pytest.raises(OptionError, match=message):
        answer("a", **options)
    with pytest.raises(OptionError, match=message):
        answer.stream("a", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"return_full_text": True, "return_tensors": True}, "return_full_text"),
        ({"return_full_text": False, "return_text": True}, "return_full_text"),
        ({"return_full_text": "yes"}, "return_full_text must be"),
        ({"handle_long_generation": "cut"}, "handle_long_generation must be 'hole'"),
        ({"continue_final_message": 1}, "continue_final_message must be"),
        ({"add_special_tokens": 1}, "add_special_tokens must be"),
        ({"tokenizer_encode_kwargs": "tools"}, "tokenizer_encode_kwargs must be"),
    ],
)
def test_malformed_options_of_text_generation(write, options, message):
    with pytest.raises(OptionError, match=message):
        write("a", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 3, "max_new_tokens": None}, "max_length=3 leaves no room after 3 tokens"),
        ({"max_length": 1, "max_new_tokens": None}, "max_length=1 leaves no room after 3 tokens"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences=3 is more than num_beams=2 can give"),
        ({"num_return_sequences": 2}, "num_return_sequences=2 needs do_sample=True or num_beams > 1"),
        ({"min_new_tokens": 5}, "min_new_tokens=5 wants 8 tokens"),
        ({"min_length": 9}, "min_length=9 wants 9 tokens"),
        ({"temperature": 0.5}, "temperature=0.5 has no effect without do_sample=True"),
        ({"top_p": 0.5}, "top_p=0.5 has no effect without do_sample=True"),
        ({"length_penalty": 2.0}, "length_penalty=2.0 has no effect without num_beams > 1"),
        ({"prompt_lookup_num_tokens": 3, "num_beams": 2}, "prompt_lookup_num_tokens is for greedy decoding"),
    ],
)
def test_options_that_contradict_each_other(write, options, message):
    with pytest.raises(OptionError, match=message):
        write("aba", **options)
    with pytest.raises(OptionError, match=message):
        write(["aba", "aba"], **options)
    assert write("a") == [{"generated_text": "abab"}]


@pytest.mark.parametrize("task", [*CAUSAL, *SEQ2SEQ])
def test_a_bundle_of_another_task(tmp_path, task):
    other = make_bundle(tmp_path / "classes", "text-classification", {"a": (1, 0)}, ("A", "B"))
    with pytest.raises(TaskError, match="does not generate: no graph takes a cache"):
        pipeline(task, other)
    (other / "onnx" / "model.onnx").rename(other / "onnx" / "encoder_model.onnx")
    with pytest.raises(TaskError, match="does not generate: no graph takes a cache"):
        pipeline(task, other)


@pytest.mark.parametrize("task", SEQ2SEQ)
def test_a_language_model_for_a_task_of_an_encoder_decoder(tmp_path, task):
    with pytest.raises(TaskError, match=f"'{task}' needs an encoder and a decoder"):
        pipeline(task, make_causal(tmp_path, FOLLOW))


@pytest.mark.parametrize("task", CAUSAL)
def test_an_encoder_decoder_for_a_task_of_a_language_model(tmp_path, task):
    with pytest.raises(TaskError, match=f"'{task}' needs a language model"):
        pipeline(task, make_seq2seq(tmp_path, MEANING))


@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_a_language_model_for_a_task_that_runs_once(tmp_path, task):
    with pytest.raises(TaskError, match=f"'{task}' needs a graph"):
        pipeline(task, make_causal(tmp_path, FOLLOW))
    with pytest.raises(TorchlessError):
        pipeline(task, make_seq2seq(tmp_path / "other", MEANING))


def test_the_task_is_read_from_the_folder(tmp_path):
    assert pipeline(None, make_causal(tmp_path / "one", FOLLOW)).task == "text-generation"
    assert pipeline(None, make_seq2seq(tmp_path / "two", MEANING)).task == "text2text-generation"


def test_a_cache_that_does_not_fit_in_memory(tmp_path):
    folder = make_causal(tmp_path, FOLLOW, head=4096)
    write = pipeline("text-generation", folder, do_sample=False)
    with pytest.raises(OptionError, match=r"a cache of 1 sequences of .* tokens would take .* GiB"):
        write("a", max_new_tokens=10**9)
    with pytest.raises(OptionError, match=r"a cache of 8 sequences of .* tokens would take .* GiB"):
        write("a", max_new_tokens=10**8, num_beams=8)
    assert write("a", max_new_tokens=1) == [{"generated_text": "ab"}]


def test_a_cache_that_does_not_fit_is_told_before_anything_is_streamed(tmp_path):
    write = pipeline("text-generation", make_causal(tmp_path, FOLLOW, head=4096))
    with pytest.raises(OptionError, match="GiB"):
        write.stream("a", max_new_tokens=10**9)


def test_callables_that_fail_leave_the_pipeline_as_it_was(write):
    def fail(*arguments):
        raise RuntimeError("mine")

    for options in ({"streamer": fail}, {"stopping": fail}, {"prefix_allowed_tokens_fn": fail},
                    {"logits_processors": [fail]}):  # fmt: skip
        with pytest.raises(RuntimeError, match="mine"):
            write("a", **options)
    assert write("a") == [{"generated_text": "abab"}]


def test_callables_that_return_nonsense(write):
    for options in ({"stopping": lambda tokens: "never"}, {"prefix_allowed_tokens_fn": lambda row, tokens: []}):
        with pytest.raises(TorchlessError):
            write("a", **options)


@pytest.mark.parametrize("task", WRITING)
def test_options_have_a_type_each(task):
    declared = PIPELINES[task].option_types()
    assert {"max_new_tokens", "num_beams", "seed", "prefix", "return_tensors"} <= set(declared)
    assert not {"given", "explicit", "problems"} & set(declared)


def test_no_input(write):
    with pytest.raises(InputError, match="takes one input"):
        write()
    with pytest.raises(InputError, match="takes one input"):
        write("a", "b")


def test_an_opened_bundle_generates(write):
    assert pipeline("text-generation", Bundle.open(write.bundle.folder), seed=1)("a")
