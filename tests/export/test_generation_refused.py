"""Checkpoints that cannot be exported for generation: one clear error each, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from tests.export import models
from tests.export.tiny import TinyModels
from torchless import ExportError, OptionError, VerificationError
from torchless.export import export

pytestmark = pytest.mark.export

_SIZES: dict[str, Any] = {"vocab_size": models.VOCABULARY, "hidden_size": 32}
_GPT = {"vocab_size": models.VOCABULARY, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64}
# Attention that is called by other ways than the registry, or is none over keys and values.
OTHERS: dict[str, dict[str, Any]] = {
    "bloom": {**_SIZES, "n_layer": 1, "n_head": 4},
    "gptj": {**_GPT, "rotary_dim": 4},
    "xlnet": {"vocab_size": models.VOCABULARY, "d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 64},
    "mamba": {**_SIZES, "num_hidden_layers": 1, "state_size": 8},
    "reformer": {
        **_SIZES,
        "attn_layers": ["local"],
        "num_attention_heads": 4,
        "attention_head_size": 8,
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 8],
        "is_decoder": True,
        "feed_forward_size": 64,
        "local_attn_chunk_length": 8,
    },
}


def refused(source: Path, kind: type[Exception], message: str, **options: Any) -> None:
    """The export fails as said, and the folder where the bundle was to be is as it was."""
    output = source.parent / "new" / "bundle"
    before = sorted(source.parent.iterdir())
    with pytest.raises(kind, match=message) as caught:
        export(source, output, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert sorted(source.parent.iterdir()) == before


@pytest.mark.parametrize("model_type", OTHERS)
def test_no_cache_of_keys_and_values(tmp_path: Path, model_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.ARCHITECTURES, model_type, OTHERS[model_type])
    source = models.generating(tmp_path / "checkpoint", model_type)
    refused(source, ExportError, "does not attend through transformers' attention interface", task="text-generation")


def test_an_attention_that_wants_its_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {**_SIZES, "num_hidden_layers": 1, "num_attention_heads": 4}
    monkeypatch.setitem(models.ARCHITECTURES, "falcon", sizes)
    source = models.generating(tmp_path / "checkpoint", "falcon")
    refused(source, ExportError, "FalconForCausalLM cannot be given a cache: unsupported operand")


def test_traced_attention(tiny: TinyModels, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").symlink_to(tiny.checkpoint("gpt2"))
    refused(tmp_path / "checkpoint", OptionError, "attention='fused' is the only choice", attention="traced")


def test_heads_of_a_size_that_the_operator_lacks(tmp_path: Path) -> None:
    source = models.generating(tmp_path / "checkpoint", "gpt2", n_embd=20)
    refused(source, ExportError, "torch cannot export GPT2LMHeadModel: .*heads of 4 numbers.*a multiple of 8")


def test_angles_that_change_as_a_text_grows(tmp_path: Path) -> None:
    scaling = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    source = models.generating(tmp_path / "checkpoint", "llama", rope_parameters=scaling)
    refused(source, ExportError, "LlamaForCausalLM has rope scaling 'dynamic'")


@pytest.mark.parametrize(
    ("model_type", "base", "task", "message"),
    [
        ("llama", "LlamaModel", "text-generation", r"no weights for lm_head\.weight of LlamaForCausalLM.*LlamaModel"),
        ("t5", "T5EncoderModel", "summarization", r"no weights for decoder\..*'text2text-generation'"),
    ],
)
def test_weights_are_missing(tmp_path: Path, model_type: str, base: str, task: str, message: str) -> None:
    whole = models.generating(tmp_path / "checkpoint", model_type)
    getattr(transformers, base).from_pretrained(whole).save_pretrained(tmp_path / "checkpoint")
    refused(tmp_path / "checkpoint", ExportError, message, task=task)


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("bart", "text-generation", "bart is an encoder-decoder architecture.*'text-generation'"),
        ("t5", "next-token", "t5 is an encoder-decoder architecture.*'text-generation'"),
        ("gpt2", "summarization", "'gpt2' does not serve task 'text2text-generation'"),
        ("llama", "translation_en_to_de", "'llama' does not serve task 'text2text-generation'"),
    ],
)
def test_task_of_the_other_kind(tiny: TinyModels, tmp_path: Path, name: str, task: str, message: str) -> None:
    (tmp_path / "checkpoint").symlink_to(tiny.checkpoint(name))
    refused(tmp_path / "checkpoint", ExportError, message, task=task)


@pytest.mark.parametrize(
    ("model_type", "message"),
    [("distilbert", "does not serve task 'text-generation'"), ("bert", "attends to what follows it.*is_decoder")],
)
def test_an_encoder(tmp_path: Path, model_type: str, message: str) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", model_type, "fill-mask")
    refused(source, ExportError, message, task="text-generation")


def test_a_graph_that_disagrees_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is forgotten shows only in the steps that leave it."""
    from torchless.export import cached_attention

    attend = cached_attention._self_attention
    monkeypatch.setattr(
        cached_attention,
        "_self_attention",
        lambda *arguments: attend(*arguments[:-1], {**arguments[-1], "sliding_window": None}),
    )
    source = models.generating(tmp_path / "checkpoint", "mistral", sliding_window=25)
    refused(source, VerificationError, "logits differs? from torch by up to .* in step [34]")


def test_beams_that_are_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.generation.cache import Buffers

    monkeypatch.setattr(Buffers, "take_over", lambda *arguments: None)
    source = models.generating(tmp_path / "checkpoint", "gpt2", n_layer=1)
    refused(source, VerificationError, "among beams")


def test_no_start_token_is_no_obstacle(tmp_path: Path) -> None:
    """The export begins with any token; who generates is told what is missing."""
    source = models.generating(tmp_path / "checkpoint", "mbart", decoder_start_token_id=None, bos_token_id=None)
    bundle = export(source, tmp_path / "bundle")
    assert "decoder_start_token_id" not in json.loads((bundle / "generation_config.json").read_text())
