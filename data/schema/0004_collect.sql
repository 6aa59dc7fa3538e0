-- What the collecting proxy could not keep, and what came too early.

-- Records that were left out: their calls have no row, or one that is lost.
CREATE TABLE gap (
    id     INTEGER PRIMARY KEY,
    time   INTEGER NOT NULL,              -- of the first
    until  INTEGER NOT NULL,              -- of the last
    calls  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    reason TEXT NOT NULL                  -- overload unreadable damaged
) STRICT;

-- Feedback for a call that is not in the store yet, by the call's key.
CREATE TABLE feedback (
    key  BLOB NOT NULL,
    time INTEGER NOT NULL,
    body TEXT NOT NULL                    -- as POST /feedback took it
) STRICT;
