"""What a server takes from its clients, so that none of them can take all of it."""

from dataclasses import dataclass, field

from zoo.errors import check_at_least

#: Most inputs in one request.
_INPUTS = 64
#: Bytes of a body that any setting allows.
_LEAST_BYTES = 1 << 20
#: Bytes of one character in JSON at worst: two escapes such as `\ud83d\ude00`.
_BYTES_A_CHARACTER = 12


@dataclass(frozen=True)
class Limits:
    """Limits of a server; `/info` tells them to clients.

    Args:
        max_batch_size: Most inputs that are predicted together.
        max_wait_ms: Milliseconds that an input waits for others, where the model is free.
        max_characters: Most characters of one input, all its texts together.
        max_queue: Most inputs that wait; requests beyond are refused for the moment.
        max_contexts: Most texts that one question is asked on.
        max_requests: Most requests that are read or answered at a time.
        max_inputs: Most inputs in one request.
        max_bytes: Longest body of a request.
        body_seconds: Longest time in which a body arrives.

    Raises:
        ZooError: One that a person sets is too small.
    """

    max_batch_size: int = 16
    max_wait_ms: float = 5.0
    max_characters: int = 50_000
    max_queue: int = 256
    max_contexts: int = 100
    max_requests: int = 512
    max_inputs: int = field(init=False)
    max_bytes: int = field(init=False)
    body_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, least in (
            ("max_batch_size", 1),
            ("max_wait_ms", 0),
            ("max_characters", 1),
            ("max_queue", 1),
        ):
            check_at_least(f"--{name}", getattr(self, name), least)
        object.__setattr__(self, "max_inputs", min(_INPUTS, self.max_queue))
        longest = _BYTES_A_CHARACTER * self.max_characters + (1 << 16)
        object.__setattr__(self, "max_bytes", max(_LEAST_BYTES, longest))
