"""Encoder-decoder models: the two flat modules that are traced.

The encoder's graph ends in the keys and values of every cross-attention, so that a decoder's step never sees the
encoder's hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from .cached_attention import Crossed, HandedThrough, Recorder, Step, stepping
from .decoder import kept_logits, last_tokens, new_step, pairs


class Seq2SeqEncoder(torch.nn.Module):
    """The encoder, and the projections of its hidden states that the decoder attends to."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode.

        Args:
            input_ids: int64 ``(batch, length)``.
            attention_mask: int64 ``(batch, length)``.

        Returns:
            Cross keys and values by layer, in turn, each ``(batch, heads, length, head)``.
        """
        step = Step()
        kept = Recorder(step)
        with stepping(step):
            encoded = self.model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)
            # The decoder is run for what it projects; the rest of its work reaches no output and is dropped.
            self.model(
                attention_mask=attention_mask,
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded.last_hidden_state),
                decoder_input_ids=input_ids[:, :1],
                past_key_values=EncoderDecoderCache(HandedThrough(step), kept),
                use_cache=True,
                return_dict=True,
            )
        return tuple(tensor for layer in sorted(kept.kept) for tensor in kept.kept[layer])


class Seq2SeqDecoder(torch.nn.Module):
    """The decoder over its cache and the encoder's keys and values."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._hidden = int(model.get_encoder().config.hidden_size)

    def forward(
        self,
        input_ids: torch.Tensor,
        encoder_attention_mask: torch.Tensor,
        decoder_attention_mask: torch.Tensor,
        past_key_values: Sequence[torch.Tensor],
        encoder_key_values: Sequence[torch.Tensor],
        logits_from_last: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Decode.

        Args:
            input_ids: int64 ``(rows, length)``; the rows of an input, its beams, follow each other.
            encoder_attention_mask: int64 ``(batch, encoder length)``; rows are a multiple of the batch.
            decoder_attention_mask: int64 ``(rows, total)``, ones.
            past_key_values: keys and values by layer, in turn, each ``(rows, heads, capacity, head)``.
            encoder_key_values: cross keys and values, each ``(batch, heads, encoder length, head)``.
            logits_from_last: int64 ``(kept,)``.

        Returns:
            Logits ``(rows, kept, vocab)``, then the decoder's keys and values.
        """
        step = new_step(input_ids, decoder_attention_mask, past_key_values)
        step.encoder = pairs(encoder_key_values)
        last = last_tokens(step, step.past_length, logits_from_last)
        batch, length = encoder_attention_mask.shape
        # Never read: only its size counts, where cross keys and values are there.
        hidden = torch.zeros((batch, length, self._hidden), dtype=encoder_key_values[0].dtype)
        with stepping(step), kept_logits(self.model, last):
            result = self.model(
                attention_mask=encoder_attention_mask,
                encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
                decoder_input_ids=input_ids,
                decoder_attention_mask=decoder_attention_mask,
                past_key_values=Crossed(step),
                use_cache=True,
                return_dict=True,
            )
        return result.logits, *(tensor for layer in sorted(step.present) for tensor in step.present[layer])
