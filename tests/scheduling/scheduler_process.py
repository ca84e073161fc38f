"""A scheduler in a process of its own: FOLDER JOBS(JSON) NOW [LEASE_SECONDS]; runs what is due, then prints its exit code."""

import json
import signal
import sys
from pathlib import Path

from augury.scheduling.scheduler import Scheduler
from augury.scheduling.settings import Schedule

folder, jobs, now, *lease = sys.argv[1:]
schedule = Schedule.model_validate(
    {"steps": {"train": ["model_training"]}, "jobs": json.loads(jobs), "lease_seconds": float((*lease, "60")[0])}
)
scheduler = Scheduler(schedule, Path(folder), command=("/bin/sh", f"{folder}/kedro"), clock=lambda: float(now))
signal.signal(signal.SIGTERM, lambda *_: scheduler.stop())
sys.stdout.write(f"{scheduler.run_pending()}\n")
