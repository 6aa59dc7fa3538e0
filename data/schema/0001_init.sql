-- The store. design: design notes in lib/README.md; slmctl-store(5) documents
-- every table. Times are microseconds since 1970 UTC; NULL means unknown.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- zstd dictionaries, themselves packed with zstd; a blob names the one that it
-- was packed with. learnt: how many pieces there were when it was trained.
CREATE TABLE dictionary (
    id      INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    learnt  INTEGER NOT NULL,
    codec   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    data    BLOB NOT NULL
) STRICT;

-- Content-addressed pieces of bodies. codec: 0 raw, 1 zstd, 2 zstd with the
-- dictionary; from 16 on reserved for encryption. The hashes stand apart so
-- that they are stored once and blobs are only ever appended.
CREATE TABLE blob (
    id         INTEGER PRIMARY KEY,
    codec      INTEGER NOT NULL,
    dictionary INTEGER REFERENCES dictionary(id),
    size       INTEGER NOT NULL,          -- bytes before packing
    data       BLOB NOT NULL
) STRICT;
CREATE TABLE blob_hash (
    hash BLOB PRIMARY KEY,                -- keyed BLAKE2b, 16 bytes
    blob INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Message lists as a prefix tree: a list is known by its last node, and two
-- calls of one conversation share all nodes of the shorter one.
CREATE TABLE node (
    id     INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,              -- 0: first message
    blob   INTEGER NOT NULL REFERENCES blob(id),
    UNIQUE (parent, blob)
) STRICT;

CREATE TABLE source (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE             -- file name, "-" or "proxy"
) STRICT;

-- Each file that was imported; counts move on with the calls' transactions.
CREATE TABLE import (
    id       INTEGER PRIMARY KEY,
    source   INTEGER NOT NULL REFERENCES source(id),
    started  INTEGER NOT NULL,
    finished INTEGER,                     -- NULL: it did not come to its end
    lines    INTEGER NOT NULL DEFAULT 0,
    bytes    INTEGER NOT NULL DEFAULT 0,  -- of its lines
    added    INTEGER NOT NULL DEFAULT 0,
    known    INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What many calls have in common, stored once. hash: keyed, over the columns.
CREATE TABLE origin (
    id       INTEGER PRIMARY KEY,
    hash     BLOB NOT NULL UNIQUE,
    upstream TEXT,
    dialect  TEXT NOT NULL,               -- openai-chat openai-responses ...
    model    TEXT,
    workload TEXT,
    client   TEXT,
    status   TEXT NOT NULL,               -- completed failed_http failed_stream upstream_truncated cancelled timeout lost
    phase    TEXT,                        -- of a cancellation
    finish   TEXT
) STRICT;

-- One LM call. A body is skeleton (the bytes around the messages) with the
-- messages of `node` put in at byte `at`; node 0: the skeleton is the body.
CREATE TABLE logged (
    id            INTEGER PRIMARY KEY,
    origin        INTEGER NOT NULL REFERENCES origin(id),
    source        INTEGER REFERENCES source(id),
    line          INTEGER,                -- counts from 1
    time          INTEGER,
    conversation  TEXT,
    response_id   TEXT,                   -- what the upstream called its answer
    error         TEXT,
    http_status   INTEGER,
    latency       INTEGER,                -- microseconds
    ttft          INTEGER,
    tokens_in     INTEGER,
    tokens_out    INTEGER,
    tokens_cached INTEGER,
    tokens_reason INTEGER,
    request       INTEGER REFERENCES blob(id),  -- skeleton
    request_at    INTEGER NOT NULL DEFAULT 0,
    node          INTEGER NOT NULL DEFAULT 0,
    response      INTEGER REFERENCES blob(id),
    raw           INTEGER NOT NULL DEFAULT 0,   -- bytes of both bodies
    extra         TEXT                    -- other fields of the record, JSON
) STRICT;

-- What makes it the same call again: slmctl-exchange(5).
CREATE TABLE call_key (
    key  BLOB PRIMARY KEY,
    call INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is read: a call with its origin.
CREATE VIEW call AS
SELECT l.id, l.source, l.line, l.time, o.upstream, o.dialect, o.model,
       o.workload, o.client, l.conversation, l.response_id, o.status, o.phase,
       o.finish, l.error, l.http_status, l.latency, l.ttft, l.tokens_in,
       l.tokens_out, l.tokens_cached, l.tokens_reason, l.request, l.request_at,
       l.node, l.response, l.raw, l.extra
FROM logged l LEFT JOIN origin o ON o.id = l.origin;

-- Rewards, labels and corrected answers, often later than the call.
CREATE TABLE outcome (
    call   INTEGER PRIMARY KEY REFERENCES logged(id) ON DELETE CASCADE,
    time   INTEGER,                       -- NULL: it came with the call
    reward REAL,
    label  TEXT,
    answer TEXT,                          -- corrected answer, JSON or text
    extra  TEXT
) STRICT;

-- A curated call. kept = 0 rows say why. Bodies are scrubbed and in the
-- OpenAI chat-completions dialect.
CREATE TABLE example (
    id         INTEGER PRIMARY KEY,
    call       INTEGER NOT NULL UNIQUE REFERENCES logged(id) ON DELETE CASCADE,
    kept       INTEGER NOT NULL,
    reason     TEXT,                      -- failed cancelled truncated retried bad_arguments duplicate ...
    duplicate_of INTEGER,                 -- call
    split      TEXT,                      -- train validation test
    groups     TEXT,                      -- conversation or what stands for it
    request    INTEGER REFERENCES blob(id),
    request_at INTEGER NOT NULL DEFAULT 0,
    node       INTEGER NOT NULL DEFAULT 0,
    response   INTEGER REFERENCES blob(id),
    spans      INTEGER NOT NULL DEFAULT 0,-- replaced pieces
    rules      TEXT,                      -- version of the rule set
    key_id     TEXT,                      -- which pseudonym key
    task       INTEGER REFERENCES task(id),
    novelty    REAL,
    repeats    INTEGER NOT NULL DEFAULT 1,-- equal inputs among the calls
    input      BLOB,                      -- keyed hash of messages and tools
    answer     BLOB                       -- keyed hash of the answer
) STRICT;
CREATE INDEX example_input ON example(input) WHERE input IS NOT NULL;
CREATE INDEX example_task ON example(task, split) WHERE kept;

CREATE TABLE task (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    label   TEXT NOT NULL,                -- template text, terms, tools
    kind    TEXT NOT NULL,                -- label json tool sql text
    pinned  INTEGER NOT NULL DEFAULT 0,
    renamed INTEGER NOT NULL DEFAULT 0,   -- a person chose the name
    merged_into INTEGER REFERENCES task(id),
    created INTEGER NOT NULL,
    detail  TEXT                          -- JSON: counts, terms, example
) STRICT;

-- What assigns new calls: one row a fitted clustering; data is opaque.
CREATE TABLE clustering (
    id      INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    detail  TEXT NOT NULL,
    data    BLOB NOT NULL
) STRICT;

-- Every model and adapter known here.
CREATE TABLE model (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,               -- base adapter merged full
    path     TEXT NOT NULL,
    base     INTEGER REFERENCES model(id),
    task     INTEGER REFERENCES task(id),
    dataset  INTEGER REFERENCES dataset(id),
    run      TEXT,
    created  INTEGER NOT NULL,
    hash     TEXT,                        -- of the weights
    license  TEXT,
    detail   TEXT                         -- JSON
) STRICT;

CREATE TABLE candidate (
    task   INTEGER NOT NULL REFERENCES task(id),
    rank   INTEGER NOT NULL,              -- 1 is best; 0: excluded
    model  TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    PRIMARY KEY (task, model)
) STRICT, WITHOUT ROWID;

-- Lineage: which examples a model has seen.
CREATE TABLE dataset (
    id      INTEGER PRIMARY KEY,
    task    INTEGER REFERENCES task(id),
    created INTEGER NOT NULL,
    hash    TEXT NOT NULL,
    detail  TEXT
) STRICT;
CREATE TABLE dataset_example (
    dataset INTEGER NOT NULL REFERENCES dataset(id) ON DELETE CASCADE,
    example INTEGER NOT NULL REFERENCES example(id),
    PRIMARY KEY (dataset, example)
) STRICT, WITHOUT ROWID;

CREATE TABLE evaluation (
    id      INTEGER PRIMARY KEY,
    task    INTEGER NOT NULL REFERENCES task(id),
    model   INTEGER REFERENCES model(id),
    split   TEXT NOT NULL,
    created INTEGER NOT NULL,
    verdict TEXT,                         -- pass fail undecided
    detail  TEXT NOT NULL                 -- JSON: metrics, intervals, settings
) STRICT;
CREATE TABLE evaluation_item (
    evaluation INTEGER NOT NULL REFERENCES evaluation(id) ON DELETE CASCADE,
    example    INTEGER NOT NULL REFERENCES example(id),
    score      REAL,                      -- of the model; NULL undecided
    reference  REAL,                      -- of the logged LLM
    outcome    TEXT,
    answer     TEXT,
    PRIMARY KEY (evaluation, example)
) STRICT, WITHOUT ROWID;

-- The sealed split is opened once a candidate, and it is written down.
CREATE TABLE seal (
    id      INTEGER PRIMARY KEY,
    time    INTEGER NOT NULL,
    task    INTEGER REFERENCES task(id),
    model   INTEGER REFERENCES model(id),
    command TEXT NOT NULL
) STRICT;

-- What a stage has done: status shows it, idempotence rests on it.
CREATE TABLE stage (
    name     TEXT PRIMARY KEY,            -- collect curate cluster select finetune eval
    time     INTEGER NOT NULL,
    high     INTEGER NOT NULL,            -- highest call id seen
    version  TEXT,                        -- of rules or settings
    detail   TEXT
) STRICT, WITHOUT ROWID;
