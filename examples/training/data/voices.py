"""Speech that espeak-ng makes, and what rooms and microphones do to it."""

from __future__ import annotations

import io
import subprocess
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .names import Split


Clip = NDArray[np.float32]

RATE = 16_000
ACCENTS = {
    "train": ("en-us", "en-us", "en-gb", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbcwmd"),
    "test": ("en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan"),
}
VARIANTS = {
    "train": "m1 m2 m3 m5 m6 m8 f1 f2 f4 f5 adam Alex Alicia Andy Annie aunty belinda boris caleb Denis ed edward Gene "
    "gustave Henrique iven iven2 Jacky john kaukovalta Lee marcelo Mario michael miguel Mr Nguyen paul quincy "
    "RicishayMax rob robosoft3 sandro steph steph2 Tweaky victor anika grandpa klatt2 klatt4 norbert".split(),
    "test": "m4 m7 f3 Andrea antonio benjamin david Diogo Hugo iven3 linda Marco Max Mike Pablo robert shelby Storm "
    "travis Zac grandma klatt3".split(),
}
# Words a minute, and espeak-ng's pitch: training takes the even multiples, the held-out voices those between.
SPEEDS = {"train": range(110, 211, 20), "test": range(120, 201, 20)}
PITCHES = {"train": range(10, 91, 20), "test": range(20, 81, 20)}


class Voice(NamedTuple):
    """Who speaks, and how."""

    name: str
    speed: int
    pitch: int
    stretch: float  # the sampling rate is changed by this factor: a longer or shorter throat


def voice(rng: Random, split: Split) -> Voice:
    """A voice of a split."""
    name = f"{rng.choice(ACCENTS[split])}+{rng.choice(VARIANTS[split])}"
    return Voice(name, rng.choice(SPEEDS[split]), rng.choice(PITCHES[split]), rng.uniform(0.88, 1.14))


def say(text: str, how: Voice) -> Clip:
    """The text spoken, (samples,) at 16 kHz, without the silence around it.

    Raises:
        FileNotFoundError: espeak-ng is not installed.
        subprocess.CalledProcessError: espeak-ng does not know the voice.
    """
    command = ["espeak-ng", "-v", how.name, "-s", str(how.speed), "-p", str(how.pitch), "--stdout", "--", text]
    wave = subprocess.run(command, check=True, capture_output=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wave), dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    resampled: Clip = soxr.resample(samples, rate * how.stretch, RATE, quality="MQ")
    return resampled


def silence(rng: Random, samples: int) -> Clip:
    """Noise of a random colour, of amplitude 1: white, pink, brown, or the hum of the mains; with 1 in 10, nothing."""
    generator = np.random.default_rng(rng.getrandbits(32))
    kind = rng.random()
    if kind < 0.1:
        return np.zeros(samples, np.float32)
    if kind < 0.2:
        time = np.arange(samples) / RATE
        base = rng.choice([50, 60])
        tones = [np.sin(2 * np.pi * base * k * time + generator.uniform(0, 6)) / k for k in range(1, 6)]
        noise = np.sum(tones, axis=0)
    else:
        spectrum = np.fft.rfft(generator.standard_normal(samples))
        noise = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 4) ** rng.uniform(0, 1), samples)
    scaled: Clip = (noise / max(float(np.abs(noise).max()), 1e-9)).astype(np.float32)
    return scaled


def record(rng: Random, clip: Clip, before: int, after: int) -> Clip:
    """The clip as a microphone gives it: silence around it, an echo, a tilted spectrum, noise, and any loudness."""
    sound = np.concatenate([np.zeros(before, np.float32), clip, np.zeros(after, np.float32)])
    if rng.random() < 0.3:
        delay, share = rng.randrange(80, 1600), rng.uniform(0.05, 0.35)
        sound[delay:] += share * sound[:-delay].copy()
    if rng.random() < 0.5:
        tilt = rng.uniform(-0.6, 0.6)
        sound[1:] += tilt * sound[:-1].copy()
    loudness = float(np.abs(sound).max()) or 1.0
    sound = sound / loudness + 10 ** (-rng.uniform(10, 50) / 20) * silence(rng, len(sound))
    return (rng.uniform(0.05, 0.9) * sound / max(float(np.abs(sound).max()), 1e-9)).astype(np.float32)
