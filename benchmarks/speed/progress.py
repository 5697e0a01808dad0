"""Lines that say how far a measurement is."""

import time

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line with the minutes and seconds since the benchmarks were started."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGAN), 60)
    print(f"[{minutes:02d}:{seconds:02d}] {text}", flush=True)
