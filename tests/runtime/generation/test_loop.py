"""Greedy decoding and sampling over a table, worked out by hand; what they ask of the model; what is returned."""

import numpy as np
import pytest

from torchless import OptionError
from torchless.generation import GenerationConfig, decode, run

from .chain import EOS, PAD, TABLE, A, B, C, Chain, generate

# B, the more probable word, leads to B or the end in turn.
STAY = {**TABLE, B: (0, 0.3, 0, 0.7, 0), C: (0, 0.2, 0, 0, 0.8)}


def test_the_most_probable_until_the_end():
    output = generate([[A]])
    assert output.sequences.tolist() == [[A, B, EOS]]
    assert output.prompt_length == 1
    assert output.new_tokens.tolist() == [[B, EOS]]
    assert (output.scores, output.logits, output.sequences_scores, output.beam_indices) == (None, None, None, None)


def test_until_the_longest():
    assert generate([[A]], table=STAY, max_new_tokens=4).sequences.tolist() == [[A, B, B, B, B]]
    assert generate([[A]], table=STAY, max_length=3).sequences.tolist() == [[A, B, B]]
    assert generate([[A]], table=STAY, eos_token_id=None).sequences.tolist() == [[A] + [B] * 20]


def test_rows_that_ended_are_padded():
    output = generate([[A], [C]], table={**STAY, C: TABLE[C]}, max_new_tokens=3)
    assert output.sequences.tolist() == [[A, B, B, B], [C, EOS, PAD, PAD]]


def test_several_ends():
    output = generate([[A], [C]], eos_token_id=[EOS, B], pad_token_id=C)
    assert output.sequences.tolist() == [[A, B], [C, EOS]]


def test_ragged_prompts_are_padded_on_the_left():
    model = Chain()
    output = generate([[A, C, A], [C]], model=model)
    assert output.sequences.tolist() == [[A, C, A, B, EOS], [PAD, PAD, C, EOS, PAD]]
    assert model.calls == [("prefill", [3, 1]), ("step", [B, EOS])]


def test_processors_do_not_see_padding_as_tokens():
    seen = []

    def look(tokens, scores):
        seen.append(tokens.tolist())
        return scores

    generate([[A, C, A], [C]], logits_processors=[look])
    assert seen == [[[A, C, A], [-1, -1, C]], [[A, C, A, B], [-1, -1, C, EOS]]]


def test_an_answer_is_the_same_alone_and_in_a_batch():
    prompts = [[A, C, A], [C], [A, B]]
    options = {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "max_new_tokens": 5, "table": STAY}
    together = generate(prompts, **options).new_tokens.tolist()
    for prompt, answer in zip(prompts, together, strict=True):
        (alone,) = generate([prompt], **options).new_tokens.tolist()
        assert (alone + [PAD] * 5)[: len(answer)] == answer


def test_scores_and_logits_are_kept_where_wanted():
    output = generate([[A]], output_scores=True, output_logits=True, bad_words_ids=[[B]])
    assert output.sequences.tolist() == [[A, C, EOS]]
    np.testing.assert_allclose(np.exp(output.logits), [[TABLE[A]], [TABLE[C]]], rtol=1e-6)
    np.testing.assert_allclose(np.exp(output.scores), [[[0, 0, 0, 0, 0.4]], [[0, 0.9, 0, 0, 0]]], rtol=1e-6)


def test_steps_report_what_happens():
    steps = []
    generate([[A], [C]], each=lambda step: steps.append((step.tokens.tolist(), step.running.tolist())))
    assert steps == [([B, EOS], [True, False]), ([EOS, PAD], [False, False])]


def test_a_step_is_seen_before_the_model_runs_again():
    model = Chain(STAY)
    config = GenerationConfig(eos_token_id=EOS, max_new_tokens=9).resolve(1)
    steps = decode(model, np.array([[A]]), np.array([1]), config)
    assert not model.calls
    assert next(steps).tokens.tolist() == [B]
    assert model.calls == [("prefill", [1])]
    steps.close()
    assert model.calls == [("prefill", [1])]


def test_own_rule_ends_single_rows_and_all():
    table = {**STAY, A: (0, 0, 1, 0, 0)}
    output = generate([[A], [B]], table=table, max_new_tokens=6, stopping=lambda tokens: (tokens == B).sum(axis=1) == 3)
    assert output.sequences.tolist() == [[A] * 7, [B, B, B] + [PAD] * 4]
    assert generate([[A], [B]], table=table, stopping=lambda tokens: tokens.shape[1] == 4).sequences.shape == (2, 4)


@pytest.mark.parametrize("answer", [1, [1, 0], np.zeros(3, dtype=bool), None])
def test_nonsense_of_an_own_rule(answer):
    with pytest.raises(OptionError, match="stopping must return True, False, or 2 of them"):
        generate([[A], [B]], stopping=lambda tokens: answer)


def test_time_ends_with_the_step_in_which_it_passes():
    output = generate([[A], [B]], table=STAY, max_time=0.0, max_new_tokens=9)
    assert output.sequences.tolist() == [[A, B], [B, B]]
    assert generate([[A]], table=STAY, max_time=60, max_new_tokens=9).sequences.shape == (1, 10)


def test_a_seed_gives_the_same_text():
    """0.637 of (0.6, 0.4) is C; 0.270 of (0.9, 0.1) is the end."""
    assert generate([[A]], seed=0, do_sample=True).sequences.tolist() == [[A, C, EOS]]
    many = {"do_sample": True, "num_return_sequences": 20, "table": STAY, "max_new_tokens": 10}
    first = generate([[A]], seed=5, **many).sequences.tolist()
    assert generate([[A]], seed=np.random.default_rng(5), **many).sequences.tolist() == first
    assert generate([[A]], seed=6, **many).sequences.tolist() != first
    assert generate([[A]], **many).sequences.tolist() != generate([[A]], **many).sequences.tolist()


@pytest.mark.parametrize("seed", [-1, "x", 0.5])
def test_a_seed_that_is_none(seed):
    with pytest.raises(OptionError, match="seed must be a number from 0"):
        generate([[A]], seed=seed, do_sample=True)


def test_several_answers_of_an_input_follow_each_other():
    model = Chain()
    output = generate([[A, A], [B]], model=model, seed=0, do_sample=True, num_return_sequences=3, max_new_tokens=2)
    assert model.calls[:2] == [("prefill", [2, 1]), ("expand", 3)]
    assert output.sequences[:, :2].tolist() == [[A, A]] * 3 + [[PAD, B]] * 3
    assert len({tuple(row) for row in output.sequences.tolist()}) > 2


def test_allowed_tokens_of_several_answers_are_asked_by_input():
    asked = set()

    def allowed(index, tokens):
        asked.add((index, *tokens.tolist()))
        return [B] if index == 0 else [C]

    options = {"do_sample": True, "num_return_sequences": 2, "max_new_tokens": 2, "seed": 0}
    output = generate([[A], [A]], prefix_allowed_tokens_fn=allowed, **options)
    assert output.sequences.tolist() == [[A, B, B]] * 2 + [[A, C, C]] * 2
    assert asked == {(0, A), (0, A, B), (1, A), (1, A, C)}


def test_run_returns_the_output_and_shows_every_step():
    config = GenerationConfig(eos_token_id=EOS).resolve(1)
    steps = []
    output = run(decode(Chain(), np.array([[A]]), np.array([1]), config), steps.append)
    assert len(steps) == output.new_tokens.shape[1] == 2
