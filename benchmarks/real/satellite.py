"""A satellite in a low orbit, ten hours after the epoch: the ellipse of Kepler against the general perturbations of SGP4.

The flattening of the Earth turns the plane of the orbit and its ellipse, and drag advances the satellite along it.
"""

import numpy as np

from pac_surrogate.files import Coordinate, Variable
from real.pair import Arrays, Input, RealPair, Side, need, rows_of

NAME = "satellite"
MINUTES = np.linspace(600.0, 700.0, 26)
GRAVITY = 398600.8  # km^3 s^-2, WGS-72 as in SGP4
RADIUS = 6378.135  # km


def kepler(inputs: Arrays) -> Arrays:
    """Return the position on a fixed ellipse; Kepler's equation M = E - e sin E is solved by Newton's method."""
    orbits = []
    for row in rows_of(inputs):
        motion = row["mean_motion"] * 2 * np.pi / 86400  # rad s-1
        axis, e = (GRAVITY / motion**2) ** (1 / 3), row["eccentricity"]
        mean = np.radians(row["mean_anomaly"]) + motion * 60 * MINUTES
        anomaly = mean + e * np.sin(mean)
        for _ in range(8):  # converges quadratically: e is below 0.1
            anomaly -= (anomaly - e * np.sin(anomaly) - mean) / (1 - e * np.cos(anomaly))
        plane = axis * np.stack([np.cos(anomaly) - e, np.sqrt(1 - e**2) * np.sin(anomaly)])
        node, tilt, perigee = (np.radians(row[name]) for name in ("ascending_node", "inclination", "perigee"))
        turn = np.array([[np.cos(perigee), -np.sin(perigee)], [np.sin(perigee), np.cos(perigee)]])
        x, y = turn @ plane
        x, y, z = x, y * np.cos(tilt), y * np.sin(tilt)
        orbits.append(np.stack([x * np.cos(node) - y * np.sin(node), x * np.sin(node) + y * np.cos(node), z], 1))
    return {"position": np.array(orbits)}


def sgp4(inputs: Arrays) -> Arrays:
    """Return the position of SGP4, which knows the flattening of the Earth (J2, J3, J4) and the drag of the air.

    Raises:
        ValueError: if the model does not apply, as for a satellite that has decayed.
    """
    api = need("sgp4.api", "sgp4", NAME)
    orbits = []
    for row in rows_of(inputs):
        satellite = api.Satrec()
        degrees = {name: np.radians(row[name]) for name in ("perigee", "inclination", "mean_anomaly", "ascending_node")}
        satellite.sgp4init(
            api.WGS72,
            "i",
            0,
            25000.0,  # days since 1949-12-31: the epoch matters to orbits of half a day and longer only
            row["drag"],
            0.0,
            0.0,
            row["eccentricity"],
            degrees["perigee"],
            degrees["inclination"],
            degrees["mean_anomaly"],
            row["mean_motion"] * 2 * np.pi / 1440,
            degrees["ascending_node"],
        )
        codes, positions, _ = satellite.sgp4_array(
            np.full(len(MINUTES), satellite.jdsatepoch), satellite.jdsatepochF + MINUTES / 1440
        )
        if codes.any():
            raise ValueError(f"SGP4 must apply to every sample, it returned error {codes.max()} for {row}: narrow the ranges")
        orbits.append(positions)
    return {"position": np.array(orbits)}


PAIR = RealPair(
    name=NAME,
    title="position on Kepler's ellipse ten hours after the epoch, then with flattening and drag",
    inputs=(
        Input("mean_motion", 14.5, 15.5, "day-1", "revolutions a day"),
        Input("eccentricity", 0.0, 0.02, "1", "eccentricity"),
        Input("inclination", 40.0, 80.0, "degree", "inclination"),
        Input("ascending_node", 0.0, 40.0, "degree", "right ascension of the ascending node"),
        Input("perigee", 0.0, 90.0, "degree", "argument of the perigee"),
        Input("mean_anomaly", 0.0, 60.0, "degree", "mean anomaly at the start"),
        Input("drag", 1e-5, 1e-2, "1", "drag term B* in inverse radii of the Earth", log=True),
    ),
    outputs=(Variable("position", ("time", "channel"), (26, 3), "km", "position in the frame of the equator (TEME)"),),
    coordinates=(
        Coordinate("time", MINUTES, "min", "time since the epoch"),
        Coordinate("channel", np.array(["x", "y", "z"]), "1", "direction"),
    ),
    source=Side("Kepler's ellipse", "r'' = -mu r / |r|^3 with mu = 398600.8 km^3 s^-2", kepler),
    target=Side("sgp4, Satrec (Rhodes; Vallado et al. 2006)", "SGP4: secular and periodic terms of J2, J3, J4 and drag", sgp4),
    packages=("sgp4",),
    licence="sgp4: MIT",
    citation="Vallado et al., Revisiting Spacetrack Report #3, AIAA 2006-6753",
)
