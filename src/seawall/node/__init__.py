"""The single writer: configuration, start and stop, the path of a command to its events, replay.

configuration.py  one TOML file, every setting checked
node.py           stamps, journals, applies, releases; the start after a stop of either kind
replay.py         folds a journal with a chosen engine and checks it against the digests it carries
publishing.py     a margin model as the publisher of a simulated market
"""

from seawall.node.configuration import Configuration
from seawall.node.node import Node
from seawall.node.replay import ENGINES, Engine, ReplayResult, replay

__all__ = ["ENGINES", "Configuration", "Engine", "Node", "ReplayResult", "replay"]
