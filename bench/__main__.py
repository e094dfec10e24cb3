"""`make bench`: every figure measured in this run, a line `name value` each; `build/bench.json` has them with their goals."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench import commands, images, local_aws, throughput, waiting, wall
from bench.figures import line_of, told, write

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Measure; the exit code is 0 also where a goal is missed, for a busy machine can make that."""
    begun = time.monotonic()
    parts = (
        ("a whole promotion beside the bare script", lambda: wall.measure(ROOT)),
        ("promotions beside empty workflows", throughput.measure),
        ("what waiting costs, and how soon its end is seen", waiting.measure),
        ("what the pipeline image carries", lambda: images.sizes(ROOT)),
        ("the local AWS", local_aws.measure),
        ("what the commands cost before they do anything", commands.measure),
        ("how fast the pipeline image starts an execution", lambda: images.start_times(ROOT)),
    )
    figures: dict[str, float] = {}
    for number, (title, measure) in enumerate(parts, 1):
        told(f"{number} of {len(parts)}: {title}")
        measured = measure()
        for name, value in measured.items():
            print(line_of(name, value), flush=True)
        figures |= measured
    write(figures, ROOT / "build" / "bench.json")
    told(f"done in {time.monotonic() - begun:.0f} s; the figures are in build/bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
