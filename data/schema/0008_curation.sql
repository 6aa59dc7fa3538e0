-- What examples are compared by, so that later runs know those of earlier ones.

-- Keyed hashes of the variable part of each scrubbed example, encrypted as
-- texts are. slmctl-store(5) says what is in it.
CREATE TABLE sketch (
    example INTEGER PRIMARY KEY REFERENCES example(id) ON DELETE CASCADE,
    data    BLOB NOT NULL
) STRICT;

-- Lowest call of those with nearly the same input; NULL: there is no other.
ALTER TABLE example ADD COLUMN cluster INTEGER;
