"""The single writer: configuration, start and stop, the path of a command to its events, replay.

configuration.py  one TOML file, every setting checked
node.py           stamps, journals, applies, releases; the start after a stop of either kind
replay.py         folds a journal with a chosen engine and checks it against the digests it carries
digest.py         the cumulative digest of events
snapshots.py      the state to start from, written beside the writer
publishing.py     when marks and risk are published, and what
"""

from seawall.node.configuration import Configuration
from seawall.node.digest import EventDigest
from seawall.node.node import Node, first_commands
from seawall.node.replay import ENGINES, Engine, Fold, ReplayResult, replay
from seawall.node.snapshots import Snapshots, fold_of, take_stopped

__all__ = [
    "ENGINES",
    "Configuration",
    "Engine",
    "EventDigest",
    "Fold",
    "Node",
    "ReplayResult",
    "Snapshots",
    "first_commands",
    "fold_of",
    "replay",
    "take_stopped",
]
