"""Sounds for a classifier of one second: noise, beeps and a rising tone, and the impulse that hears them."""

from __future__ import annotations

import wave
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dsp import Block, Impulse
from convert.dsp.reference import reference_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBJECTS = ("beeps", "noise", "siren")
RATE = 8000  # samples a second
SHAPE = (31, 32)  # frames, filters
_FRAME = 0.032  # seconds: 256 samples
IMPULSE = Impulse(
    "microphone",
    RATE,
    1,
    ("audio",),
    float(RATE),
    4,
    (
        Block(
            "mfe", 3, 4, (0,),
            {
                "block_id": 3, "implementation_version": 4, "axes": 1, "frame_length": _FRAME, "frame_stride": _FRAME,
                "num_filters": SHAPE[1], "fft_length": 256, "low_frequency": 0, "high_frequency": 0, "win_size": 101,
                "noise_floor_db": -52,
            },
            SHAPE[0] * SHAPE[1],
        ),
    ),
    (3,),
)  # fmt: skip


def sound(subject: str, seconds: float, *seed: int) -> NDArray[np.int16]:
    """A recording [n]: the same for the same seed."""
    random = np.random.default_rng((SUBJECTS.index(subject), *seed))
    time = np.arange(round(seconds * RATE)) / RATE
    ground = random.normal(0, random.uniform(20, 250), len(time))
    loud = random.uniform(1500, 9000)
    match subject:
        case "beeps":
            pitch, pause = random.uniform(700, 2600), random.uniform(0.15, 0.4)
            heard = np.sin(2 * np.pi * pitch * time) * ((time + random.uniform(0, pause)) % pause < pause / 2)
        case "siren":
            low, wide, period = random.uniform(400, 800), random.uniform(700, 1500), random.uniform(0.8, 1.6)
            pitch = low + wide * np.abs((time / period + random.uniform()) % 1 * 2 - 1)
            heard = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        case _:
            rough = random.normal(0, 1, len(time) + 8)
            heard = np.convolve(rough, random.dirichlet(np.ones(9)), "valid")[: len(time)]
    return np.clip(ground + loud * heard, -32768, 32767).astype(np.int16)


def draw(each: int, *seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features [n, 992] of `each` recordings of every subject, and their class numbers."""
    windows = [sound(subject, 1, *seed, number) for subject in SUBJECTS for number in range(each)]
    features = reference_features(IMPULSE, np.stack(windows).astype(np.float32)).astype(np.float32)
    return features, np.repeat(np.arange(len(SUBJECTS)), each)


def wav(samples: NDArray[np.int16]) -> bytes:
    """A WAV file of one channel."""
    data = BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return data.getvalue()


def recordings() -> dict[str, bytes]:
    """File name -> a WAV of two seconds, of every subject."""
    return {f"{subject}-1.wav": wav(sound(subject, 2, 9)) for subject in SUBJECTS}


def network() -> Any:
    """A Keras model of the features [992]: two convolutions over the frames."""
    import keras

    frames, filters = SHAPE
    source = keras.Input((frames * filters,), name="x")
    x = keras.layers.Reshape((frames, filters))(source)
    x = keras.layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling1D(2)(x)
    x = keras.layers.Conv1D(16, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    return keras.Model(source, keras.layers.Dense(len(SUBJECTS), activation="softmax")(x))
