"""Fork server that runs one PDF job per child and reports the child's own peak memory.

Run as a script, not imported: ``python -I pdf_worker.py``. It reads one JSON job per line from standard input and
answers with one JSON line each. It imports nothing but the two PDF engines, so that a forked child starts from a small
resident set.

The peak is ``VmHWM`` of the child after a reset through ``/proc/self/clear_refs``. ``ru_maxrss`` would not do: Linux
lets it start at the high-water mark inherited from the parent (see proc(5) and getrusage(2)).
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from typing import Any

import pikepdf
import pypdfium2

MIB = 1024 * 1024
PR_SET_PDEATHSIG = 1


def _status(field: str) -> int:
    """Read a memory field (kB) of /proc/self/status in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 (keeps pathlib out)
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _text(path: str, dpi: float, max_pages: int) -> int:
    document = pypdfium2.PdfDocument(path)
    pieces = []
    for index in range(min(len(document), max_pages)):
        page = document[index]
        text_page = page.get_textpage()
        pieces.append(text_page.get_text_range())
        text_page.close()
        page.close()
    return len("\n".join(pieces))


def _render(path: str, dpi: float, max_pages: int) -> int:
    document = pypdfium2.PdfDocument(path)
    document.init_forms()
    pixels = 0
    for index in range(min(len(document), max_pages)):
        page = document[index]
        bitmap = page.render(scale=dpi / 72)
        pixels += bitmap.width * bitmap.height
        bitmap.close()
        page.close()
    return pixels


def _rewrite(path: str, dpi: float, max_pages: int) -> int:
    with pikepdf.open(path) as document, tempfile.TemporaryFile() as output:
        document.save(
            output,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            recompress_flate=True,
        )
        return output.tell()


OPERATIONS = {"text": _text, "render": _render, "rewrite": _rewrite}


def _perform(job: dict[str, Any]) -> tuple[str, str]:
    """Do the job; return its outcome and, for a failure, the reason."""
    try:
        OPERATIONS[job["operation"]](job["path"], job["dpi"] or 0.0, job["max_pages"])
    except MemoryError as error:
        return "memory_limit", str(error)
    except pikepdf.PasswordError as error:
        return "encrypted", str(error)
    except pypdfium2.PdfiumError as error:
        reason = str(error)
        return ("encrypted" if "password" in reason.lower() else "invalid"), reason
    except pikepdf.PdfError as error:
        return "invalid", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    return "ok", ""


def _child(job: dict[str, Any], pipe: int) -> None:
    """Measure one job in this process, write the answer to the pipe and leave without clean-up."""
    with contextlib.suppress(OSError):  # a parent that dies takes its running job along
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    limit = _status("VmSize:") + int(job["memory_limit_mb"] * MIB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(job["time_limit_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as clear_refs:  # noqa: PTH123
        clear_refs.write("5")
    base = _status("VmRSS:")
    start = time.process_time()
    outcome, reason = _perform(job)
    answer = {
        "outcome": outcome,
        "reason": reason.replace(job["path"], "the file")[:200],
        "cpu_s": time.process_time() - start,
        "peak_mem_mb": _status("VmHWM:") / MIB,
        "base_mem_mb": base / MIB,
    }
    os.write(pipe, json.dumps(answer).encode())
    os._exit(0)


def _peak_of(pid: int) -> float:
    """Last known peak (MB) of a child that will not answer itself, before it is killed."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return float("nan")


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, run one job under its limits, and return its measurements.

    Args:
        job: ``path``, ``operation``, ``dpi``, ``max_pages``, ``time_limit_s``, ``memory_limit_mb``.

    Returns:
        ``outcome`` (ok, encrypted, invalid, error, memory_limit, timeout, crashed), ``reason``, ``cpu_s``,
        ``peak_mem_mb``, ``base_mem_mb``; the last three are null where the child could not report them.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            _child(job, writer)
        finally:
            os._exit(70)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], job["time_limit_s"])
    answer: dict[str, Any] = {"cpu_s": None, "peak_mem_mb": None, "base_mem_mb": None}
    if not ready:
        peak = _peak_of(pid)
        answer |= {
            "outcome": "timeout",
            "reason": f"still running after {job['time_limit_s']} s",
            "peak_mem_mb": None if peak != peak else peak,
        }
        os.kill(pid, signal.SIGKILL)
    payload = b"".join(iter(lambda: os.read(reader, 65536), b"")) if ready else b""
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if payload:
        return answer | json.loads(payload)
    if ready:
        code = os.waitstatus_to_exitcode(status)
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        answer |= {"outcome": "crashed", "reason": reason}
    return answer


def main() -> None:
    """Answer jobs from standard input until it ends."""
    for line in sys.stdin:
        print(json.dumps(run_job(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
