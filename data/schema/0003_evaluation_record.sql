-- An evaluation whose inputs have not changed is shown again, not made again.

-- Hash of all that decides the result; NULL: made before this migration.
ALTER TABLE evaluation ADD COLUMN inputs TEXT;
-- JSON: the result whole, as it is loaded back.
ALTER TABLE evaluation ADD COLUMN record TEXT;
CREATE INDEX evaluation_inputs ON evaluation(task, inputs)
WHERE inputs IS NOT NULL;
