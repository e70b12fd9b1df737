-- An alert that nobody takes for weeks goes on calling: its calls are counted further than a smallint reaches.
ALTER TABLE alert ALTER COLUMN rounds TYPE int;
ALTER TABLE message ALTER COLUMN step TYPE int;
