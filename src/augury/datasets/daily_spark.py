"""Catalog entry for a Spark table that is partitioned by its column ``date``: complete or not there."""

from typing import Any

from kedro.io.core import DatasetError
from kedro_datasets.spark import SparkDatasetV2

DATE = "date"
MARKER = "_SUCCESS"


class DailySparkDataset(SparkDatasetV2):
    """A Spark table by date, in the layout of :class:`augury.datasets.daily_parquet.DailyParquetDataset`.

    Spark removes its marker ``_SUCCESS`` before it overwrites a table and writes it last. Only with the marker is the
    table taken to exist, so that ``kedro run --only-missing-outputs`` repeats a stage that was interrupted. The column
    ``date`` is text, whatever the session makes of the names of folders.

    Examples:
        .. code-block:: yaml

            query_cost.primary_log:
              type: augury.datasets.daily_spark.DailySparkDataset
              filepath: data/03_primary/query_cost/log
    """

    DEFAULT_SAVE_ARGS = {"mode": "overwrite", "partitionBy": [DATE]}  # noqa: RUF012 (as the base class has it)

    def _load(self) -> Any:
        if not self._exists():
            raise DatasetError(
                f"'{self._spark_path}' holds no complete table ({MARKER} is missing). Run the stage that makes it."
            )
        frame = super()._load()
        return frame.withColumn(DATE, frame[DATE].cast("string")) if DATE in frame.columns else frame

    def _exists(self) -> bool:
        return bool(self._exists_function(f"{self._get_load_path()}/{MARKER}"))
