"""Clips cut into chunks: what is context and what is written down."""

from __future__ import annotations

import numpy as np
import pytest

from torchless.errors import InputError, OptionError
from torchless.speech.chunks import ChunkSizes, Clip, chunk_sizes, cut, kept_frames


def clip(samples: int, stride=None) -> Clip:
    return Clip(np.arange(samples, dtype=np.float32), stride)


def test_sizes_are_whole_frames() -> None:
    assert chunk_sizes(10, 2, 16000, align_to=320) == ChunkSizes(160000, 32000, 32000)
    assert chunk_sizes(1.01, (0.1, 0.33), 16000, align_to=320) == ChunkSizes(16000, 1600, 5120)  # 50.5 and 16.5 frames
    assert chunk_sizes(30, None, 16000) == ChunkSizes(480000, 80000, 80000)
    assert chunk_sizes(6, [1, 0], 100) == ChunkSizes(600, 100, 0)


@pytest.mark.parametrize("stride", [5, (10, 0), (4, 7), 6])
def test_strides_that_leave_nothing_of_a_chunk_are_refused(stride) -> None:
    with pytest.raises(OptionError, match="chunk_length_s must exceed the strides"):
        chunk_sizes(10, stride, 16000, align_to=320)


def test_a_chunk_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(OptionError, match="chunk_length_s"):
        chunk_sizes(0.001, 0, 16000, align_to=320)


@pytest.mark.parametrize("samples", [1, 99, 100, 101, 159, 160, 161, 1000])
@pytest.mark.parametrize("sizes", [(100, 20, 20), (100, 0, 20), (100, 30, 0), (100, 0, 0), (7, 3, 3)])
def test_every_sample_is_written_down_once(samples: int, sizes: tuple[int, int, int]) -> None:
    kept = []
    chunks = list(cut(clip(samples), ChunkSizes(*sizes)))
    for chunk in chunks:
        left, right = chunk.stride
        kept += chunk.samples[left : len(chunk.samples) - right].tolist()
        assert len(chunk.samples) <= sizes[0]
    assert kept == list(range(samples))
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_chunks_are_views() -> None:
    whole = clip(1000)
    assert all(np.shares_memory(chunk.samples, whole.samples) for chunk in cut(whole, ChunkSizes(100, 20, 20)))


def test_a_clip_that_is_not_cut() -> None:
    (chunk,) = cut(clip(50), None)
    assert (len(chunk.samples), chunk.stride, chunk.last) == (50, None, True)
    (chunk,) = cut(clip(50, (10, 5)), None)
    assert (len(chunk.samples), chunk.stride, chunk.last) == (50, (10, 5), True)


@pytest.mark.parametrize("stride", [(-1, 0), (0, 51), (26, 25), (1, 2, 3)])
def test_a_stride_beyond_its_clip_is_refused(stride) -> None:
    with pytest.raises(InputError, match="within the 50 samples"):
        list(cut(clip(50, stride), None))


def test_a_clip_with_a_stride_is_not_cut_again() -> None:
    with pytest.raises(InputError, match="leave chunk_length_s out"):
        list(cut(clip(50, (1, 1)), ChunkSizes(20, 2, 2)))


def test_frames_that_are_kept() -> None:
    assert kept_frames(160000, (0, 0), 320) == slice(0, 500)
    assert kept_frames(160000, (16000, 32000), 320) == slice(50, 400)
    assert kept_frames(100, (50, 50), 320) == slice(0, 0)
