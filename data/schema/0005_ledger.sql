-- What proves that no call was changed, and what is left of one that is gone.

-- A row for each commit that added calls. link: keyed hash of the link before
-- and of the commitments of its calls. data_key: whose hash key it is made
-- with; 0: the store's.
CREATE TABLE ledger (
    last     INTEGER PRIMARY KEY,         -- highest call of the commit
    first    INTEGER NOT NULL,
    data_key INTEGER NOT NULL,
    link     BLOB NOT NULL
) STRICT;

-- A call that was removed. Its id is not given out again, its key stays known.
CREATE TABLE tombstone (
    call       INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    reason     TEXT NOT NULL,             -- erased pruned
    commitment BLOB NOT NULL
) STRICT;

-- There are few evaluations; each empty index costs a small store a page.
DROP INDEX evaluation_inputs;

-- Calls before this one were logged before there was a chain.
INSERT INTO setting(name, value)
SELECT 'chain_from', CAST(coalesce(max(id), 0) + 1 AS TEXT) FROM logged;
