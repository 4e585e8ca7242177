"""A convolution of the sound whose channels are normed over time, against torch's two layers."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from torchless.export.first_convolution import normed_convolution  # noqa: E402

pytestmark = pytest.mark.export


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("batch", "samples", "offset", "size"), [(1, 400, 0, 1), (3, 48000, 0, 1), (2, 9999, 3, 0.01), (2, 2000, 0, 1e-4)]
)
def test_as_torch(batch: int, samples: int, offset: float, size: float, bias: bool) -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv1d(1, 32, 10, stride=5, bias=bias), nn.GroupNorm(32, 32)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    sound = offset + size * torch.randn(batch, 1, samples) * (1 + torch.sin(torch.arange(samples) / 500))
    with torch.no_grad():
        found = normed_convolution(sound, conv, norm)
        wanted = norm.double()(conv.double()(sound.double())).float()
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_silence() -> None:
    conv, norm = nn.Conv1d(1, 8, 10, stride=5), nn.GroupNorm(8, 8)
    nn.init.normal_(norm.bias)
    with torch.no_grad():
        found = normed_convolution(torch.zeros(1, 1, 400), conv, norm)
    torch.testing.assert_close(found, norm.bias.detach()[None, :, None].expand_as(found))
