"""The firing rate of a neuron: leaky integration by formula against the equations of Hodgkin and Huxley, in NEURON.

The two are related loosely. The rate of the target jumps to some 50 Hz at a threshold and is 0 below it, and it also depends on
the conductances of sodium and potassium, which the formula does not know.
"""

import os

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, scalar, solve_rows

NAME = "neuron"
THRESHOLD, REFRACTORY = 7.0, 3.0  # mV above rest, ms
REST = -65.0  # mV
BEGIN, END = 100.0, 600.0  # ms: spikes are counted after the transient


def leaky(inputs: Arrays) -> Arrays:
    """Return the rate of the leaky integrate-and-fire neuron: 1 / (t_ref - tau ln(1 - theta / (R I))), 0 below threshold.

    tau = C / g and R = 1 / g. It knows the leak and the capacity, and nothing of sodium and potassium.
    """
    leak, capacity = inputs["leak_conductance"], inputs["capacity"]  # mS cm-2, uF cm-2
    drive = inputs["current"] / leak  # mV
    firing = drive > THRESHOLD
    with np.errstate(divide="ignore", invalid="ignore"):
        period = REFRACTORY - capacity / leak * np.log(1 - THRESHOLD / np.where(firing, drive, np.inf))
    return {"rate": np.where(firing, 1000 / period, 0.0)}


def hodgkin_huxley(inputs: Arrays) -> Arrays:
    """Return the rate of spikes of the axon of the squid: the inverse of the mean time between the spikes after 100 ms.

    The rate is 0 if fewer than three spikes follow. Implicit Euler steps of 0.025 ms.
    """
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")  # else a warning that there is no screen
    hoc = need("neuron", "neuron", NAME).h
    hoc.load_file("stdrun.hoc")
    cell = hoc.Section(name="cell")
    cell.L = cell.diam = 20  # um
    cell.insert("hh")
    middle = cell(0.5)
    electrode = hoc.IClamp(middle)
    electrode.dur = END
    counter, spikes = hoc.NetCon(middle._ref_v, None, sec=cell), hoc.Vector()
    counter.threshold = 0.0
    counter.record(spikes)

    def solve(row: dict[str, float]) -> dict[str, float]:
        electrode.amp = 1e-5 * row["current"] * middle.area()  # nA of uA cm-2 and um2
        cell.cm = row["capacity"]
        middle.hh.gl, middle.hh.gnabar = 1e-3 * row["leak_conductance"], 1e-3 * row["sodium_conductance"]
        middle.hh.gkbar = 1e-3 * row["potassium_conductance"]
        hoc.finitialize(REST)
        hoc.continuerun(END)
        times = np.array(spikes)
        times = times[times > BEGIN]
        return {"rate": 1000 * (len(times) - 1) / (times[-1] - times[0]) if len(times) >= 3 else 0.0}

    return solve_rows(solve, inputs)


PAIR = RealPair(
    name=NAME,
    title="firing rate of a leaky integrate-and-fire neuron, then after Hodgkin and Huxley",
    inputs=(
        Input("current", 2.0, 30.0, "uA cm-2", "current into the cell"),
        Input("capacity", 0.8, 1.5, "uF cm-2", "capacity of the membrane"),
        Input("leak_conductance", 0.15, 0.5, "mS cm-2", "conductance of the leak"),
        Input("sodium_conductance", 80.0, 160.0, "mS cm-2", "largest conductance of sodium"),
        Input("potassium_conductance", 20.0, 50.0, "mS cm-2", "largest conductance of potassium"),
    ),
    outputs=(scalar("rate", "Hz", "firing rate"),),
    coordinates=(),
    source=Side("formula of the leaky integrate-and-fire neuron", "1 / rate = t_ref - C / g ln(1 - g theta / I)", leaky),
    target=Side(
        "NEURON, mechanism hh (Carnevale and Hines 2006)",
        "C v' = I - g (v + 54.4) - g_Na m^3 h (v - 50) - g_K n^4 (v + 77), first-order kinetics of m, h and n",
        hodgkin_huxley,
    ),
    packages=("neuron",),
    licence="NEURON: BSD-3-Clause",
    citation="Hodgkin and Huxley, J. Physiol. 117 (1952) 500; Carnevale and Hines, The NEURON Book (Cambridge 2006)",
)
