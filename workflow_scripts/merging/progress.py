"""How far a merge is."""


class Progress:
    """Is told what a merge reads; this one keeps silent."""

    def phase(self, name: str, elements: int | None) -> None:
        """Begin a phase: all passes before the last one, then the last one, whose number of elements is known."""

    def advance(self, elements: int) -> None:
        """Take note of elements read from a source."""
