-- The purchases that food_waste learns from. Numbers and flags (0 or 1) are double precision, so that every one of them may be
-- unknown (null) and a table read back has the types of a parquet file. Times are UTC without a zone.
-- psql -v ON_ERROR_STOP=1 -f deploy/postgres/schema.sql
CREATE TABLE IF NOT EXISTS purchases (
    purchase_id text PRIMARY KEY CHECK (purchase_id <> ''),
    household_id text NOT NULL CHECK (household_id <> ''),
    purchased_at timestamp NOT NULL CHECK (isfinite(purchased_at)),
    category text NOT NULL CHECK (category <> ''),
    household_size double precision CHECK (household_size >= 1 AND household_size < 'Infinity'),
    shelf_life_days double precision CHECK (shelf_life_days > 0 AND shelf_life_days < 'Infinity'),
    quantity double precision CHECK (quantity > 0 AND quantity < 'Infinity'),
    price double precision CHECK (price >= 0 AND price < 'Infinity'),
    discount double precision CHECK (discount BETWEEN 0 AND 1),
    is_planned double precision CHECK (is_planned IN (0, 1)),
    is_bulk double precision CHECK (is_bulk IN (0, 1)),
    fridge_temperature_c double precision CHECK (fridge_temperature_c BETWEEN -50 AND 60),
    guests double precision CHECK (guests >= 0 AND guests < 'Infinity'),
    outcome text CHECK (outcome IN ('eaten', 'wasted')),
    resolved_at timestamp CHECK (isfinite(resolved_at) AND resolved_at >= purchased_at),
    observed_until timestamp CHECK (isfinite(observed_until)),
    origin text CHECK (origin IN ('measured', 'simulated')),
    -- Known only where a simulation made the row
    true_probability double precision CHECK (true_probability BETWEEN 0 AND 1),
    observable_probability double precision CHECK (observable_probability BETWEEN 0 AND 1),
    true_median_days double precision CHECK (true_median_days >= 0)
);

-- A range of dates in the order in which it is read, and the history of a household
CREATE INDEX IF NOT EXISTS purchases_purchased_at ON purchases (purchased_at, purchase_id);
CREATE INDEX IF NOT EXISTS purchases_household ON purchases (household_id, purchased_at);
