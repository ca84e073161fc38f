"""Names and types of the columns of a table of purchases: one vocabulary for data, features, training and serving.

Times are naive ``datetime64[us]``, numbers and flags (0/1) float64, so that each of them may be missing.
"""

from augury.engines import Schema

DATASET = "food_waste.purchases"

PURCHASE_ID = "purchase_id"
HOUSEHOLD_ID = "household_id"
PURCHASED_AT = "purchased_at"
CATEGORY = "category"
HOUSEHOLD_SIZE = "household_size"
SHELF_LIFE_DAYS = "shelf_life_days"
QUANTITY = "quantity"
PRICE = "price"
DISCOUNT = "discount"
IS_PLANNED = "is_planned"
IS_BULK = "is_bulk"
FRIDGE_TEMPERATURE_C = "fridge_temperature_c"
GUESTS = "guests"
OUTCOME = "outcome"
RESOLVED_AT = "resolved_at"
OBSERVED_UNTIL = "observed_until"
ORIGIN = "origin"
TRUE_PROBABILITY = "true_probability"
OBSERVABLE_PROBABILITY = "observable_probability"
TRUE_MEDIAN_DAYS = "true_median_days"

IS_WASTED = "is_wasted"
DAYS_TO_WASTE = "days_to_waste"
IS_LABELLED = "is_labelled"
SPLIT = "split"
DATE = "date"

EATEN = "eaten"
WASTED = "wasted"
OUTCOMES = (EATEN, WASTED)
"""What can become of a purchase; null while it is at home, or where nobody knows."""

TRAIN = "train"
TEST = "test"
NONE = "none"
SPLITS = (TRAIN, TEST, NONE)
"""``none``: not labelled, or in the gap between training and test; still history of later purchases."""

MEASURED = "measured"
SIMULATED = "simulated"
ORIGINS = (MEASURED, SIMULATED)

CATEGORIES = ("dairy", "produce", "meat", "grains", "canned", "frozen", "beverages")
"""The categories that are known by default, in the order of their features."""

COLUMNS: Schema = {
    PURCHASE_ID: "string",
    HOUSEHOLD_ID: "string",
    PURCHASED_AT: "timestamp",
    CATEGORY: "string",
    HOUSEHOLD_SIZE: "double",
    SHELF_LIFE_DAYS: "double",
    QUANTITY: "double",
    PRICE: "double",
    DISCOUNT: "double",
    IS_PLANNED: "double",
    IS_BULK: "double",
    FRIDGE_TEMPERATURE_C: "double",
    GUESTS: "double",
    OUTCOME: "string",
    RESOLVED_AT: "timestamp",
    OBSERVED_UNTIL: "timestamp",
    ORIGIN: "string",
    TRUE_PROBABILITY: "double",
    OBSERVABLE_PROBABILITY: "double",
    TRUE_MEDIAN_DAYS: "double",
}
"""The canonical columns, in order. Whatever is unknown is missing: None, NaN, NaT (null on Spark)."""

REQUIRED = (PURCHASE_ID, HOUSEHOLD_ID, PURCHASED_AT, CATEGORY)
"""What every purchase must have. Its fate is in ``outcome`` and ``resolved_at``, or in ``is_wasted`` and
``days_to_waste``."""

KNOWN_AT_PURCHASE = (
    HOUSEHOLD_ID,
    PURCHASED_AT,
    CATEGORY,
    HOUSEHOLD_SIZE,
    SHELF_LIFE_DAYS,
    QUANTITY,
    PRICE,
    DISCOUNT,
    IS_PLANNED,
    IS_BULK,
    FRIDGE_TEMPERATURE_C,
    GUESTS,
)
"""What is known when an item is bought: all of its own row that a prediction may look at."""

FATE = (OUTCOME, RESOLVED_AT, IS_WASTED, DAYS_TO_WASTE)
"""What is known only later: for labels and for the history of later purchases, never for its own row."""

TRUTH = (TRUE_PROBABILITY, OBSERVABLE_PROBABILITY, TRUE_MEDIAN_DAYS)
"""What only a simulation knows; never a feature."""

FLAGS = (IS_PLANNED, IS_BULK)

LABELLED: Schema = {
    **COLUMNS,
    IS_WASTED: "double",
    DAYS_TO_WASTE: "double",
    IS_LABELLED: "boolean",
    SPLIT: "string",
    DATE: "string",
}
"""Columns of the labelled table, followed by the extra columns of the source. ``is_wasted`` is 0, 1 or missing;
``days_to_waste`` is missing unless wasted; ``date`` is the day of the purchase, ``YYYY-MM-DD``."""

MATRIX: Schema = {
    PURCHASE_ID: "string",
    HOUSEHOLD_ID: "string",
    DATE: "string",
    PURCHASED_AT: "timestamp",
    RESOLVED_AT: "timestamp",
    SPLIT: "string",
    IS_WASTED: "double",
    DAYS_TO_WASTE: "double",
    SHELF_LIFE_DAYS: "double",
    CATEGORY: "string",
    HOUSEHOLD_SIZE: "double",
    ORIGIN: "string",
    TRUE_PROBABILITY: "double",
    OBSERVABLE_PROBABILITY: "double",
    TRUE_MEDIAN_DAYS: "double",
}
"""Columns of the feature matrix before its features."""
