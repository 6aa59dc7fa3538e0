-- Payload that only the holders of a key can read.

-- Random keys that blobs, dictionaries and texts are encrypted with. wrapped:
-- the key and the key of the hashes used with it, encrypted with the key file
-- (kind 'key') or to a public key (kind 'sealed'); key_id names which.
CREATE TABLE data_key (
    id      INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    key_id  TEXT NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;

-- The data key of a row whose codec is 16 or more: 16 and the codec of what
-- was packed and then encrypted.
ALTER TABLE blob ADD COLUMN key INTEGER;
ALTER TABLE dictionary ADD COLUMN key INTEGER;
