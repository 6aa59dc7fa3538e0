-- Which model answers which task, what was decided about it, and how routed
-- calls went.

-- Model that answers a task; no row: the LLM does. event: the promotion.
CREATE TABLE champion (
    task  INTEGER PRIMARY KEY REFERENCES task(id),
    model INTEGER NOT NULL REFERENCES model(id),
    since INTEGER NOT NULL,
    event INTEGER NOT NULL
) STRICT;

-- What was decided, one row each; rows are never changed or deleted. model:
-- what answers from then on, or what it is about; before: the champion until
-- then.
CREATE TABLE registry_event (
    id         INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    task       INTEGER,
    model      INTEGER,
    before     INTEGER,
    kind       TEXT NOT NULL,             -- promote rollback retire override terms step_back resume
    command    TEXT NOT NULL,
    reason     TEXT,
    evaluation INTEGER,
    detail     TEXT                       -- JSON
) STRICT;

ALTER TABLE model ADD COLUMN version INTEGER; -- within its task, from 1
ALTER TABLE model ADD COLUMN retired INTEGER; -- time
ALTER TABLE model ADD COLUMN teacher TEXT;    -- LLMs of its data set, JSON array
ALTER TABLE model ADD COLUMN content BLOB;    -- hash of its files, 16 bytes
UPDATE model SET version = (SELECT count(*) FROM model m
    WHERE m.task = model.task AND m.id <= model.id)
WHERE task NOTNULL;
UPDATE model SET teacher = (SELECT json_group_array(name) FROM
    (SELECT DISTINCT o.model AS name FROM dataset_example d
     JOIN example e ON e.id = d.example JOIN logged l ON l.id = e.call
     JOIN origin o ON o.id = l.origin
     WHERE d.dataset = model.dataset AND d.trained AND o.model NOTNULL
     ORDER BY 1))
WHERE dataset NOTNULL;

-- What the user has declared about learning from an LLM's answers.
CREATE TABLE terms (
    llm   TEXT PRIMARY KEY,
    terms TEXT NOT NULL,                  -- allow forbid unknown
    note  TEXT,
    time  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What tells how likely an answer of a model is wrong; data is opaque.
CREATE TABLE calibration (
    model   INTEGER PRIMARY KEY REFERENCES model(id),
    time    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    data    BLOB NOT NULL,                -- weights, steps, threshold
    detail  TEXT NOT NULL                 -- JSON: items, ece, curve, aiq, cpt
) STRICT;

-- A routed call. key: as in call_key. answer: the model's beside the LLM's,
-- where they differ.
CREATE TABLE decision (
    id         INTEGER PRIMARY KEY,
    key        BLOB NOT NULL UNIQUE,
    time       INTEGER NOT NULL,
    task       INTEGER,
    model      INTEGER,
    went       TEXT NOT NULL,             -- slm llm shadow escalated
    reason     TEXT NOT NULL,
    forced     INTEGER NOT NULL DEFAULT 0,
    novelty    REAL,
    p_error    REAL,
    threshold  REAL,
    agreement  REAL,
    error      INTEGER NOT NULL DEFAULT 0,
    slm_us     INTEGER,
    llm_us     INTEGER,
    decide_ns  INTEGER,
    tokens_in  INTEGER,
    tokens_out INTEGER,
    answer     TEXT
) STRICT;
CREATE INDEX decision_task ON decision(task, time);

-- Tasks that went back to the LLM because a limit was crossed.
CREATE TABLE route (
    task         INTEGER PRIMARY KEY,
    stepped_back INTEGER NOT NULL,        -- time
    reason       TEXT NOT NULL
) STRICT;

-- Answers to examples by content: the same model, prompt and settings give
-- the same key.
CREATE TABLE answer_cache (
    id      INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,
    example INTEGER NOT NULL REFERENCES example(id) ON DELETE CASCADE,
    time    INTEGER NOT NULL,
    answer  TEXT NOT NULL
) STRICT;
CREATE INDEX answer_cache_example ON answer_cache(example);

-- Runs of slmctl retrain. high: the highest call when it began.
CREATE TABLE retrain_run (
    id       INTEGER PRIMARY KEY,
    started  INTEGER NOT NULL,
    finished INTEGER,                     -- NULL: it goes on
    high     INTEGER NOT NULL,
    policy   TEXT NOT NULL,               -- JSON
    outcome  TEXT
) STRICT;
CREATE TABLE retrain_step (
    run      INTEGER NOT NULL REFERENCES retrain_run(id) ON DELETE CASCADE,
    task     INTEGER NOT NULL,            -- 0: of all
    step     TEXT NOT NULL,               -- curate cluster train gate promote notify
    started  INTEGER NOT NULL,
    finished INTEGER,
    status   INTEGER,
    why      TEXT,
    detail   TEXT,                        -- JSON
    PRIMARY KEY (run, task, step)
) STRICT, WITHOUT ROWID;
