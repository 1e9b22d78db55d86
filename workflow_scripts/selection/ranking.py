"""Order and weights, the same for every selector."""

from collections.abc import Mapping


def ranked(similarity: Mapping[str, float]) -> list[str]:
    """Return the candidates, most similar first; ties break by locale name."""
    return sorted(similarity, key=lambda name: (-similarity[name], name))


def proportional(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return weights proportional to the values: negative ones weigh 0, and if none is positive all weigh the same."""
    clipped = {name: max(0.0, value) for name, value in values.items()}
    total = sum(clipped.values())
    if total == 0:
        return [(name, 1 / len(clipped)) for name in clipped]
    return [(name, value / total) for name, value in clipped.items()]
