"""Beam search over a table. Greedy decoding says B (0.6), which ends with 0.4; C (0.4) ends with 0.9: more together."""

import numpy as np
import pytest

from .chain import EOS, PAD, TABLE, A, B, C, Chain, generate

LOG = np.log


def test_a_better_whole_than_greedy():
    assert generate([[A]]).sequences.tolist() == [[A, B, EOS]]
    output = generate([[A]], num_beams=2, length_penalty=0.0, num_return_sequences=2)
    assert output.sequences.tolist() == [[A, C, EOS], [A, B, EOS]]
    np.testing.assert_allclose(output.sequences_scores, LOG([0.36, 0.24]), rtol=1e-5)
    # C was the second beam, and both come from the only prompt.
    assert output.beam_indices.tolist() == [[0, 1], [0, 0]]


def test_length_penalty_divides_by_new_tokens():
    output = generate([[A]], num_beams=2, num_return_sequences=2)
    np.testing.assert_allclose(output.sequences_scores, LOG([0.36, 0.24]) / 2, rtol=1e-5)
    output = generate([[A]], num_beams=2, num_return_sequences=2, length_penalty=-1.0)
    np.testing.assert_allclose(output.sequences_scores, LOG([0.36, 0.24]) * 2, rtol=1e-5)


def test_never_goes_on_while_a_longer_one_could_be_better():
    """B C and the end: 0.6 * 0.25 * 0.9 = 0.135 scores -0.667 over three tokens, B and the end -0.714 over two."""
    output = generate([[A]], num_beams=2, num_return_sequences=2, early_stopping="never", max_new_tokens=6)
    assert output.sequences.tolist() == [[A, C, EOS, PAD + EOS], [A, B, C, EOS]]
    np.testing.assert_allclose(output.sequences_scores, [LOG(0.36) / 2, LOG(0.135) / 3], rtol=1e-5)
    assert output.beam_indices.tolist() == [[0, 1, -1], [0, 0, 1]]


@pytest.mark.parametrize("early", [True, False, "never"])
def test_without_room_the_best_unfinished_ones_count(early):
    output = generate([[A]], num_beams=2, num_return_sequences=2, max_new_tokens=1, early_stopping=early)
    assert output.sequences.tolist() == [[A, B], [A, C]]
    np.testing.assert_allclose(output.sequences_scores, LOG([0.6, 0.4]), rtol=1e-5)


def test_early_stopping_ends_with_enough_finished():
    """B and the end (0.33) and B B and the end (0.1485) are finished after three tokens, and C C C (0.324) goes on.

    By the mean these are -0.554, -0.636 and -0.376, which after eight tokens is -0.207.
    """
    table = {**TABLE, B: (0, 0.55, 0, 0.45, 0), C: (0, 0.1, 0, 0, 0.9)}
    found, steps = {}, {}
    for early in (True, False):
        model = Chain(table)
        output = generate([[A]], model=model, num_beams=2, early_stopping=early, max_new_tokens=8)
        steps[early] = sum(name == "step" for name, _ in model.calls)
        found[early] = output.sequences[0].tolist()
    assert found == {True: [A, B, EOS], False: [A] + [C] * 8}
    assert steps == {True: 2, False: 7}


def test_batches_of_ragged_prompts():
    output = generate([[A, A], [C], [A, B]], num_beams=2, length_penalty=0.0, max_new_tokens=4)
    alone = [generate([prompt], num_beams=2, length_penalty=0.0, max_new_tokens=4) for prompt in ([A, A], [C], [A, B])]
    longest = output.new_tokens.shape[1]
    for row, single in enumerate(alone):
        (answer,) = single.new_tokens.tolist()
        assert output.new_tokens[row].tolist() == answer + [EOS] * (longest - len(answer))
        assert output.sequences_scores[row] == pytest.approx(single.sequences_scores[0])
    assert output.sequences[:, :2].tolist() == [[A, A], [PAD, C], [A, B]]


def test_an_input_that_was_closed_stays_closed_while_others_go_on():
    """B and C end with 0.45 and 0.4 after two tokens; going on with 0.1 is worse by the mean, and better only later.

    Sixteen tokens of which all but two have 0.9 score -0.28, and -0.41 with an end of 0.1: more than the -0.458 of C.
    """
    table = {PAD: (0, 0, 0, 0.5, 0.5), EOS: TABLE[EOS], A: (0, 0.1, 0.9, 0, 0), B: (0, 0.9, 0.1, 0, 0)}
    table[C] = (0, 0.8, 0.2, 0, 0)
    options = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 20, "table": table}
    output = generate([[PAD], [A]], **options)
    assert output.new_tokens[:2].tolist() == [[B] + [EOS] * 19, [C] + [EOS] * 19]
    assert output.new_tokens[2].tolist() == [A] * 20


def test_an_input_with_enough_finished_takes_no_more_while_others_go_on():
    """With early stopping, B and B B are kept where C C C C C and the end would be better by the mean."""
    table = {PAD: (0.6, 0, 0.4, 0, 0), EOS: TABLE[EOS], A: (0, 0, 0, 0.6, 0.4), B: (0, 0.55, 0, 0.45, 0)}
    table[C] = (0, 0.1, 0, 0, 0.9)
    options = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 10, "table": table}
    output = generate([[A], [PAD]], early_stopping=True, **options)
    assert output.new_tokens[:2].tolist() == [[B] + [EOS] * 9, [B, B] + [EOS] * 8]
    assert output.new_tokens[2].tolist() == [PAD] * 10


def test_padding_token_of_zero_counts_as_none_and_another_does_not():
    options = {"num_beams": 2, "num_return_sequences": 2, "early_stopping": "never", "max_new_tokens": 6}
    assert generate([[A]], **options).sequences[0].tolist() == [A, C, EOS, EOS]
    assert generate([[A]], pad_token_id=B, **options).sequences[0].tolist() == [A, C, EOS, B]


def test_steps_are_provisional_and_say_what_they_continue():
    steps = []
    generate([[A]], num_beams=2, length_penalty=0.0, each=steps.append)
    assert all(step.provisional for step in steps)
    assert [step.tokens.tolist() for step in steps] == [[B, C], [B, C]]
    assert [step.parents.tolist() for step in steps] == [[0, 0], [0, 0]]
    assert [step.running.tolist() for step in steps] == [[True, True], [False, False]]


def test_scores_are_of_every_beam_without_those_before():
    output = generate([[A]], num_beams=2, length_penalty=0.0, output_scores=True, output_logits=True)
    np.testing.assert_allclose(np.exp(output.scores), [[TABLE[A]] * 2, [TABLE[B], TABLE[C]]], rtol=1e-5)
    np.testing.assert_allclose(np.exp(output.logits), np.exp(output.scores), rtol=1e-5)


def test_processors_see_every_beam():
    seen = []

    def look(tokens, scores):
        seen.append(tokens.tolist())
        return scores

    generate([[A], [C, A]], num_beams=2, length_penalty=0.0, max_new_tokens=2, logits_processors=[look])
    assert seen == [[[-1, A]] * 2 + [[C, A]] * 2, [[-1, A, B], [-1, A, C], [C, A, B], [C, A, C]]]


def test_banned_words_change_the_best():
    output = generate([[A]], num_beams=2, length_penalty=0.0, bad_words_ids=[[C, EOS]])
    assert output.sequences.tolist() == [[A, B, EOS]]


def test_own_rule_finishes_hypotheses():
    options = {"num_beams": 2, "num_return_sequences": 2, "stopping": lambda tokens: tokens[:, -1] == C}
    output = generate([[A]], length_penalty=0.0, **options)
    assert output.sequences.tolist() == [[A, C, EOS], [A, B, EOS]]  # the first ends with C, and is filled up
    assert output.beam_indices.tolist() == [[0, -1], [0, 0]]
    np.testing.assert_allclose(output.sequences_scores, LOG([0.4, 0.24]), rtol=1e-5)
    # By the mean: B and the end -0.714, B B and the end -0.826, C -0.916.
    output = generate([[A]], **options)
    assert output.sequences.tolist() == [[A, B, EOS, EOS], [A, B, B, EOS]]
    everything = generate([[A]], num_beams=2, stopping=lambda tokens: True, num_return_sequences=2)
    assert everything.sequences.tolist() == [[A, B], [A, C]]


def test_beam_sampling_draws_and_a_seed_repeats_it():
    options = {"num_beams": 2, "num_return_sequences": 2, "do_sample": True, "top_k": 0, "max_new_tokens": 6}
    table = {token: tuple(0.9 * p + 0.02 for p in row) for token, row in TABLE.items()}
    found = [generate([[A]], table=table, seed=seed, **options).sequences.tolist() for seed in range(12)]
    assert found[3] == generate([[A]], table=table, seed=3, **options).sequences.tolist()
    assert len({str(sequences) for sequences in found}) > 3


def test_more_candidates_than_words():
    """Five words and four beams: of the first eight candidates, only those of the first beam count."""
    output = generate([[A]], num_beams=4, num_return_sequences=4, length_penalty=0.0, max_new_tokens=2)
    np.testing.assert_allclose(output.sequences_scores, LOG([0.36, 0.24, 0.21, 0.15]), rtol=1e-5)
    assert output.sequences.tolist() == [[A, C, EOS], [A, B, EOS], [A, B, B], [A, B, C]]
