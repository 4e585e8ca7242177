"""Bad input: an error of our own tree, and a pipeline that works as before.

``WHERE`` names, for every kind of bad input that concerns texts, the tests that look at it closely.
"""

import math
import re
from pathlib import Path

import pytest

from torchless import TorchlessError, pipeline

from .factories import make_bundle

WHERE = {
    "missing graph": ["test_damaged_bundle.test_missing_graphs",
                      "test_damaged_bundle.test_a_declared_graph_that_is_missing"],
    "truncated graph": ["test_damaged_bundle.test_a_truncated_graph", "test_session.test_a_damaged_file"],
    "wrong hash": ["test_verify.test_a_changed_file_of_the_same_size"],
    "unknown task": ["test_pipelines.test_an_unknown_task"],
    "a folder of another task": ["test_pipelines.test_a_manifest_of_another_task",
                                 "test_pipelines.test_a_graph_of_another_task"],
    "graph and manifest disagreeing": ["test_damaged_bundle.test_a_graph_that_disagrees_with_the_manifest"],
    "empty text": ["test_zero_shot_classification.test_malformed_texts",
                   "test_question_answering.test_malformed_inputs", "test_fill_mask.test_a_text_without_a_mask",
                   "test_tokenizer.test_an_empty_text_is_its_special_tokens"],
    "text over the limit": ["test_truncation.test_the_warning_counts_the_tokens_lost",
                            "test_question_answering.test_windows_reach_the_end_of_a_long_context"],
    "candidate labels empty": ["test_zero_shot_classification.test_no_labels"],
    "top_k beyond the labels": ["test_text_classification.test_top_k_beyond_the_labels",
                                "test_fill_mask.test_malformed_options"],
    "negative lengths": ["test_question_answering.test_malformed_options",
                         "test_tokenizer.test_a_limit_below_the_special_tokens"],
    "contradicting options": ["test_question_answering.test_malformed_options",
                              "test_feature_extraction.test_malformed_options",
                              "test_token_classification.test_malformed_options",
                              "test_settings.test_threads_given_twice"],
    "unknown options": ["test_pipelines.test_an_unknown_option_is_told_with_the_known",
                        "test_settings.test_unknown_session_option"],
    "prompt longer than the context": ["test_text_generation.test_a_prompt_that_fills_the_context",
                                       "test_next_token.test_a_prompt_that_fills_the_context"],
    "lengths that contradict": ["test_generation_mistakes.test_options_that_contradict_each_other",
                                "test_text_generation.test_a_length_that_is_asked_for_is_not",
                                "test_text_generation.test_a_hole_that_is_too_large"],
    "generation options": ["test_generation_mistakes.test_malformed_options",
                           "test_generation_mistakes.test_options_that_contradict_each_other"],
    "empty prompt": ["test_text_generation.test_an_empty_text_without_anything_to_begin_with",
                     "test_text_generation.test_an_empty_text_begins_with_the_beginning_of_sequence_token",
                     "test_text2text_generation.test_an_empty_text_is_its_special_tokens"],
    "prompt of special tokens only": ["test_text_generation.test_a_prompt_of_special_tokens_only"],
    "a cache that does not fit in memory": ["test_generation_mistakes.test_a_cache_that_does_not_fit_in_memory"],
    "chats": ["test_text_generation_chat.test_a_chat_without_a_template",
              "test_text_generation_chat.test_malformed_messages", "test_text_generation_chat.test_jinja2_missing"],
    "languages": ["test_translation.test_unknown_languages",
                  "test_translation.test_a_pair_that_the_configuration_lacks",
                  "test_translation.test_languages_of_a_checkpoint_that_has_none"],
    "a file path that leaves the folder": ["test_damaged_bundle.test_a_path_that_leaves_the_folder",
                                           "test_damaged_bundle.test_a_graph_that_reads_weights_outside_its_folder"],
    "onnxruntime missing": ["test_settings.test_onnxruntime_missing"],
    "onnxruntime installed twice": ["test_settings.test_onnxruntime_installed_twice"],
    "no CUDA libraries": ["test_settings.test_a_device_that_does_not_start_is_no_silent_fall_back",
                          "test_settings.test_cuda_on_the_cpu_build_says_why"],
}  # fmt: skip


@pytest.mark.parametrize("kind", WHERE)
def test_every_kind_of_bad_input_has_its_test(kind):
    for place in WHERE[kind]:
        file, _, name = place.partition(".")
        assert re.search(rf"^def {name}\(", Path(__file__).with_name(f"{file}.py").read_text(), re.MULTILINE), place


LOG2 = math.log(2)
WORDS = ["a", "b"]
ANYTHING = [None, 5, 0.5, b"a", object, [None], [5], [b"a"], {"nothing": "a"}, "\ud800", ["a", "\udfff"], [["a", 5]]]


def classification(folder):
    classify = pipeline("text-classification", make_bundle(folder, "text-classification", {"a": (0, LOG2)}, ("N", "Y")))
    return classify, lambda: classify("a")


def entities(folder):
    ner = pipeline("ner", make_bundle(folder, "token-classification", {"a": (0, LOG2)}, ("O", "Y")))
    return ner, lambda: ner("a b")


def question(folder):
    answer = pipeline("question-answering", make_bundle(folder, "question-answering", {"a": (1, 1), "b": (0, 0)}))
    return answer, lambda: answer("b", "b a")


def mask(folder):
    rows = {"[MASK]": [0.1 * number for number in range(7)]}
    fill = pipeline("fill-mask", make_bundle(folder, "fill-mask", rows, words=WORDS))
    return fill, lambda: fill("a [MASK]")


def zero_shot(folder):
    rows = {"a": (0, LOG2), "b": (0, 0)}
    bundle = make_bundle(folder, "text-classification", rows, ("contradiction", "entailment"))
    classify = pipeline("zero-shot-classification", bundle, candidate_labels=["a", "b"])
    return classify, lambda: classify("b")


def features(folder):
    embed = pipeline("feature-extraction", make_bundle(folder, "feature-extraction", {"a": (1, 2)}))
    return embed, lambda: embed("a").tolist()


@pytest.mark.parametrize("make", [classification, entities, question, mask, zero_shot, features])
def test_a_pipeline_survives_anything(tmp_path, make):
    answer, good = make(tmp_path)
    before = good()
    for inputs in ANYTHING:
        with pytest.raises(TorchlessError):
            answer(inputs)
        assert good() == before


@pytest.mark.parametrize("make", [classification, entities, question, mask, zero_shot, features])
def test_a_stream_survives_anything(tmp_path, make):
    answer, good = make(tmp_path)
    before = good()
    for inputs in ANYTHING:
        with pytest.raises(TorchlessError):
            list(answer(iter([inputs])))
        assert good() == before


def test_a_token_that_the_graph_does_not_know_fails_cleanly(tmp_path):
    classify, good = classification(tmp_path)
    before = good()
    with pytest.raises(TorchlessError):
        classify.session.run({"input_ids": [[10**6]], "attention_mask": [[1]]})
    assert good() == before
