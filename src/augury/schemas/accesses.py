"""Raw table of `prefetch`: one row per access of a block, with its object and position, or with a block's number."""

from typing import Any

from augury.engines import is_spark
from augury.errors import UserError

DATASET = "prefetch.accesses"
BLOCK, OBJECT, POSITION = "block", "object", "position"
COLUMNS = ("trace", "ts", "req", "session", OBJECT, POSITION, BLOCK, "size", "nblocks")
"""What is read; ``hit``, ``prefetched`` and ``policy`` are outcomes of whoever served, and no inputs."""


class Accesses:
    """Validator of ``prefetch.accesses``, for frames of any engine.

    A table whose columns have other names is let through where ``prefetch.source.columns`` may rename them: reading it
    checks the same again after the renaming.
    """

    @staticmethod
    def validate(data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: It has no rows, or an id, position or size is no whole number.
        """
        if not is_spark(data) and data.empty:
            raise UserError(f"{DATASET}: the table has no rows.")
        for name in (BLOCK, POSITION, "req", "nblocks"):
            if (
                not is_spark(data)
                and name in data
                and data[name].dtype.kind not in "iu"
                and str(data[name].dtype) not in ("Int64", "UInt64")
            ):
                kept = data[name].dropna()
                if not len(kept) or kept.dtype.kind != "f" or (kept % 1 != 0).any() or (kept.abs() > 2**53).any():
                    example = kept.iloc[0] if len(kept) else "nothing"
                    raise UserError(
                        f"{DATASET}: column '{name}' must be whole numbers of 64 bits, not {data[name].dtype}, for "
                        f"example {example!r}."
                    )
        return data
