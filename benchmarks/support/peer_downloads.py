"""video2dataset on a list of addresses; runs in an environment of its own and prints what it took as a JSON line.

    PYTHON peer_downloads.py LIST.csv FOLDER

It downloads and stores, nothing else: without its subsamplers it neither cuts a clip nor looks whether it is one.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path


def cpu() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    from video2dataset import video2dataset

    addresses, folder = sys.argv[1:3]
    config = {
        "subsampling": {},
        "reading": {"yt_args": {"yt_metadata_args": {}}, "timeout": 60, "sampler": None},
        "storage": {"number_sample_per_shard": 1000, "oom_shard_count": 5, "captions_are_subtitles": False},
        "distribution": {
            "processes_count": 1,
            "thread_count": 2,
            "subjob_size": 1000,
            "distributor": "multiprocessing",
        },
    }
    settings = Path(folder).with_suffix(".json")
    settings.write_text(json.dumps(config))
    began, clock = cpu(), time.monotonic()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        video2dataset(addresses, folder, output_format="files", input_format="csv", config=str(settings))
    print(json.dumps({"cpu": cpu() - began, "seconds": time.monotonic() - clock}))


if __name__ == "__main__":
    main()
