"""Claims of a deck about two rows: one beats the other, a trick hurts, or they are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.errors import HarnessError
from harness.scores import Metric, metric_label
from harness_reproductions.decks.rows import Row

Kind: TypeAlias = Literal["beats", "hurts", "equal"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """``better`` exceeds ``worse`` by ``points`` of accuracy.

    By default the difference is that of the two rows, if both have numbers of this metric. A number
    is given if the deck states it in prose; None if the rows were tested on different splits. A
    trick that "hurts" is in ``worse``, and ``better`` is what it was added to; "equal" claims no
    difference. A side whose recipe is None cannot be tested by us.

    Raises HarnessError for a published difference that has the wrong sign.
    """

    text: str
    better: Row
    worse: Row
    metric: Metric = "top5"
    stated: float | Literal["difference"] | None = "difference"
    source: str
    kind: Kind = "beats"
    doubt: str = ""

    def __post_init__(self) -> None:
        """Refuse a difference whose sign contradicts the kind."""
        points = self.points
        if points is not None and (points != 0 if self.kind == "equal" else points <= 0):
            wanted = "0" if self.kind == "equal" else "above 0; swap better and worse"
            raise HarnessError(f"claim {self.text!r} publishes {points} points: must be {wanted}")

    @property
    def points(self) -> float | None:
        """The published difference in points of accuracy; None if the deck gives no number."""
        if self.stated != "difference":
            return self.stated
        better, worse = (row.published.get(self.metric) for row in (self.better, self.worse))
        return None if better is None or worse is None else round(better - worse, 2)

    @property
    def name(self) -> str:
        """The text with its metric: a claim of both metrics is two claims."""
        return f"{self.text} ({metric_label(self.metric)})"

    @property
    def subject(self) -> Row:
        """The row that the claim is about."""
        return self.worse if self.kind == "hurts" else self.better
