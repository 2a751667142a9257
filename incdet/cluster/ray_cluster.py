"""The connection to a Ray cluster and the questions that are asked of it. Ray is imported here alone, when needed."""

import logging
import os
import platform
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import incdet
from incdet.cluster.node_facts import NodeFacts, differing_version
from incdet.errors import ConfigurationError, IncdetError, PackageError, reason
from incdet.runtime.optional_packages import require_package
from incdet.runtime.provenance import versions
from incdet.runtime.worker_processes import num_cores

LOCAL = "local"
"""The address that starts a cluster of this machine alone, which ends with the command."""

_CONNECT_SECONDS = 10
_PROBE_SECONDS = 120


class ClusterError(IncdetError):
    """A cluster that cannot be reached or cannot do the work."""

    exit_code = 3


@dataclass(frozen=True)
class ClusterNode:
    """A node that is alive.

    Attributes:
        node_id: Ray's id.
        name: Name of the machine.
        num_cpus: Number of CPUs that Ray shares out there.
        num_gpus: Number of GPUs that Ray shares out there.
    """

    node_id: str
    name: str
    num_cpus: float
    num_gpus: float


def require_ray() -> None:
    """Makes sure that the packages of the cluster are there.

    Raises:
        PackageError: One of them is not installed.
    """
    for package in ("ray", "pyarrow"):
        require_package(package, "runs on a cluster", "cluster")


def connect(address: str) -> None:
    """Connects to a cluster, or starts one of this machine.

    Args:
        address: "local", "auto" for the cluster that runs on this machine or that RAY_ADDRESS names, `HOST:PORT`, or
            `ray://HOST:PORT`.

    Raises:
        ClusterError: There is no cluster at the address, or it has other versions.
        ConfigurationError: The address cannot be one.
        PackageError: Ray cannot be loaded.
    """
    require_ray()
    # incdet tells nobody about its use, and neither does a cluster that it starts
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray makes workers give way to all other programs, for which nobody asked who starts a cluster for one command
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise PackageError(f"cannot load ray: {error}; install incdet[cluster] again") from None
    if address not in (LOCAL, "auto"):
        _require_listener(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            ray.init(address="local", num_cpus=num_cores(), **quiet)
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray's own errors are of many kinds
        raise ClusterError(_words_about(address, error)) from None
    _silence_prints()


def _silence_prints() -> None:
    """Keeps Ray from printing paragraphs about every dead worker to stdout; the progress counts what is begun again."""
    # Ray has no option for this, and other versions may have other names
    with suppress(ImportError, AttributeError):
        from ray._private.ray_logging import global_worker_stdstream_dispatcher

        global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")


def disconnect() -> None:
    """Leaves the cluster; one that `connect` has started ends."""
    import ray

    with suppress(Exception):
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raises an error where nobody listens at an address, for which Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal() or not host:
        raise ConfigurationError(
            f"--cluster is '{address}'; give auto, local, or the address of a cluster such as 10.0.0.5:6379"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"cannot reach a Ray cluster at {address}: {reason(error)}; check the address and that ray start --head "
            "runs there"
        ) from None


def _words_about(address: str, error: Exception) -> str:
    """Returns the sentence about a cluster that cannot be connected to."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return (
            f"the cluster at {address} has another version of Ray or Python than this machine (Python "
            f"{platform.python_version()}): {text}; install the same versions everywhere"
        )
    if "AuthToken" in text or "uthentication" in text:
        return (
            f"the Ray cluster '{address}' asks for a token, and takes none from here; set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN to the cluster's own"
        )
    if address == "auto" and isinstance(error, ConnectionError):
        return (
            "cannot find a Ray cluster: none runs on this machine and RAY_ADDRESS names none; start one with ray start "
            "--head, give its address, or use --cluster local"
        )
    return f"cannot connect to the Ray cluster '{address}': {text[:300]}; check it with ray status"


def alive_nodes() -> list[ClusterNode]:
    """Returns the nodes that are alive, in the order of their names."""
    import ray

    found = []
    for node in ray.nodes():
        if node["Alive"]:
            resources = node["Resources"]
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found.append(ClusterNode(node["NodeID"], name, resources.get("CPU", 0.0), resources.get("GPU", 0.0)))
    return sorted(found, key=lambda node: (node.name, node.node_id))


def num_fitting(nodes: Sequence[ClusterNode], cpus_per_worker: float, on_gpu: bool) -> int:
    """Returns the number of workers that fit into the nodes, whatever else runs there."""
    count = 0
    for node in nodes:
        by_cpus = int(node.num_cpus // cpus_per_worker)
        count += min(by_cpus, int(node.num_gpus)) if on_gpu else by_cpus
    return count


def probe_nodes(nodes: Sequence[ClusterNode], places: Sequence[str]) -> list[NodeFacts]:
    """Asks nodes for their versions and for the places that they see, all at the same time.

    Args:
        nodes: Nodes that will have workers.
        places: Absolute paths that they should see.

    Raises:
        ClusterError: A node does not respond, or has no incdet or another version of it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def probe(paths: Sequence[str]) -> NodeFacts | str:
        # this function is sent as it is, so that it also runs where incdet is missing or of another version
        try:
            from incdet.cluster.node_facts import facts_of_node

            return facts_of_node(paths)
        except ImportError:
            pass
        try:
            import incdet

            return str(incdet.__version__)
        except ImportError:
            return ""

    remote = ray.remote(probe)
    asked = []
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": strategy}
        asked.append(remote.options(**options).remote(list(places)))
    facts = []
    for node, ref in zip(nodes, asked, strict=True):
        try:
            found = ray.get(ref, timeout=_PROBE_SECONDS)
        except Exception as error:
            raise ClusterError(
                f"the node {node.name} does not respond: {reason(error)[:300]}; look at it with ray status"
            ) from None
        if isinstance(found, str):
            has = f"has incdet {found}" if found else "has no incdet"
            raise ClusterError(
                f"the node {node.name} {has} and this machine {incdet.__version__}; install the same version there"
            )
        facts.append(found)
    return facts


def check_facts(facts: NodeFacts, own: Mapping[str, str] | None = None) -> None:
    """Makes sure that a node gives the same results as this machine and sees what it needs.

    Args:
        facts: Facts of the node.
        own: Versions of this machine; None asks for them.

    Raises:
        ClusterError: A version differs, or a place is missing.
    """
    own = own or versions()
    package = differing_version(own, facts.versions)
    if package is not None:
        raise ClusterError(
            f"the node {facts.node} has {package} {facts.versions.get(package, 'missing')} and this machine "
            f"{own[package]}, so that results could differ; install the same versions on all nodes"
        )
    if facts.missing:
        raise ClusterError(
            f"the node {facts.node} does not see {facts.missing[0]}; give a place that all nodes see under the same "
            "path, or an address such as s3://bucket/folder"
        )
