"""Calling a function that may take too long, without waiting for it."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any


class TimeLimit:
    """Calls functions in a thread of its own for each thread that asks.

    A thread cannot be stopped from outside. One that is late keeps its caller's later questions from being asked until
    it is through: they fail at once, and a model that hangs costs the limit once, not once per decision.
    """

    def __init__(self, seconds: float) -> None:
        """Set the limit."""
        self._seconds = seconds
        self._own = threading.local()

    def call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function.

        Raises:
            TimeoutError: It was late, or is still late with an earlier call.
            Exception: What the function raises.
        """
        worker = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = _Worker()
        return worker.call(function, argument, self._seconds)


class _Worker:
    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[Any], Any], Any]] = SimpleQueue()
        self._answered: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self._late = 0
        # A daemon: a model that hangs must not keep the application from ending
        threading.Thread(target=self._work, args=(self._asked, self._answered), daemon=True).start()

    def call(self, function: Callable[[Any], Any], argument: Any, seconds: float) -> Any:
        while self._late:
            try:
                self._answered.get_nowait()
            except Empty:
                raise TimeoutError("it is still late with an earlier call") from None
            self._late -= 1
        self._asked.put((function, argument))
        try:
            succeeded, answer = self._answered.get(timeout=seconds)
        except Empty:
            self._late += 1
            raise TimeoutError(f"no answer within {seconds:g} s") from None
        if not succeeded:
            raise answer
        return answer

    @staticmethod
    def _work(asked: "SimpleQueue[Any]", answered: "SimpleQueue[Any]") -> None:
        while True:
            function, argument = asked.get()
            try:
                answered.put((True, function(argument)))
            except Exception as error:
                answered.put((False, error))
