"""The one error of the wire: somebody sent bytes or names that version 1 does not allow.

Raised by every decoder and builder in `protocols`, and nothing else is: any bytes give a message or this.
"""


class ProtocolError(ValueError):
    """What is wrong, in a sentence, and under which short `code` it is counted in the metrics."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
