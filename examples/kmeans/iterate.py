"""Finds clusters of points: asks JobX for one round of k-means after the other.

python examples/kmeans/iterate.py http://127.0.0.1:8080

A round is a job: points and centres in, new centres out. When it is enough is decided here: the
rounds end when no centre moves any more.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import count
from math import dist
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

Point = list[float]

CLUSTERS = ((0, 0), (10, 2), (4, 9))
POINTS = 3000
STILL = 1e-9
ANSWER_S = 60


def make_points(seed: int = 1) -> list[Point]:
    """Return points around each of CLUSTERS, in no order."""
    rand = random.Random(seed)
    around = (rand.choice(CLUSTERS) for _ in range(POINTS))
    return [[rand.gauss(x, 1.2), rand.gauss(y, 1.2)] for x, y in around]


def ask(url: str, points: list[Point], centres: list[Point]) -> list[Point]:
    """Return the centres after one round; one that no point is near to stays where it is."""
    body = json.dumps({"arguments": {"points": points, "centres": centres}}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = Request(f"{url}/job/kmeans/round", body, headers)
    with urlopen(request, timeout=ANSWER_S) as answer:
        moved = dict(json.load(answer)["result"]["pairs"])
    return [moved.get(number, centre) for number, centre in enumerate(centres)]


def main(url: str) -> None:
    """Print the centres once they are found."""
    points = make_points()
    centres = points[: len(CLUSTERS)]
    for number in count(1):
        before, centres = centres, ask(url, points, centres)
        distance = max(map(dist, before, centres))
        print(f"round {number}: moved by {distance:.4f}")
        if distance < STILL:
            break
    for x, y in sorted(centres):
        print(f"{x:.4f} {y:.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} http://127.0.0.1:8080, where jobx serve answers")
    try:
        main(sys.argv[1])
    except HTTPError as error:  # its body says what is wrong, and where
        sys.exit(json.load(error)["detail"])
    except (URLError, ValueError) as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}")
