"""The reverberation of a room: the formula of Sabine against image sources, in pyroomacoustics.

The two are related loosely. Sabine assumes that sound arrives evenly from all sides, and knows the absorption of the walls as a
single sum. In a room with bare and padded walls, sound lasts longer between the bare ones.
"""

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, scalar, solve_rows

NAME = "room_acoustics"
WALLS = ("west", "east", "south", "north", "floor", "ceiling")
RATE = 8000  # Hz
ORDER = 40  # largest number of reflections


def absorbed(inputs: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume [m^3] and the sum of wall area times absorption [m^2]."""
    x, y, z = (inputs[name] for name in ("length", "width", "height"))
    areas = np.stack([y * z, y * z, x * z, x * z, x * y, x * y])
    return x * y * z, (areas * np.stack([inputs[f"absorption_{wall}"] for wall in WALLS])).sum(0)


def sabine(inputs: Arrays) -> Arrays:
    """Return the reverberation time 24 ln 10 V / (c A), and the clarity of a sound that decays exponentially from the start.

    C50 = 10 log10(exp(0.05 k) - 1) with k = 6 ln 10 / T60: the ratio of the energy in the first 50 ms to the rest.
    """
    volume, area = absorbed(inputs)
    time = 24 * np.log(10) * volume / (343.0 * area)
    return {"reverberation_time": time, "clarity": 10 * np.log10(np.expm1(0.05 * 6 * np.log(10) / time))}


def image_sources(inputs: Arrays) -> Arrays:
    """Return the reverberation time and the clarity of the impulse response between the loudspeaker and the microphone.

    The time is that of a decay by 60 dB, from the regression of Schroeder's integral between -5 and -25 dB.
    """
    acoustics = need("pyroomacoustics", "pyroomacoustics", NAME)

    def solve(row: dict[str, float]) -> dict[str, float]:
        size = np.array([row["length"], row["width"], row["height"]])
        materials = {wall: acoustics.Material(row[f"absorption_{wall}"]) for wall in WALLS}
        room = acoustics.ShoeBox(size, fs=RATE, materials=materials, max_order=ORDER, air_absorption=False)
        room.add_source(size * [0.2, 0.3, 0.5])
        room.add_microphone(size * [row["microphone_x"], row["microphone_y"], 0.4])
        room.compute_rir()
        response = room.rir[0][0]
        energy = np.cumsum(response[::-1] ** 2)[::-1]
        level = 10 * np.log10(energy[energy > 0] / energy[0])
        first, last = (int(np.argmax(level < limit)) for limit in (-5.0, -25.0))
        slope = np.polyfit(np.arange(first, last) / RATE, level[first:last], 1)[0]
        direct = int(np.argmax(np.abs(response) > 0.2 * np.abs(response).max()))
        rest = energy[direct + round(0.05 * RATE)]
        return {"reverberation_time": -60 / slope, "clarity": 10 * np.log10((energy[direct] - rest) / rest)}

    return solve_rows(solve, inputs)


PAIR = RealPair(
    name=NAME,
    title="reverberation of a room from Sabine's formula, then from image sources",
    inputs=(
        Input("length", 4.0, 10.0, "m", "length of the room"),
        Input("width", 3.0, 8.0, "m", "width of the room"),
        Input("height", 2.4, 5.0, "m", "height of the room"),
        *(Input(f"absorption_{wall}", 0.1, 0.6, "1", f"fraction of energy absorbed, {wall}") for wall in WALLS),
        Input("microphone_x", 0.5, 0.9, "1", "place of the microphone, over the length"),
        Input("microphone_y", 0.5, 0.9, "1", "place of the microphone, over the width"),
    ),
    outputs=(
        scalar("reverberation_time", "s", "time of a decay by 60 dB"),
        scalar("clarity", "dB", "clarity C50: energy of the first 50 ms over that of the rest"),
    ),
    coordinates=(),
    source=Side("formula of Sabine (1922)", "T60 = 24 ln 10 V / (c A), C50 = 10 log10(exp(0.3 ln 10 / T60) - 1)", sabine),
    target=Side(
        "pyroomacoustics, ShoeBox (Scheibler et al. 2018)", "impulse response of image sources up to order 40", image_sources
    ),
    packages=("pyroomacoustics",),
    licence="pyroomacoustics: MIT",
    citation="Allen and Berkley, J. Acoust. Soc. Am. 65 (1979) 943; Scheibler, Bezzam and Dokmanic, ICASSP 2018",
)
