"""A queue with several servers: the formula of Erlang against a simulation of one day with other distributions, in ciw.

The target is noisy, since a day has some twenty to nine hundred customers. Its test split is the mean of 100 days. The formula
ignores how much the times between arrivals and the service times vary, and that a day begins with an empty queue.
"""

import math

import numpy as np

from real.pair import Arrays, Input, RealPair, Side, need, scalar, seed_of, solve_rows

NAME = "waiting_line"
DAY = 480.0  # min
DAYS = 100  # of the reference


def erlang(inputs: Arrays) -> Arrays:
    """Return the mean waiting time of the queue M/M/c: C(c, a) / (c mu - lambda) with a = lambda / mu.

    C(c, a) is Erlang's probability that a customer waits. Arrivals and services are exponential whatever their variation is,
    and the queue has run for ever.
    """

    def solve(row: dict[str, float]) -> dict[str, float]:
        servers, service = round(row["servers"]), row["service_time"]
        offered = row["utilisation"] * servers
        terms = [offered**k / math.factorial(k) for k in range(servers)]
        last = offered**servers / math.factorial(servers) / (1 - row["utilisation"])
        return {"waiting_time": last / (sum(terms) + last) * service / (servers * (1 - row["utilisation"]))}

    return solve_rows(solve, inputs)


def simulate(inputs: Arrays, days: int = 1) -> Arrays:
    """Return the mean waiting time of all who are served on a day that begins with an empty queue, the mean over some days.

    Times between arrivals and service times are gamma distributed, with coefficients of variation of their own. The random
    numbers of a day follow from the inputs and the number of the day.
    """
    ciw = need("ciw", "ciw", NAME)

    def gamma(mean: float, variation: float) -> object:
        return ciw.dists.Gamma(shape=variation**-2, scale=mean * variation**2)

    def solve(row: dict[str, float]) -> dict[str, float]:
        servers = round(row["servers"])
        between = row["service_time"] / (row["utilisation"] * servers)
        network = ciw.create_network(
            arrival_distributions=[gamma(between, row["arrival_variation"])],
            service_distributions=[gamma(row["service_time"], row["service_variation"])],
            number_of_servers=[servers],
        )
        waits = []
        for day in range(days):
            ciw.seed((seed_of(row) + day) % 2**32)
            simulation = ciw.Simulation(network)
            simulation.simulate_until_max_time(DAY)
            waits.append([record.waiting_time for record in simulation.get_all_records()])
        return {"waiting_time": float(np.mean([np.mean(one) if one else 0.0 for one in waits]))}

    return solve_rows(solve, inputs)


def mean_of_days(inputs: Arrays) -> Arrays:
    """Return the mean over many days, whose noise is a tenth of that of one day."""
    return simulate(inputs, DAYS)


PAIR = RealPair(
    name=NAME,
    title="waiting in line after Erlang, then in simulated days (noisy)",
    inputs=(
        Input("servers", 0.5, 4.5, "1", "number of servers, rounded to a whole number by both sides"),
        Input("service_time", 2.0, 10.0, "min", "mean service time"),
        Input("utilisation", 0.4, 0.95, "1", "arrivals times mean service time, over the number of servers"),
        Input("arrival_variation", 0.3, 2.0, "1", "coefficient of variation of the times between arrivals"),
        Input("service_variation", 0.3, 2.0, "1", "coefficient of variation of the service times"),
    ),
    outputs=(scalar("waiting_time", "min", "mean waiting time of those who are served"),),
    coordinates=(),
    source=Side("formula of Erlang (1917)", "W = C(c, a) / (c mu - lambda), a = lambda / mu", erlang),
    target=Side(
        "ciw, Simulation (Palmer et al. 2019)",
        "events of a queue G/G/c with gamma distributions, empty at first, for 480 min",
        simulate,
    ),
    packages=("ciw",),
    licence="ciw: MIT",
    citation="Palmer, Knight, Harper and Hawa, J. Simulation 13 (2019) 68",
    reference=mean_of_days,
)
