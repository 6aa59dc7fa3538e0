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

-- What was fingerprinted and kept of requests, JSON; many calls share it.
ALTER TABLE origin ADD COLUMN facts TEXT;
DROP VIEW call;
CREATE VIEW call AS
SELECT l.id, l.source, l.line, l.time, o.upstream, o.dialect, o.model,
       o.workload, o.client, l.conversation, l.response_id, o.status, o.phase,
       o.finish, l.error, l.http_status, l.latency, l.ttft, l.tokens_in,
       l.tokens_out, l.tokens_cached, l.tokens_reason, l.request, l.request_at,
       l.node, l.response, l.raw, l.extra, o.facts
FROM logged l LEFT JOIN origin o ON o.id = l.origin;
