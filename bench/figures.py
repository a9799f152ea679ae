"""One figure of the table: a measured value, what it is compared with, and the ratio that was promised."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`ours / theirs` is to be at least `target` (or at most, when `at_most`)."""

    what: str
    ours: float
    theirs: float
    baseline: str
    unit: str
    target: float
    at_most: bool = False

    @property
    def ratio(self) -> float:
        """Ours in terms of theirs."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        sign = "≤" if self.at_most else "≥"
        return (
            self.what,
            f"{self.ours:,.1f} {self.unit}" if self.ours < 100 else f"{self.ours:,.0f} {self.unit}",
            f"{self.baseline}: {self.theirs:,.1f}" if self.theirs < 100 else f"{self.baseline}: {self.theirs:,.0f}",
            f"{self.ratio:.2f}",
            f"{sign} {self.target}",
            "[green]met[/green]" if self.met else "[red]missed[/red]",
        )
