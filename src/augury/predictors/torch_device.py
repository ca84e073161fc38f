"""Where and how PyTorch computes: the device, the number of threads, the precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from augury.errors import UserError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: DeviceName = "auto") -> Any:
    """Find the device to compute on.

    Args:
        name: ``auto`` takes a GPU where there is one.

    Returns:
        A ``torch.device``.

    Raises:
        UserError: A GPU is asked for and there is none.
    """
    import torch

    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise UserError(
            "Parameter 'device' is 'cuda', but PyTorch finds no GPU here. Set it to 'auto' or 'cpu', or install "
            "a build of PyTorch with CUDA and its driver."
        )
    return torch.device("cuda" if present and name != "cpu" else "cpu")


def choose_threads(threads: int | Literal["auto"] = "auto") -> int:
    """Find the number of threads for one operation.

    A rule and not a stopwatch: how a sum is shared among threads decides its last bits, so that a number which depends
    on how busy the machine is would make two trainings differ.

    Args:
        threads: ``auto``: ``OMP_NUM_THREADS`` where it is set; else all cores that the process may use, or one if
            idle threads would spin (``OMP_WAIT_POLICY`` is not ``PASSIVE``): with any other busy process on the
            machine two spinning threads are 4 to 28 times slower than one.

    Returns:
        At least 1.
    """
    if threads != "auto":
        return max(int(threads), 1)
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        return 1
    return available_cores()


def available_cores() -> int:
    """The cores that this process may use: its affinity where the system tells it, else all there are."""
    try:
        return max(len(os.sched_getaffinity(0)), 1)
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def autocast_dtype(device: Any, precision: Precision = "auto") -> Any | None:
    """Choose the type in which matrix products are computed.

    Args:
        device: What :func:`choose_device` returned.
        precision: ``auto`` takes bfloat16 where the hardware multiplies it faster than float32: AMX or ``avx512_bf16``
            (measured: products of 1024 x 384 and 384 x 1536 in 0.47 of the time without AMX) or a GPU.

    Returns:
        ``torch.bfloat16``, or None for plain float32.
    """
    import torch

    if precision == "float32" or (precision == "auto" and not _multiplies_bfloat16(device)):
        return None
    return torch.bfloat16


def _multiplies_bfloat16(device: Any) -> bool:
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Private names of a pinned version: without them float32 is merely slower
    found = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("amx_tile", "avx512_bf16"))
    return any(supported() for supported in found if supported is not None)


@contextmanager
def computing(threads: int | Literal["auto"] = "auto", seed: int | None = None) -> Iterator[None]:
    """Compute with a number of threads and a seed, and leave PyTorch's global state as it was.

    Args:
        threads: See :func:`choose_threads`.
        seed: Seed of PyTorch's generators on all devices; None leaves them alone.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(choose_threads(threads))
    try:
        if seed is None:
            yield
        else:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                yield
    finally:
        torch.set_num_threads(before)
