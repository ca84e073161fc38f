"""Catalog entry for rows that somebody wants predicted."""

from typing import Any

import pandas as pd
from kedro_datasets.pandas import ParquetDataset

from augury.errors import UserError


class NewRowsDataset(ParquetDataset):
    """A Parquet file that a person has to put there; where it is missing, the message says where it belongs.

    Examples:
        .. code-block:: yaml

            pdf_memory.new_rows:
              type: augury.datasets.new_rows.NewRowsDataset
              filepath: data/01_raw/pdf_memory/new.parquet
    """

    def load(self) -> pd.DataFrame:
        """Read the file."""
        if not self.exists():
            raise UserError(
                f"There are no new rows to predict: '{self._filepath}' is missing. Put a Parquet file there with the "
                "columns that docs/registry.md lists, or name another one (pandas.CSVDataset reads CSV) as "
                "'<predictor>.new_rows' in conf/local/catalog.yml."
            )
        table: Any = super().load()
        return table
