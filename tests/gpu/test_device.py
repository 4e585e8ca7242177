"""The device itself: its options, and what is said where it cannot be had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from torchless import Bundle, DeviceError, SessionError, pipeline

from .conftest import DEVICE, Bundles

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.export,
    pytest.mark.skipif(DEVICE == "cpu", reason="about the GPU itself"),
]


def options(bundle: Bundle) -> dict[str, str]:
    found: dict[str, str] = bundle.session("model")._session.get_provider_options()["CUDAExecutionProvider"]
    return found


def test_defaults(device: str, bundles: Bundles) -> None:
    found = options(Bundle.open(bundles("sentiment"), device=device))
    assert found["use_tf32"] == "0"
    assert found["arena_extend_strategy"] == "kSameAsRequested"
    assert found["cudnn_conv_algo_search"] == "HEURISTIC"


def test_every_option_is_known_to_onnxruntime(device: str, bundles: Bundles) -> None:
    given = {
        "gpu_mem_limit": 1 << 30, "arena_extend_strategy": "kNextPowerOfTwo", "cudnn_conv_algo_search": "DEFAULT",
        "cudnn_conv_use_max_workspace": False, "cudnn_conv1d_pad_to_nc1d": True, "do_copy_in_default_stream": True,
        "enable_skip_layer_norm_strict_mode": True, "fuse_conv_bias": True, "prefer_nhwc": False, "sdpa_kernel": 1,
        "tunable_op_enable": False, "tunable_op_tuning_enable": False, "tunable_op_max_tuning_duration_ms": 10,
        "use_ep_level_unified_stream": False, "use_tf32": True,
    }  # fmt: skip
    found = options(Bundle.open(bundles("sentiment"), device=device, provider_options=given))
    assert found["gpu_mem_limit"] == str(1 << 30)
    assert found["use_tf32"] == "1"


def test_a_limit_that_is_too_small(device: str, bundles: Bundles) -> None:
    bundle = Bundle.open(bundles("sentiment"), device=device, provider_options={"gpu_mem_limit": 1 << 20})
    with pytest.raises(SessionError):
        bundle.session("model").run({"input_ids": np.ones((64, 512), dtype=np.int64)})


def test_a_gpu_that_is_not_there(device: str, bundles: Bundles) -> None:
    with pytest.raises((DeviceError, SessionError)):
        Bundle.open(bundles("sentiment"), device="cuda:99").session("model")


def test_threads_share_a_pipeline(device: str, bundles: Bundles) -> None:
    classify = pipeline("text-classification", bundles("sentiment"), device=device)
    texts = [f"I {word} it, number {number}." for number in range(10) for word in ("love", "hate")]
    wanted = [classify(text)[0]["label"] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert [answer[0]["label"] for answer in pool.map(classify, texts)] == wanted
