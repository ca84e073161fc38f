"""What the validators of all raw tables have in common."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

from augury.engines import is_spark
from augury.errors import UserError


class TableValidator(ABC):
    """Validator of a raw table, for frames of any engine. A dataset names it in the catalog (``validator``)."""

    DATASET: ClassVar[str]
    """What messages call the table."""

    NEEDED: ClassVar[Collection[str]] = ()
    """A table that lacks one of these columns is let through: others may be renamed to them by ``source.columns``,
    which a validator does not see. Reading the table checks the same after the renaming."""

    @classmethod
    def validate(cls, data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: There are no rows (asked of pandas only); or one line per broken rule: column, rule, number of
                rows, examples.
        """
        if not is_spark(data) and not len(data):
            raise UserError(f"{cls.DATASET}: the table has no rows.")
        if set(cls.NEEDED) <= set(data.columns):
            cls.check(data)
        return data

    @classmethod
    @abstractmethod
    def check(cls, data: Any) -> None:
        """Look for broken rules.

        Args:
            data: pandas or Spark frame with rows and all columns of :attr:`NEEDED`.

        Raises:
            UserError: See :meth:`validate`.
        """
