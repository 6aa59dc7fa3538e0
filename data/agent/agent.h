/*
 * agent.h - the generator of the query-writer agent's logs
 *
 * Shared by the files of data/agent/. Everything is made from one seed: a
 * turn (a question about a database) is a function of its own seed, so that
 * asking it again gives the same requests; only the answers are drawn afresh,
 * with the errors that the logged LLM makes. The same program stands in for
 * that LLM and asks a log's calls again. It is no part of slmctl.
 */
#ifndef AGENT_H
#define AGENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/rng.h"
#include "json/json.h"

enum { MAX_TABLES = 4, MAX_COLUMNS = 8, MAX_WHERE = 2, MAX_PLANTED = 12 };

/* Lists of lines under [section] headers, read from a text file. */
struct texts;
MUST_CHECK int texts_load(const char *dir, const char *name, struct texts **out,
                          struct err *err);
void texts_free(struct texts *t);
size_t texts_count(const struct texts *t, const char *section);
/* Line i of a section; the section must exist (an assert). */
const char *texts_line(const struct texts *t, const char *section, size_t i);
const char *texts_pick(const struct texts *t, const char *section,
                       struct rng *r);
/* Section names in file order. */
size_t texts_sections(const struct texts *t);
const char *texts_section(const struct texts *t, size_t i);

enum column_type {
    COLUMN_ID = 'k',
    COLUMN_REF = 'r',
    COLUMN_NUMBER = 'n',
    COLUMN_DATE = 'd',
    COLUMN_WORD = 'w',
    COLUMN_CITY = 'y',
    COLUMN_PERSON = 'p',
    COLUMN_EMAIL = 'e',
    COLUMN_PHONE = 'f',
    COLUMN_CARD = 'c',
    COLUMN_IBAN = 'i',
    COLUMN_SSN = 's',
};

struct column {
    char name[40];
    enum column_type type;
};

struct table {
    char name[32], one[32];
    struct column columns[MAX_COLUMNS];
    size_t count;
    int refers; /* table that its *_id column points to, or -1 */
};

struct schema {
    char name[32];
    bool rare;
    bool changed; /* renamed; its tool takes a limit, too */
    struct table tables[MAX_TABLES];
    size_t count;
};

struct schemas {
    struct schema *items;
    size_t count;
};
MUST_CHECK int schemas_load(const char *dir, const char *name,
                            struct schemas *out, struct err *err);
void schemas_release(struct schemas *s);
/* Other words for tables and columns, from a text file: what happens to an
 * agent whose databases go on without it. */
MUST_CHECK int schemas_change(const char *dir, const char *name,
                              struct schemas *s, struct err *err);
/* "name(id, col, ...)" lines. */
void schema_render(const struct schema *s, struct buf *out);
/* The column of a reference: "customer_id". */
int schema_find(const struct table *t, const char *column);

/* What a question asks for: the part of SQL that the agent speaks. */
enum query_kind { Q_LIST, Q_COUNT, Q_AGG, Q_GROUP, Q_GROUPAGG, Q_TOP, Q_JOIN };

struct colref {
    int table, column;
};

struct cond {
    struct colref at;
    char op; /* = < > */
    char value[96];
    bool quoted;
};

struct query {
    enum query_kind kind;
    int table, other; /* other -1: no join */
    struct colref cols[2];
    size_t col_count;
    int agg; /* index into query_aggs */
    struct colref group, order;
    bool desc;
    int limit;
    struct cond where[MAX_WHERE];
    size_t where_count;
};

extern const char *const query_aggs[4];     /* AVG SUM MAX MIN */
extern const char *const query_agg_list[4]; /* their wording sections */

/* Personal data. Each value made is noted in the plant list. */
struct plants {
    char *values[MAX_PLANTED];
    size_t count;
};
void plants_release(struct plants *p);
void pii_value(const struct texts *pii, enum column_type type, struct rng *r,
               struct plants *planted, struct buf *out);
/* A sentence with one value in it: section note_user or note_system. */
void pii_note(const struct texts *pii, const char *section, struct rng *r,
              struct plants *planted, struct buf *out);

/* Where words come from. */
struct source {
    const struct texts *wording; /* phrases */
    const struct texts *values;  /* words, cities, people */
    const struct texts *pii;
    unsigned personal_pm; /* of 1,000 conditions: on a personal column */
};

void query_random(const struct schema *s, const struct source *src,
                  struct rng *r, struct plants *planted, struct query *q);
void query_sql(const struct schema *s, const struct query *q, struct buf *out);
void query_question(const struct schema *s, const struct query *q,
                    const struct source *src, struct rng *r, struct buf *out);
/* A plausible wrong query: another column, function, order or condition. */
void query_mutate(const struct schema *s, const struct query *q, struct rng *r,
                  struct query *out);
/* A query that does not run, and SQLite's message for it. */
void query_break(const struct schema *s, const struct query *q, struct rng *r,
                 struct buf *sql, struct buf *message);
/* The column that the question asks for; table -1 if there is none. */
struct colref query_target(const struct query *q);
bool query_uses(const struct query *q, int table);
const char *colref_name(const struct schema *s, struct colref c);

enum task {
    TASK_EXTRACT,
    TASK_RERANK,
    TASK_WRITE,
    TASK_FIX,
    TASK_RESEARCH,
    TASK_CHART, /* in changed traffic alone; the base knows nothing of it */
};
enum { TASKS = 5, LOG_TASKS = 6, MAX_CANDIDATES = 6 };
extern const char *const task_names[LOG_TASKS];

/* A question about a database, with all that the five nodes are shown. */
struct turn {
    const struct schema *schema;
    struct query query;
    struct buf question, sql;
    struct colref candidates[MAX_CANDIDATES];
    size_t candidate_count, target;
    struct buf broken, message;   /* for the fixer */
    struct buf note_system, note; /* personal data around the question */
    struct buf findings;          /* for the researcher: rows as text */
    struct finding {
        char label[32];
        int value;
    } rows[4];
    size_t row_count;
    bool asks_tool; /* the researcher wants to run one more query */
    struct plants planted;
};
void turn_make(const struct schema *s, const struct source *src, uint64_t seed,
               struct turn *out);
void turn_release(struct turn *t);

/* Prompts: the texts of one node. */
const char *task_system(enum task task);
void task_user(enum task task, const struct turn *t, struct buf *out);
/* The re-ranker's columns, one a line. */
void turn_candidates(const struct turn *t, struct buf *out);
/* The right answer, and one with the LLM's kind of error. */
void task_gold(enum task task, const struct turn *t, struct buf *out);
void task_wrong(enum task task, const struct turn *t, struct rng *r,
                struct buf *out);
/* The sentences to use; borrowed until the end of the program. */
void prose_use(const struct texts *phrases);
/* The open question about the turn's rows. */
void prose_ask(const struct turn *t, struct buf *out);
/* Prose about the rows: three sentences. pick: draws another wording now and
 * then; NULL: never. */
void prose_write(const struct turn *t, struct rng *pick, bool wrong,
                 struct buf *out);

/* An assistant's call of run_query and what it gave back. limit 0: it takes
 * none; untrained: marked as no example to follow. */
void log_put_tool_turn(struct json_writer *w, const char *sql,
                       const char *result, int limit, bool untrained);

/* The two products. */
struct log_options {
    const char *data, *out;
    uint64_t seed;
    size_t turns; /* of the whole flow; 0: the shipped number */
    bool drift;   /* changed databases and tool, a node that was not there */
};
MUST_CHECK int log_write(const struct log_options *opt, struct err *err);

struct base_options {
    const char *data, *out;
    uint64_t seed;
    size_t bytes;
};
MUST_CHECK int base_write(const struct base_options *opt, struct err *err);

/* A log read back: its calls with a usable answer. */
struct traffic_call {
    struct slice request, response, message, model, conversation;
    int64_t latency_ms, tokens_in, tokens_out;
    enum task task;
    char *gold; /* the right answer */
};
struct traffic {
    struct buf log, gold;
    struct traffic_call *calls;
    size_t count, cap;
};
/* dir: what log_write has written; most: calls, 0 for all. Release also after
 * a failure. */
MUST_CHECK int traffic_load(const char *dir, size_t most, struct traffic *out,
                            struct err *err);
void traffic_release(struct traffic *t);

/* Loopback connections; descriptors, or negative. */
MUST_CHECK int peer_listen(int *port, struct err *err);
int peer_accept(int listener);
MUST_CHECK int peer_connect(int port, struct err *err);
bool peer_send(int fd, const struct buf *message);
/* One message into `in`; head and body point there. False: none came whole. */
bool peer_receive(int fd, struct buf *in, struct slice *head,
                  struct slice *body);
bool peer_field(struct slice head, const char *name, struct slice *value);

/* Listens until a signal ends it, and says where. */
#define ANSWER_LOGS 4
MUST_CHECK int answer_run(const char *const *logs, size_t count,
                          struct err *err);
struct replay_options {
    const char *log;
    int port;     /* of the server, on 127.0.0.1 */
    size_t calls; /* at most; 0: all */
};
/* Prints what was found. ERR_IO if a call got no answer. */
MUST_CHECK int replay_run(const struct replay_options *opt, struct err *err);

#endif
