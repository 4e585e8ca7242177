"""Tiny random models of torch, and the loops of torchless over them: nothing is exported, only decoding is compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from torchless.generation import GenerationConfig, GenerationOutput, Step, decode, run

VOCABULARY = 120
PAD, EOS = 3, 2

_CONFIGS: dict[str, Any] = {
    "gpt2": transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=96, bos_token_id=1, eos_token_id=2
    ),
    "llama": transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
    ),
    "bart": transformers.BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=96,
        tie_word_embeddings=False,
    ),
    "t5": transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, tie_word_embeddings=False
    ),
}
DECODER_ONLY = ("gpt2", "llama")
ENCODER_DECODER = ("bart", "t5")


@cache
def model(kind: str, seed: int = 0) -> Any:
    """A random model whose logits are far from ties."""
    torch.manual_seed(seed)
    config = _CONFIGS[kind]
    made = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    built = made.from_config(config).eval()
    built.lm_head.weight = torch.nn.Parameter(torch.empty_like(built.lm_head.weight))  # tied, a word repeats itself
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if parameter.dim() > 1:
                # What a decoder attends to counts less than its last word, or it would say one word for ever.
                attended = "out_proj" in name or "EncDecAttention.o" in name
                words = built.config.is_encoder_decoder and ("shared" in name or "embed" in name)
                parameter.normal_(0, 0.12 if attended else 1.0 if words else 0.35)
    built.generation_config = transformers.GenerationConfig(
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=1,
        decoder_start_token_id=PAD if config.is_encoder_decoder else None,
    )
    return built


def prompts(rows: int, seed: int = 0, shortest: int = 4, longest: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """Ragged rows of tokens, padded on the left, and their mask."""
    random = np.random.default_rng(seed)
    lengths = [longest, *random.integers(shortest, longest, rows - 1)]
    ids = torch.full((rows, longest), PAD)
    mask = torch.zeros((rows, longest), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, longest - length :] = torch.tensor(random.integers(5, VOCABULARY, length))
        mask[row, longest - length :] = 1
    return ids, mask


class TorchDecoder:
    """The protocol of the loops on a torch model that reads everything anew with each token."""

    def __init__(self, model: Any, encoder_ids: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> None:
        self.model, self.calls = model, 0
        self.encoded, self.mask = None, mask
        if encoder_ids is not None:
            self.encoded = model.get_encoder()(input_ids=encoder_ids, attention_mask=mask).last_hidden_state

    def prefill(self, tokens: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
        self.rows = [tokens[row, :length].tolist() for row, length in enumerate(lengths)]
        return self._logits(1)[:, 0]

    def step(self, tokens: NDArray[Any]) -> NDArray[Any]:
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        return self._logits(1)[:, 0]

    def extend(self, tokens: NDArray[Any]) -> NDArray[Any]:
        self.rows[0] += tokens.tolist()
        return self._logits(len(tokens))[0]

    def rewind(self, count: int) -> None:
        del self.rows[0][-count:]

    def expand(self, copies: int) -> None:
        self.rows = [list(row) for row in self.rows for _ in range(copies)]
        if self.encoded is not None:
            self.encoded, self.mask = (part.repeat_interleave(copies, 0) for part in (self.encoded, self.mask))

    def reorder(self, parents: NDArray[Any]) -> None:
        self.rows = [list(self.rows[parent]) for parent in parents.tolist()]

    @torch.no_grad()
    def _logits(self, last: int) -> NDArray[Any]:
        self.calls += 1
        longest = max(map(len, self.rows))
        ids = torch.tensor([[PAD] * (longest - len(row)) + row for row in self.rows])
        if self.encoded is not None:
            encoded = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=self.encoded)
            output = self.model(
                encoder_outputs=encoded, attention_mask=self.mask, decoder_input_ids=ids, use_cache=False
            )
        else:
            mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in self.rows])
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            output = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
        return output.logits[:, -last:].numpy().copy()


def generated(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    folder: Path,
    *,
    seed: Any = None,
    start: Any = None,
    each: Callable[[Step], None] | None = None,
    **options: Any,
) -> GenerationOutput:
    """What the loops of torchless give for a checkpoint's options, read from its file, and the caller's."""
    arguments = {
        name: options.pop(name)
        for name in ("logits_processors", "prefix_allowed_tokens_fn", "stopping", "tokenizer")
        if name in options
    }
    model.generation_config.save_pretrained(folder)
    config = GenerationConfig.read(folder, json.loads((folder / "generation_config.json").read_text()))
    config = config.replace(**options)
    encoder_tokens = None
    if model.config.is_encoder_decoder:
        decoder = TorchDecoder(model, ids, mask)
        encoder_tokens = np.where(mask.numpy() == 0, -1, ids.numpy())
        first = np.full((len(ids), 1), config.decoder_start_token_id)
        tokens = first if start is None else np.concatenate((first, start), axis=1)
        lengths = np.full(len(tokens), tokens.shape[1])
    else:
        decoder = TorchDecoder(model)
        lengths = mask.sum(1).numpy()
        tokens = np.full(ids.shape, PAD)
        for row, length in enumerate(lengths):
            tokens[row, :length] = ids[row, ids.shape[1] - length :]
    resolved = config.resolve(
        tokens.shape[1],
        rows=len(ids),
        position_limit=getattr(model.config, "max_position_embeddings", None),
        tokenizer="tokenizer" in arguments,
    )
    steps = decode(decoder, tokens, lengths, resolved, encoder_tokens=encoder_tokens, seed=seed, **arguments)
    return run(steps, each)


def reference(model: Any, ids: torch.Tensor, mask: torch.Tensor, **options: Any) -> Any:
    """What transformers' own ``generate`` gives."""
    return model.generate(
        ids, attention_mask=mask, return_dict_in_generate=True, output_scores=True, output_logits=True, **options
    )
