/*
 * agent_main.c - agentgen: the query-writer agent's logs, the base's text
 *
 * agentgen logs --out DIR   writes logs.jsonl, gold.jsonl, planted.txt
 * agentgen drift --out DIR  the same, of what changed later
 * agentgen base --out FILE  writes chat lines to train the base model on
 * agentgen answer --log DIR stands in for the LLM, on a port that it says
 * agentgen replay --log DIR --port N  asks a log's calls again
 * Those that write take --data DIR (data/agent) and --seed N (1); --size N
 * bounds turns, bytes or calls.
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *data, *out, *logs[ANSWER_LOGS];
    size_t log_count;
    uint64_t seed, port, size; /* size: turns, bytes or calls */
};

static bool parse(int argc, char **argv, struct options *o)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } all[] = {
        { "--data", &o->data, NULL }, { "--out", &o->out, NULL },
        { "--seed", NULL, &o->seed }, { "--size", NULL, &o->size },
        { "--port", NULL, &o->port },
    };
    const size_t count = sizeof all / sizeof all[0];

    for (int i = 2; i + 1 < argc; i += 2) {
        size_t k = 0;
        while (k < count && strcmp(argv[i], all[k].name) != 0)
            k++;
        if (k < count && all[k].text)
            *all[k].text = argv[i + 1];
        else if (k < count)
            *all[k].number = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--log") == 0 && o->log_count < ANSWER_LOGS)
            o->logs[o->log_count++] = argv[i + 1];
        else
            return false;
    }
    return argc % 2 == 0;
}

static int run(const char *what, const struct options *o, struct err *err)
{
    bool drift = strcmp(what, "drift") == 0;

    if (o->out && (drift || strcmp(what, "logs") == 0))
        return log_write(
            &(struct log_options){ o->data, o->out, o->seed, o->size, drift },
            err);
    if (o->out && strcmp(what, "base") == 0)
        return base_write(
            &(struct base_options){ o->data, o->out, o->seed, o->size }, err);
    if (o->log_count && strcmp(what, "answer") == 0)
        return answer_run(o->logs, o->log_count, err);
    if (o->log_count == 1 && o->port && strcmp(what, "replay") == 0)
        return replay_run(
            &(struct replay_options){ o->logs[0], (int)o->port, o->size }, err);
    return ERR_INVALID;
}

int main(int argc, char **argv)
{
    struct options o = { .data = "data/agent", .seed = 1 };
    struct err err = { .msg = "" };
    int rc = ERR_INVALID;

    if (argc >= 2 && parse(argc, argv, &o))
        rc = run(argv[1], &o, &err);
    if (rc == ERR_INVALID && !err.msg[0]) {
        fprintf(stderr, "usage: agentgen logs|drift|base --out PATH "
                        "[--data DIR] [--seed N] [--size N]\n"
                        "       agentgen answer --log DIR ...\n"
                        "       agentgen replay --log DIR --port N "
                        "[--size N]\n");
        return 2;
    }
    if (rc != 0)
        fprintf(stderr, "agentgen: %s\n", err.msg);
    return rc == 0 ? 0 : 1;
}
