/*
 * agent_main.c - agentgen: the query-writer agent's logs, the base's text
 *
 * agentgen logs --out DIR   writes logs.jsonl, gold.jsonl, planted.txt
 * agentgen base --out FILE  writes chat lines to train the base model on
 * Both take --data DIR (data/agent) and --seed N (1).
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *data, *out;
    uint64_t seed;
    size_t size; /* --turns or --bytes */
};

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--data") == 0)
            o->data = argv[i + 1];
        else if (strcmp(argv[i], "--out") == 0)
            o->out = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--size") == 0)
            o->size = strtoull(argv[i + 1], NULL, 10);
        else
            return false;
    }
    return argc % 2 == 0 && o->out;
}

int main(int argc, char **argv)
{
    struct options o = { .data = "data/agent", .seed = 1 };
    struct err err;
    int rc = ERR_INVALID;

    if (argc >= 2 && parse(argc, argv, &o)) {
        if (strcmp(argv[1], "logs") == 0)
            rc = log_write(
                &(struct log_options){ o.data, o.out, o.seed, o.size }, &err);
        else if (strcmp(argv[1], "base") == 0)
            rc = base_write(
                &(struct base_options){ o.data, o.out, o.seed, o.size }, &err);
        else
            argc = 0;
    } else {
        argc = 0;
    }
    if (argc == 0) {
        fprintf(stderr, "usage: agentgen logs|base --out PATH [--data DIR] "
                        "[--seed N] [--size N]\n");
        return 2;
    }
    if (rc != 0)
        fprintf(stderr, "agentgen: %s\n", err.msg);
    return rc == 0 ? 0 : 1;
}
