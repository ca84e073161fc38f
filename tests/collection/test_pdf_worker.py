"""The measuring process: every job ends in an outcome, and its peak is its own."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Dictionary, Name

from augury.pipelines.collection.pdf_jobs import WORKER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the measuring process reads /proc")

# Job operations beyond PDF, to see what becomes of jobs that go wrong
DRIVER = f"""
import importlib.util, os, time
specification = importlib.util.spec_from_file_location("pdf_worker", {str(WORKER)!r})
worker = importlib.util.module_from_spec(specification)
specification.loader.exec_module(worker)
held = bytearray(80 << 20)  # the parent is larger than any of its children's jobs ...
del held  # ... and its own peak stays on record
def touch(megabytes):
    block = bytearray(int(megabytes) << 20)
    block[::4096] = b"x" * len(block[::4096])
def fail(reason):
    raise ValueError(reason)
worker.OPERATIONS.update(
    nothing=lambda path, dpi, pages: 0,
    allocate=lambda path, dpi, pages: touch(dpi),
    hang=lambda path, dpi, pages: time.sleep(60),
    spin=lambda path, dpi, pages: [None for _ in iter(int, 1)],
    die=lambda path, dpi, pages: os.kill(os.getpid(), int(dpi)),
    leave=lambda path, dpi, pages: os._exit(3),
    fail=lambda path, dpi, pages: fail("in " + path + " " + "x" * 500),
    talk=lambda path, dpi, pages: (print("noise"), os.write(1, b"noise"), os.write(2, b"noise")),
)
worker.main()
"""


class Process:
    """A measuring process and the JSON lines that are exchanged with it."""

    def __init__(self, *command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-I", *command], stdin=pipe, stdout=pipe, text=True)

    def run(self, operation, path="none", dpi=0, **limits):
        job = {"operation": operation, "path": str(path), "dpi": dpi, "max_pages": 3}
        job |= {"time_limit_s": 20, "memory_limit_mb": 400} | limits
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert set(answer) == {"outcome", "reason", "cpu_s", "peak_mem_mb", "base_mem_mb"}
        return answer

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def worker():
    process = Process("-c", DRIVER)
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Tiny files by name: a page, a password, no PDF at all, nothing."""
    folder = tmp_path_factory.mktemp("files")
    document = pikepdf.new()
    document.pages.append(pikepdf.Page(Dictionary(Type=Name.Page, MediaBox=[0, 0, 595, 842])))
    document.save(folder / "page.pdf")
    document.save(folder / "locked.pdf", encryption=pikepdf.Encryption(owner="secret", user="secret"))
    (folder / "letter.pdf").write_text("Dear reader, this is no PDF.")
    (folder / "empty.pdf").touch()
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(("operation", "dpi"), [("text", None), ("render", 72), ("rewrite", None)])
def test_a_real_job_is_measured(worker, files, operation, dpi):
    answer = worker.run(operation, files["page"], dpi)
    assert (answer["outcome"], answer["reason"]) == ("ok", "")
    assert 0 < answer["base_mem_mb"] <= answer["peak_mem_mb"] < 60
    assert answer["cpu_s"] >= 0


@pytest.mark.parametrize("operation", ["text", "render", "rewrite"])
@pytest.mark.parametrize(
    ("name", "outcome"), [("locked", "encrypted"), ("letter", "invalid"), ("empty", "invalid"), ("absent", "error")]
)
def test_a_file_that_cannot_be_read_is_an_outcome(worker, files, operation, name, outcome):
    path = files.get(name, files["page"].with_name("absent.pdf"))
    answer = worker.run(operation, path, 72)
    assert answer["outcome"] == outcome
    assert answer["reason"]
    # A measurement travels to other machines: paths and names do not belong in it
    assert str(path) not in answer["reason"]


def test_the_peak_is_what_the_job_itself_allocates(worker):
    peaks = {size: worker.run("allocate", dpi=size)["peak_mem_mb"] for size in (10, 50, 100)}
    assert peaks[50] - peaks[10] == pytest.approx(40, abs=3)
    assert peaks[100] - peaks[50] == pytest.approx(50, abs=3)


def test_the_peak_is_not_that_of_the_process_before_or_around_it(worker):
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert own > 90, "this test needs a process that is larger than an idle job"
    # Neither pytest's size, nor the 80 MB that the measuring process once held, nor those of an earlier job
    worker.run("allocate", dpi=100)
    answer = worker.run("nothing")
    assert answer["peak_mem_mb"] < 60
    assert answer["peak_mem_mb"] - answer["base_mem_mb"] < 5


def test_a_job_that_hangs_is_stopped(worker):
    answer = worker.run("hang", time_limit_s=0.3)
    assert answer["outcome"] == "timeout"
    assert answer["reason"] == "still running after 0.3 s"
    assert 0 < answer["peak_mem_mb"] < 60
    assert answer["cpu_s"] is None
    assert worker.run("nothing")["outcome"] == "ok"


def test_a_job_that_computes_for_ever_is_stopped(worker):
    assert worker.run("spin", time_limit_s=0.3, memory_limit_mb=2000)["outcome"] in ("timeout", "memory_limit")


@pytest.mark.parametrize(("signal", "name"), [(11, "SIGSEGV"), (9, "SIGKILL"), (6, "SIGABRT")])
def test_a_job_that_crashes_is_told_by_its_signal(worker, signal, name):
    answer = worker.run("die", dpi=signal)
    assert (answer["outcome"], answer["reason"]) == ("crashed", f"killed by {name}")
    assert answer["peak_mem_mb"] is None
    assert worker.run("nothing")["outcome"] == "ok"


def test_a_job_that_leaves_without_an_answer_has_crashed(worker):
    answer = worker.run("leave")
    assert (answer["outcome"], answer["reason"]) == ("crashed", "exit code 3")


def test_a_job_that_wants_too_much_memory_meets_its_limit(worker, files):
    assert worker.run("allocate", dpi=300, memory_limit_mb=100)["outcome"] == "memory_limit"
    # 100 pixels per point: 20 GB for one page
    assert worker.run("render", files["page"], 7200, memory_limit_mb=200)["outcome"] in ("memory_limit", "crashed")
    assert worker.run("allocate", dpi=300, memory_limit_mb=400)["outcome"] == "ok"


def test_an_unexpected_error_is_an_outcome_with_a_short_reason(worker):
    answer = worker.run("fail", "/a/secret/place.pdf")
    assert answer["outcome"] == "error"
    assert answer["reason"].startswith("ValueError: in the file xxx")
    assert len(answer["reason"]) == 200
    assert worker.run("no such operation")["outcome"] == "error"


def test_what_a_job_prints_does_not_disturb_the_answers(worker):
    assert worker.run("talk")["outcome"] == "ok"
    assert worker.run("nothing")["outcome"] == "ok"


def test_a_killed_process_takes_its_running_job_along():
    process = Process("-c", DRIVER)
    job = {"operation": "hang", "path": "", "dpi": 0, "max_pages": 1, "time_limit_s": 30, "memory_limit_mb": 100}
    process.process.stdin.write(json.dumps(job) + "\n")
    process.process.stdin.flush()
    tasks = Path(f"/proc/{process.process.pid}/task/{process.process.pid}")
    wait_for(lambda: (tasks / "children").read_text().split())
    child = Path("/proc") / (tasks / "children").read_text().split()[0]
    # By then the job has tied its life to its parent's
    wait_for(lambda: (child / "fd" / "1").readlink() == Path(os.devnull))
    process.process.kill()
    process.process.communicate()
    wait_for(lambda: not child.exists() or (child / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z")


def wait_for(condition):
    """Wait for a change in another process; what vanishes while it is looked at has changed."""
    for _ in range(1000):
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.01)
    pytest.fail("waited for ten seconds in vain")
