"""`make cluster-status`: the nodes of a cluster, their slots, and what trains where."""

from typing import Any

from rich.table import Table

from pipeline.base.console import console, duration, say, stderr_into
from pipeline.base.errors import UserError
from pipeline.base.paths import CACHE
from pipeline.base.settings import load_settings
from pipeline.training.engines.address import DEFAULT, check_reachable

LOG = CACHE / "ray-status.log"


def nodes_table(nodes: list[Any], slots: dict[str, int]) -> Table:
    """The nodes that are up."""
    table = Table("node", "processors", "GPUs", "slots")
    for node in nodes:
        table.add_row(node.address, str(node.cpus), f"{node.gpus:g}", str(slots[node.id]))
    return table


def trainers_table(found: list[dict[str, Any]]) -> Table:
    """What trains where."""
    table = Table("where", "GPU", "trains", "how far", "for")
    for each in sorted(found, key=lambda each: (each["host"], each["pid"])):
        where, gpu = f"{each['host']}, process {each['pid']}", each["gpus"].replace("-1", "")
        since = duration(each["seconds"]) if each["task"] else ""
        table.add_row(where, gpu, each["task"] or "nothing now", each["epoch"], since)
    return table


def main() -> None:
    """Show the cluster that params.yaml names, or that of this machine."""
    settings = load_settings()
    address = settings.compute.address or DEFAULT
    check_reachable(address)
    from pipeline.training.engines.cluster import Cluster, RefusedError  # Ray is an extra

    stderr_into(LOG)
    try:
        cluster = Cluster(address, settings.compute.gpus, LOG, code=False)
    except RefusedError as refused:
        raise UserError(str(refused)) from None
    nodes = cluster.nodes()
    console.print(nodes_table(nodes, {node.id: cluster.slots(node) for node in nodes}))
    found = cluster.doing()
    if found:
        console.print(trainers_table(found))
    else:
        say("nothing trains on it now")
