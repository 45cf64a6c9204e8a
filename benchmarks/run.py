"""``make bench``: measure what we promise, print it, keep it as JSON."""

import argparse
import importlib
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

PARTS = (
    *("startup", "starting", "many", "foreign", "top"),
    *("exports", "snapshots", "guest"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", default=PARTS, help=str(PARTS))
    found = []
    for part in parser.parse_args().part:
        limits = importlib.import_module(f"benchmarks.{part}").limits
        with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as work:
            for limit in limits(Path(work)):
                print(limit, flush=True)
                found.append(limit)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    facts = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processes": len(list(Path("/proc").glob("[0-9]*"))),
        "results": [limit._asdict() | {"kept": limit.kept} for limit in found],
    }
    name = time.strftime("%Y%m%dT%H%M%S.json")
    (results / name).write_text(json.dumps(facts, indent=2) + "\n")
    return 0 if all(limit.kept for limit in found) else 1


if __name__ == "__main__":
    sys.exit(main())
