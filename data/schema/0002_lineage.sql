-- What a model has seen, and how.

-- The answer of the outcome, else its label, scrubbed as the example is, as
-- text. NULL: there is none, or curate has not seen it yet.
ALTER TABLE example ADD COLUMN correction INTEGER REFERENCES blob(id);

-- 1: trained on. 0: it only told when to stop. Of data sets made before this
-- migration the splits of its day are the best that is known.
ALTER TABLE dataset_example ADD COLUMN trained INTEGER NOT NULL DEFAULT 1;
UPDATE dataset_example SET trained = 0
WHERE example IN (SELECT id FROM example WHERE split = 'validation');
