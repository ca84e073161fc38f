"""A scheduler in a process of its own: FOLDER JOBS NOW; runs what is due, then prints its exit code."""

import json
import signal
import sys
from pathlib import Path

from augury.scheduling.scheduler import Scheduler
from augury.scheduling.settings import Schedule

from scheduled_project import STEPS

folder, jobs, now = sys.argv[1:]
schedule = Schedule.model_validate({"steps": STEPS, "jobs": json.loads(jobs)})
scheduler = Scheduler(schedule, Path(folder), command=("/bin/sh", f"{folder}/kedro"), clock=lambda: float(now))
signal.signal(signal.SIGTERM, lambda *_: scheduler.stop())
sys.stdout.write(f"{scheduler.run_pending()}\n")
