"""What the scheduler knows of the cluster: nodes as columns, pods on them, pods promised to them, and which pods belong together."""

from podium.scheduler.columns import Columns
from podium.scheduler.placements import Placements
from podium.scheduler.priorities import Nominations
from podium.scheduler.workloads import Workloads


class Cluster:
    def __init__(self) -> None:
        self.nodes = Columns()
        self.pods = Placements(self.nodes)
        self.nominations = Nominations(self.nodes)
        self.workloads = Workloads()
