"""What a desk folds of its journal: a venue's memory, the venue behind it, orders there, statements of accounts."""

from fractions import Fraction
from typing import Any

from seawall.api.desk.rows import TradeRow
from seawall.api.desk.shadow import Live, Shadow
from seawall.api.desk.statement import Taken, taken_of
from seawall.api.memory import Memory
from seawall.node.configuration import Configuration
from seawall.node.node import Group
from seawall.venues import Mirror
from seawall.venues.contracts import Terms
from seawall.venues.quotes import Quote


class DeskMemory(Memory):
    """Of one desk."""

    kept = (*Memory.kept, Live, TradeRow, Taken, Terms, Quote, Fraction)

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        margin = configuration.margin
        self.mirror = Mirror(
            configuration.model(), margin.coin_haircut, margin.coin_markup, configuration.upstream.underlyings
        )
        self.shadow = Shadow(self.view)
        self.statements: dict[str, Taken] = {}

    def take(self, group: Group) -> None:
        """Fold one durable frame."""
        super().take(group)
        self.mirror.recall(group.commands, group.attachments, group.events)
        self.shadow.recall(group)
        self.statements.update((taken.account, taken) for taken in taken_of(group))

    def known(self) -> Any:
        """All that was folded."""
        return super().known(), self.mirror.known, self.shadow.known, self.statements

    def adopt(self, known: Any) -> None:
        """Know what another one's `known` was."""
        ours, mirror, shadow, self.statements = known
        super().adopt(ours)
        self.mirror.adopt(mirror)
        self.shadow = Shadow(self.view)
        self.shadow.adopt(shadow)
