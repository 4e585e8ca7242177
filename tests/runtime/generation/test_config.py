"""Options: defaults, what a checkpoint's files say, what a caller may ask for, and every contradiction."""

import json
import pickle

import pytest

from torchless import BundleError, OptionError
from torchless.generation import GenerationConfig
from torchless.generation.options import CHECKS, HARMLESS, UNIMPLEMENTED


def read(tmp_path, generation=None, config=None):
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    return GenerationConfig.read(tmp_path, config or {})


def test_defaults_are_those_of_transformers():
    config = GenerationConfig()
    assert (config.max_length, config.num_beams, config.do_sample, config.top_k) == (20, 1, False, 50)
    assert (config.temperature, config.top_p, config.length_penalty, config.early_stopping) == (1.0, 1.0, 1.0, False)
    assert config.eos_tokens == ()
    assert not config.given


def test_every_option_is_a_field_with_a_check():
    names = {name for name in GenerationConfig.__dataclass_fields__ if name not in ("given", "explicit", "problems")}
    assert names == set(CHECKS)
    assert not names & (set(HARMLESS) | set(UNIMPLEMENTED))


def test_values_take_their_own_types():
    config = GenerationConfig(
        temperature=2,
        eos_token_id=[3, 4],
        stop_strings="end",
        bad_words_ids=[[1, 2], [3]],
        sequence_bias=[[[1, 2], -1], [[3], 2.5]],
        exponential_decay_length_penalty=[3, 2],
        suppress_tokens=(5,),
    )
    assert repr(config.temperature) == "2.0"
    assert config.eos_tokens == (3, 4)
    assert config.stop_strings == ("end",)
    assert config.bad_words_ids == ((1, 2), (3,))
    assert config.sequence_bias == {(1, 2): -1.0, (3,): 2.5}
    assert config.exponential_decay_length_penalty == (3, 2.0)
    assert config.suppress_tokens == (5,)


def test_it_is_frozen_and_can_be_pickled():
    config = GenerationConfig(num_beams=3, temperature=0.5)
    with pytest.raises(AttributeError):
        config.num_beams = 4
    copy = pickle.loads(pickle.dumps(config))
    assert (copy, copy.given, repr(copy)) == (config, config.given, "GenerationConfig(num_beams=3, temperature=0.5)")


def test_none_is_left_out_at_first_and_meant_in_replace():
    config = GenerationConfig(eos_token_id=None, num_beams=None, max_new_tokens=5)
    assert config.given == {"max_new_tokens"}
    config = config.replace(eos_token_id=None, top_k=None, max_new_tokens=None, num_beams=None)
    assert config.given == {"eos_token_id", "top_k", "max_new_tokens"}
    assert (config.top_k, config.num_beams) == (None, 1)


def test_a_callers_options_go_before_the_checkpoints(tmp_path):
    checkpoint = read(tmp_path, {"num_beams": 4, "max_length": 60, "eos_token_id": 2, "pad_token_id": 1})
    config = checkpoint.override(GenerationConfig(num_beams=1, top_k=7)).replace(max_length=50)
    assert (config.num_beams, config.max_length, config.top_k, config.eos_token_id) == (1, 50, 7, 2)
    assert config.explicit == {"num_beams", "max_length", "top_k"}
    assert checkpoint.override(None) is checkpoint


@pytest.mark.parametrize("name", sorted(CHECKS))
@pytest.mark.parametrize("value", [object(), float("nan"), -1, "x", True, [[]], {}, [None], [-1], float("inf")])
def test_malformed_value_is_named(name, value):
    """Of every option, every value that is none of its kind."""
    good = {
        "do_sample": [True],
        "remove_invalid_values": [True],
        "renormalize_logits": [True],
        "output_scores": [True],
        "output_logits": [True],
        "early_stopping": [True],
        "stop_strings": ["x"],
        "length_penalty": [-1],
    }
    if value in good.get(name, ()):
        assert getattr(GenerationConfig(**{name: value}), name) in (value, (value,))
    elif name in ("suppress_tokens", "begin_suppress_tokens") and value == {}:
        assert CHECKS[name](name, []) == ()
    else:
        with pytest.raises(OptionError, match=name):
            GenerationConfig(**{name: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be an integer of at least 1, not 0"),
        ({"max_length": 2.5}, "max_length must be an integer"),
        ({"temperature": 0}, r"temperature must be a finite number in \(0, inf\], not 0"),
        ({"top_p": 1.2}, r"top_p must be a finite number in \[0, 1\]"),
        ({"typical_p": 0}, "typical_p"),
        ({"epsilon_cutoff": 1}, r"\[0, 1\)"),
        ({"early_stopping": "always"}, "True, False or 'never'"),
        ({"eos_token_id": []}, "must name a token"),
        ({"bad_words_ids": [[1], []]}, "no empty list"),
        ({"sequence_bias": {(1,): "much"}}, "sequence_bias"),
        ({"sequence_bias": [[[1], float("nan")]]}, "sequence_bias"),
        ({"stop_strings": ["a", ""]}, "none empty"),
        ({"exponential_decay_length_penalty": (1,)}, r"\(start, factor\)"),
    ],
)
def test_value_out_of_range(options, message):
    with pytest.raises(OptionError, match=message):
        GenerationConfig().replace(**options)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("max_newtokens", "max_new_tokens"), ("num_beam", "num_beams"), ("topk", "top_k"), ("zzz", None)],
)
def test_unknown_option_suggests_close_ones(name, suggested):
    for make in (GenerationConfig, GenerationConfig().replace):
        with pytest.raises(OptionError, match=f"no generation option '{name}'") as caught:
            make(**{name: 1})
        assert (f"did you mean {suggested}" in str(caught.value)) == (suggested is not None)


@pytest.mark.parametrize("name", sorted(UNIMPLEMENTED))
def test_option_that_is_not_implemented(name):
    neutral, reason = UNIMPLEMENTED[name]
    for value in neutral:
        assert GenerationConfig().replace(**{name: value}) == GenerationConfig()
    with pytest.raises(OptionError, match=f"{name}=3 is not implemented"):
        GenerationConfig().replace(**{name: 3})
    assert reason.startswith("is not implemented")


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_option_that_changes_no_token(name):
    for value in HARMLESS[name]:
        assert GenerationConfig().replace(**{name: value}).given == frozenset()
    with pytest.raises(OptionError, match=f"{name}='x' has no meaning here"):
        GenerationConfig().replace(**{name: "x"})


def test_checkpoints_own_file(tmp_path):
    config = read(
        tmp_path,
        {
            "num_beams": 4,
            "eos_token_id": [2, 3],
            "pad_token_id": -1,
            "max_length": None,
            "transformers_version": "4.2",
            "use_cache": False,
            "num_beam_groups": 1,
            "someone_elses": 5,
        },
        {"num_beams": 9, "no_repeat_ngram_size": 3},
    )
    assert config.given == {"num_beams", "eos_token_id"}
    assert config.explicit == frozenset()
    assert (config.num_beams, config.eos_tokens, config.no_repeat_ngram_size) == (4, (2, 3), 0)
    config.resolve(5)


def test_options_in_config_json_count_without_the_file(tmp_path):
    legacy = {
        "num_beams": 4,
        "bos_token_id": 0,
        "no_repeat_ngram_size": 3,
        "hidden_size": 8,
        "num_beam_groups": 1,
        "force_bos_token_to_be_generated": True,
        "text_config": {"num_beams": 2, "eos_token_id": 7},
    }
    config = read(tmp_path, None, legacy)
    assert (config.num_beams, config.no_repeat_ngram_size, config.eos_token_id) == (4, 3, 7)
    assert config.forced_bos_token_id == 0


def test_checkpoints_wish_that_cannot_be_met(tmp_path):
    config = read(tmp_path, {"num_beam_groups": 4, "num_beams": 4})
    with pytest.raises(OptionError, match=r"the checkpoint's .*num_beam_groups=4 is not implemented"):
        config.resolve(5)
    assert config.replace(num_beam_groups=1).resolve(5).num_beams == 4


def test_checkpoints_malformed_filter_counts_in_sampling_only(tmp_path):
    config = read(tmp_path, {"temperature": 0.0})
    assert config.resolve(5).temperature == 1
    with pytest.raises(OptionError, match="temperature must be"):
        config.replace(do_sample=True).resolve(5)
    assert config.replace(do_sample=True, temperature=0.5).resolve(5).temperature == 0.5
    assert config.override(GenerationConfig(do_sample=True, temperature=0.5)).resolve(5).temperature == 0.5


def test_file_that_is_no_object(tmp_path):
    with pytest.raises(BundleError, match=r"generation_config\.json"):
        read(tmp_path, [1])


@pytest.mark.parametrize(
    ("options", "limit", "expected"),
    [
        ({}, None, (27, 0)),
        ({}, 100, (27, 0)),
        ({}, 12, (12, 0)),
        ({"max_length": 30}, 12, (30, 0)),
        ({"max_new_tokens": 3}, 8, (10, 0)),
        ({"max_length": 30, "max_new_tokens": 4}, None, (11, 0)),
        ({"max_new_tokens": 9, "min_new_tokens": 2, "min_length": 15}, None, (16, 9)),
        ({"max_new_tokens": 9, "min_length": 15}, None, (16, 15)),
    ],
)
def test_lengths_of_a_request(options, limit, expected):
    resolved = GenerationConfig(**options).resolve(7, position_limit=limit)
    assert (resolved.max_length, resolved.min_length) == expected


def test_padding_is_the_first_end():
    assert GenerationConfig(eos_token_id=[4, 5]).resolve(1).pad_token_id == 4
    assert GenerationConfig(eos_token_id=4, pad_token_id=0).resolve(1).pad_token_id == 0
    assert GenerationConfig().resolve(1).pad_token_id is None


CONTRADICTIONS = [
    ({"max_length": 7}, "max_length=7 leaves no room after 7 tokens"),
    ({"min_length": 12, "max_length": 10}, "min_length=12 wants 12 tokens, more than the 10"),
    ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens=5 wants 12 tokens, more than the 11"),
    ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences=3 is more than num_beams=2"),
    ({"num_return_sequences": 2}, "num_return_sequences=2 needs do_sample=True or num_beams > 1"),
    *(
        ({name: value}, f"{name}={value!r} has no effect without do_sample=True")
        for name, value in {
            "temperature": 0.7,
            "top_k": 5,
            "top_p": 0.9,
            "min_p": 0.1,
            "top_h": 0.4,
            "typical_p": 0.9,
            "epsilon_cutoff": 0.01,
            "eta_cutoff": 0.01,
        }.items()
    ),
    ({"length_penalty": 2.0}, r"length_penalty=2\.0 has no effect without num_beams > 1"),
    ({"early_stopping": True}, "early_stopping=True has no effect without num_beams > 1"),
    ({"prompt_lookup_num_tokens": 3, "num_beams": 2}, "not for num_beams=2"),
    ({"prompt_lookup_num_tokens": 3, "do_sample": True}, "not for do_sample=True"),
    ({"stop_strings": "end"}, "stop_strings=.* need a tokenizer"),
    ({"exponential_decay_length_penalty": (1, 1.1)}, "needs an eos_token_id"),
    ({"forced_eos_token_id": [3, 4], "suppress_tokens": [3, 4, 5]}, "forced and suppressed"),
    ({"forced_bos_token_id": 3, "suppress_tokens": [3]}, "forced and suppressed"),
]


@pytest.mark.parametrize(("options", "message"), CONTRADICTIONS)
def test_contradiction(options, message):
    with pytest.raises(OptionError, match=message):
        GenerationConfig().replace(**options).resolve(7)


def test_prompt_lookup_of_a_batch():
    config = GenerationConfig(prompt_lookup_num_tokens=3)
    config.resolve(7, rows=1)
    with pytest.raises(OptionError, match="not for a batch of 2"):
        config.resolve(7, rows=2)


def test_default_length_that_the_prompt_fills():
    with pytest.raises(OptionError, match="max_length=7 leaves no room"):
        GenerationConfig().resolve(7, position_limit=7)


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"temperature": 0.7, "top_p": 0.9, "top_k": 5},
        {"length_penalty": 2.0, "early_stopping": True},
        {"min_length": 56},
        {"min_new_tokens": 50},
    ],
)
def test_checkpoints_defaults_that_do_not_apply_are_idle(tmp_path, checkpoint):
    assert read(tmp_path, checkpoint).replace(max_new_tokens=5).resolve(7).max_length == 12


@pytest.mark.parametrize("options", [{"temperature": 1.0}, {"top_k": 50}, {"top_k": 0}, {"length_penalty": 1.0}])
def test_neutral_values_contradict_nothing(options):
    GenerationConfig().replace(**options).resolve(7)
