-- How careful a wearable's gateway is with its wearer. It says something of her days, so those in whose care she is
-- read it, and administrators, who come by their own views, do not.

ALTER TABLE device ADD COLUMN falls jsonb;
COMMENT ON COLUMN device.falls IS 'operating point and why: threshold, usual, near_per_day, false_per_h, worn_h';
GRANT SELECT (falls) ON device TO hearthwatch_reader;
