"""What a node of a cluster has: its versions, and which places it sees."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from incdet.runtime.provenance import versions


@dataclass(frozen=True)
class NodeFacts:
    """The facts of a node.

    Attributes:
        node: Name of the node.
        versions: Version of incdet, Python and other packages, by name; without incdet where the node has none.
        missing: Places that the node does not see.
    """

    node: str
    versions: Mapping[str, str]
    missing: tuple[str, ...] = ()


def facts_of_node(places: Sequence[str]) -> NodeFacts:
    """Returns the facts of the node on which it runs.

    Args:
        places: Absolute paths that the node should see.
    """
    missing = tuple(place for place in places if not Path(place).exists())
    return NodeFacts(node_name(), versions(), missing)


def node_name() -> str:
    """Returns the name of the machine with the address that Ray knows it by, where Ray tells it."""
    name = socket.gethostname()
    try:
        import ray.util

        return f"{name} ({ray.util.get_node_ip_address()})"
    except Exception:  # outside a cluster
        return name


def differing_version(own: Mapping[str, str], node: Mapping[str, str]) -> str | None:
    """Returns the first package of which a node has another version than the driver; None where there is none.

    Builds of the same version for other devices, such as 2.7.0+cpu, count as equal.

    >>> differing_version({"torch": "2.7.0+cpu", "numpy": "2.1"}, {"torch": "2.7.0+cu128", "numpy": "2.2"})
    'numpy'
    """
    for package, version in own.items():
        if version.partition("+")[0] != node.get(package, "missing").partition("+")[0]:
            return package
    return None
