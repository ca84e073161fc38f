"""The errors that a person can cause and mend; the command line prints them as one message, without a traceback."""

from collections.abc import Iterator


class UserError(ValueError):
    """A mistake in data, parameters or a command that the user can correct.

    The message names the dataset, the column or parameter, the rule that was broken and an example.
    """

    exit_code = 1


class InputError(UserError):
    """A frame handed to a predictor breaks the predictor's input schema."""


class GateFailure(UserError):
    """An enforced gate was not met; the message is the table of gates.

    The exit code differs from other errors so that a scheduler can tell "not good enough"
    (do not retry) from "broken" (may be retried).
    """

    exit_code = 99


def causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what caused it, the error itself first.

    Args:
        error: Any exception.

    Yields:
        The links of the chain, explicit causes before mere contexts.
    """
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
