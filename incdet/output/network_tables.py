"""Tables of `incdet info --network`: the numbers of a network's layers beside those of the paper's Table 1."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from incdet.networks.architectures import ARCHITECTURES, EVERY
from incdet.networks.summary import OPERATION_UNIT, PARAMETER_UNIT, PRINTED, LayerSummary, NetworkSummary, summarize


def show_networks(name: str, as_json: bool) -> None:
    """Prints one network's table to stdout, or a list of all networks.

    Args:
        name: Name of the network, or "all".
        as_json: Whether to print JSON instead of a table.

    """
    names = list(ARCHITECTURES) if name == EVERY else [name]
    summaries = {each: summarize(ARCHITECTURES[each]) for each in names}
    if as_json:
        facts = {each: network_facts(each, summary) for each, summary in summaries.items()}
        print(json.dumps(facts if name == EVERY else facts[name], indent=2))
    else:
        Console().print(networks_table(summaries) if name == EVERY else network_table(name, summaries[name]))


def network_facts(name: str, summary: NetworkSummary) -> dict[str, Any]:
    """Returns a network's numbers for JSON."""
    layers = [
        {
            "layer": layer.name,
            "output": list(layer.output),
            "depth": layer.depth,
            "weights": layer.weights,
            "multiply_adds": layer.multiply_adds,
            "contradicts_paper": dict(zip(("weights", "multiply_adds"), layer.contradictions, strict=True)),
        }
        for layer in summary.layers
    ]
    return {
        "name": name,
        "description": ARCHITECTURES[name].description,
        "parameters": summary.parameters,
        "head_parameters": dict(zip(("4a", "4d"), summary.head_parameters, strict=True)),
        "multiply_adds": summary.multiply_adds,
        "layers": layers,
    }


def network_table(name: str, summary: NetworkSummary) -> Table:
    """Returns Table 1 as computed; a number of the paper that differs stands beside it."""
    heads = " and ".join(f"{count:,}" for count in summary.head_parameters)
    table = Table(
        title=f"{name}: {ARCHITECTURES[name].description}",
        caption=f"{summary.parameters:,} parameters with biases; auxiliary heads {heads}; 1K = 1024, without biases; "
        "≠ what the paper's Table 1 prints instead",
    )
    table.add_column("layer")
    for heading in ("output", "depth", "parameters", "≠ paper", "multiply-adds", "≠ paper"):
        table.add_column(heading, justify="right")
    for layer in summary.layers:
        table.add_row(*_row(layer))
    table.add_section()
    weights = sum(layer.weights for layer in summary.layers)
    depth = str(sum(layer.depth for layer in summary.layers))
    parameters, operations = f"{weights / PARAMETER_UNIT:,.0f}K", f"{summary.multiply_adds / OPERATION_UNIT:,.0f}M"
    table.add_row("total", "", depth, parameters, "", operations, "", style="bold")
    return table


def networks_table(summaries: dict[str, NetworkSummary]) -> Table:
    """Returns a table with a row per network."""
    table = Table(title="networks")
    for heading in ("name", "what it is"):
        table.add_column(heading, overflow="fold")
    for heading in ("parameters", "multiply-adds"):
        table.add_column(heading, justify="right")
    for name, summary in summaries.items():
        operations = f"{summary.multiply_adds / 1e9:.2f} G"
        table.add_row(name, ARCHITECTURES[name].description, f"{summary.parameters:,}", operations)
    return table


def _row(layer: LayerSummary) -> list[str]:
    channels, height, width = layer.output
    cells = [layer.name, f"{height}x{width}x{channels}", str(layer.depth)]
    printed_weights, printed_operations = PRINTED.get(layer.name, (0, 0))
    weights_differ, operations_differ = layer.contradictions
    cells += _number_cells(layer.weights / PARAMETER_UNIT, "K", printed_weights, weights_differ)
    cells += _number_cells(layer.multiply_adds / OPERATION_UNIT, "M", printed_operations, operations_differ)
    return cells


def _number_cells(value: float, unit: str, printed: float, differs: bool) -> list[str]:
    """Returns the computed number and the paper's, the latter empty where both agree."""
    computed = f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return [computed, f"{printed:g}{unit}" if differs else ""]
