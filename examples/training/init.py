"""An initialisation from which a small model soon learns to find the same word elsewhere."""

import math
from typing import Any

import torch
from torch import Tensor
from transformers import BartModel, BertModel, LlamaModel


@torch.no_grad()
def mimetic(bert: BertModel) -> None:
    """Give positions sinusoids, and every head keys that equal its queries (Trockman & Kolter, 2023).

    Equal words and neighbouring positions then attend to each other from the first step on.
    """
    _sinusoids(bert.embeddings.position_embeddings.weight, bert.config.initializer_range)
    layers: Any = bert.encoder.layer
    for layer in layers:
        _equal(layer.attention.self.query.weight, layer.attention.self.key.weight)


@torch.no_grad()
def mimetic_pair(bart: BartModel) -> None:
    """The same for an encoder and a decoder, whose words then attend to the equal words of the text."""
    config: Any = bart.config
    for stack in (bart.encoder, bart.decoder):
        _sinusoids(stack.embed_positions.weight, config.init_std)
        layers: Any = stack.layers
        for layer in layers:
            for attention in (layer.self_attn, getattr(layer, "encoder_attn", None)):
                if attention is not None:
                    _equal(attention.q_proj.weight, attention.k_proj.weight)


@torch.no_grad()
def mimetic_causal(llama: LlamaModel) -> None:
    """The same for a causal model with rotary positions, whose query heads share keys in groups."""
    layers: Any = llama.layers
    for layer in layers:
        query, key = layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight
        torch.nn.init.orthogonal_(key, gain=0.7)
        heads = key.unflatten(0, (llama.config.num_key_value_heads, -1))
        groups = len(query) // len(key)
        query.copy_(heads.repeat_interleave(groups, dim=0).flatten(0, 1))


def _sinusoids(position: Tensor, deviation: float) -> None:
    count, width = position.shape
    frequency = torch.exp(torch.arange(0, width, 2) / width * -math.log(10_000))
    angle = torch.arange(count)[:, None] * frequency
    scale = deviation * math.sqrt(2)
    position[:, 0::2], position[:, 1::2] = scale * angle.sin(), scale * angle.cos()


def _equal(query: Tensor, key: Tensor) -> None:
    torch.nn.init.orthogonal_(query, gain=0.7)
    key.copy_(query)


@torch.no_grad()
def cooccurrence(bert: BertModel, texts: list[list[int]]) -> None:
    """Give tokens that occur in the same texts similar vectors: the leading factors of their PPMI matrix."""
    words = bert.embeddings.word_embeddings.weight
    counts = torch.zeros(len(words), len(words))
    for ids in texts:
        row = torch.tensor(sorted(set(ids)))
        counts[row[:, None], row] += 1
    counts.fill_diagonal_(0)
    totals = counts.sum(0)
    expected = totals[:, None] * totals / counts.sum()
    ppmi = (counts / expected.clamp(min=1e-9)).clamp(min=1.0).log()
    left, strength, _ = torch.svd_lowrank(ppmi, words.shape[1], niter=4)
    vectors = left * strength.sqrt()
    vectors /= vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)
    scale = bert.config.initializer_range * math.sqrt(words.shape[1])
    words.mul_(0.5).add_(vectors * scale)


@torch.no_grad()
def filter_bank(weight: Tensor, rate: int = 16_000) -> None:
    """Let a first convolution (filters, 1, taps) over sound hear bands from the start, spaced as the ear's.

    Every band has two filters, a quarter of a wave apart.
    """
    filters, _, taps = weight.shape
    mel = torch.linspace(2595 * math.log10(1 + 80 / 700), 2595 * math.log10(1 + 0.45 * rate / 700), filters // 2)
    band = 700 * (10 ** (mel / 2595) - 1)
    angle = 2 * math.pi * band[:, None] * torch.arange(taps) / rate
    window = torch.hann_window(taps, periodic=False)
    waves = torch.stack([angle.cos(), angle.sin()], dim=1).flatten(0, 1) * window
    weight[:, 0] = waves / waves.norm(dim=1, keepdim=True)
