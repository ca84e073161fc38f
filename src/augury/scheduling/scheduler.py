"""Running what is due, one job after another; a job that fails stops no other."""

import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from augury.errors import GateFailure, UserError
from augury.scheduling.job_process import TIMED_OUT, run_process, sole_runner
from augury.scheduling.job_table import JobTable, Run
from augury.scheduling.row_counts import count_rows
from augury.scheduling.settings import Schedule
from augury.scheduling.slots import as_text

logger = logging.getLogger(__name__)

DATABASE = "jobs.db"
LOGS = "logs"
LOCKS = "locks"
KEDRO = (sys.executable, "-m", "kedro")
BY_HAND = 1001
"""Priority of what a person asks for: above all others."""

_PROCESS_POLL_SECONDS = 0.2
_NAP_SECONDS = 0.5


class Scheduler:
    """Runs the jobs of a schedule on this machine; any number of them may share a project."""

    def __init__(
        self,
        schedule: Schedule,
        project: Path,
        env: str | None = None,
        *,
        command: Sequence[str] = KEDRO,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open the job table.

        Args:
            schedule: What to run when.
            project: Folder of the project.
            env: Kedro environment; None means Kedro's default.
            command: What is called with ``run`` and its options.
            clock: Seconds since the epoch.
            sleep: Waits for so many seconds.

        Raises:
            UserError: The job table cannot be used.
        """
        self._schedule = schedule
        self._project = project
        self._env = env
        self._command = tuple(command)
        self._clock = clock
        self._sleep = sleep
        self._directory = project / schedule.directory
        self._stopped = False
        self._steps = list(schedule.steps)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        """Who this scheduler is in the job table."""
        self.table = JobTable(self._directory / DATABASE)
        """The jobs."""

    def stop(self) -> None:
        """Stop as soon as possible: the step that runs is stopped, and its run waits for the next scheduler."""
        self._stopped = True

    def run_forever(self) -> None:
        """Run what is due until :meth:`stop` is called."""
        while not self._stopped:
            if self.run_next() is None and not self._stopped:
                self._nap(self._schedule.poll_seconds)

    def run_pending(self) -> int:
        """Run everything that is due now, and return.

        Returns:
            0, or the exit code of the last job that did not get through; another attempt is not waited for.
        """
        result, begun = 0, self._clock()
        while not self._stopped:
            # What becomes due meanwhile is left to the next call, or this one might never return
            run = self.run_next(min(self._clock(), begun))
            if run is None:
                break
            result = run.exit_code or result
        return result

    def run_now(self, name: str) -> int:
        """Run a job at once, due or not.

        Args:
            name: The job.

        Returns:
            The exit code of its last step; another attempt is left to the next scheduler.

        Raises:
            UserError: There is no such job, or it runs already.
        """
        self._schedule.job(name)
        self.table.order(name, BY_HAND, self._clock())
        run = self._take(name)
        if run is None:
            raise UserError(f"The job '{name}' was taken by another scheduler; see --list.")
        done = self._work(run)
        if done.state == "waiting" and done.exit_code is None and not self._stopped:
            raise UserError(
                f"What an earlier scheduler started for '{name}' still runs; it is tried again in a minute."
            )
        return done.exit_code or 0

    def run_next(self, until: float | None = None) -> Run | None:
        """Run the most urgent job that is due.

        Args:
            until: Plan only what was due by then; None means now.

        Returns:
            What became of it; None where nothing was due.
        """
        self.table.plan(self._schedule, self._rows(), self._clock() if until is None else until)
        run = self._take()
        return None if run is None else self._work(run)

    def command_of(self, job: str, step: str) -> list[str]:
        """The command of a step."""
        env = [] if self._env is None else [f"--env={self._env}"]
        pipelines = ",".join(self._schedule.steps[step])
        return [*self._command, "run", *env, f"--pipelines={pipelines}", f"--namespaces={job}"]

    def log_of(self, run: Run) -> Path:
        """The log of a run."""
        slot = as_text(run.slot).replace(":", "")
        return self._directory / LOGS / run.job / f"{slot}-{run.id:06d}.log"

    def _take(self, only: str | None = None) -> Run | None:
        return self.table.claim(self._schedule, self.owner, self._rows(), self._clock(), only)

    def _rows(self) -> dict[str, int]:
        """Rows of the files whose growth makes jobs due; one that cannot be read makes none due."""
        counted: dict[str, int] = {}
        for name, job in self._schedule.jobs.items():
            if job.new_rows is not None and job.enabled:
                try:
                    counted[name] = count_rows(self._project, job.new_rows.file)
                except UserError as error:
                    logger.warning("%s", error)
        return counted

    def _work(self, run: Run) -> Run:
        """Run the steps of a job that was taken, and give it back."""
        try:
            with sole_runner(self._directory / LOCKS / run.job) as lock:
                if lock is None:
                    logger.warning("%s: what an earlier scheduler started still runs", run.job)
                    self.table.put_back(run, self.owner, self._clock() + self._schedule.lease_seconds)
                else:
                    self._run_steps(run, lock)
        except BaseException:
            # Not the job's fault: a full disk, a second Ctrl-C
            self.table.put_back(run, self.owner, self._clock())
            raise
        self.table.prune(run.job, self._schedule.keep_logs)
        return self.table.run(run.id)

    def _run_steps(self, run: Run, lock: IO[bytes]) -> None:
        log_file = self.log_of(run)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        begun = {"step": self._clock(), "lease": self._clock()}
        held = True

        def keep_going() -> bool:
            nonlocal held
            now = self._clock()
            if now - begun["lease"] >= self._schedule.lease_seconds / 3:
                held = self.table.renew(run, self.owner, self._schedule.lease_seconds, now)
                begun["lease"] = now
            return held and not self._stopped and now - begun["step"] < self._schedule.timeout_hours * 3_600

        with log_file.open("ab") as log:
            self._drop_old_logs(log_file)
            while run.step < len(self._steps):
                step = self._steps[run.step]
                command = self.command_of(run.job, step)
                begun["step"] = self._clock()
                self._note(log, f"{step}, attempt {run.attempt}: {' '.join(command[len(self._command) :])}")
                logger.info("%s: %s, attempt %d", run.job, step, run.attempt)
                code = run_process(command, self._project, log, lock, keep_going, _PROCESS_POLL_SECONDS)
                if code is None and not held:
                    self._note(log, f"{step} was stopped: another scheduler has taken the job over")
                    return
                if code is None and self._stopped:
                    self._note(log, f"{step} was stopped with the scheduler, and waits for the next one")
                    self.table.put_back(run, self.owner, self._clock())
                    return
                code = TIMED_OUT if code is None else code
                self._note(log, f"{step} ended with exit code {code}")
                if code:
                    self._end_failed(run, step, code)
                    return
                if not self.table.advance(run, self.owner):
                    return
                run = self.table.run(run.id)
        self.table.end(run, self.owner, "succeeded", 0, self._clock())
        logger.info("%s got through", run.job)

    def _end_failed(self, run: Run, step: str, code: int) -> None:
        now = self._clock()
        if code == GateFailure.exit_code:
            logger.warning("%s: %s ended with exit code %d: a gate was not passed", run.job, step, code)
            self.table.end(run, self.owner, "gate_failed", code, now)
        elif run.attempt > self._schedule.retries_of(run.job):
            logger.error("%s: %s ended with exit code %d; it is not tried again", run.job, step, code)
            self.table.end(run, self.owner, "failed", code, now)
        else:
            wait = self._schedule.wait_before(run.job, run.attempt)
            logger.warning("%s: %s ended with exit code %d, again in %g s", run.job, step, code, wait)
            self.table.end(run, self.owner, "waiting", code, now, now + wait)

    def _drop_old_logs(self, newest: Path) -> None:
        for old in sorted(newest.parent.glob("*.log"))[: -self._schedule.keep_logs]:
            old.unlink(missing_ok=True)

    def _note(self, log: IO[bytes], text: str) -> None:
        log.write(f"== {as_text(self._clock())} {text}\n".encode())
        log.flush()

    def _nap(self, seconds: float) -> None:
        """Sleep in short naps, so that a stop is noticed."""
        end = self._clock() + seconds
        while not self._stopped and (left := end - self._clock()) > 0:
            self._sleep(min(left, _NAP_SECONDS))
