/*
 * finetune_usage.c - options of finetune that do not go together
 *
 * An option that was typed and would change nothing is a mistake that costs a
 * training run, so it is refused. What the configuration or the environment
 * say for all runs may be idle in one.
 */
#include "finetune.h"

#include <stdlib.h>
#include <string.h>

/* The first of the words that is typed; NULL: none. */
static char *first_typed(const struct cli *cli, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        char *word = strndup(words, n);

        if (word && cli_is_typed(cli, word))
            return word;
        free(word);
        words += n + (words[n] == ' ');
    }
    return NULL;
}

static int count_typed(const struct cli *cli, const char *const *words)
{
    int n = 0;

    for (; *words; words++)
        n += cli_is_typed(cli, *words);
    return n;
}

struct idle {
    bool when;
    const char *options, *why;
};

static int check_idle(struct cli *cli, const struct idle *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *word = list[i].when ? first_typed(cli, list[i].options) : NULL;
        int rc;

        if (!word)
            continue;
        rc = cli_usage(cli, "--%s %s", word, list[i].why);
        free(word);
        return rc;
    }
    return EXIT_DONE;
}

/* What one option alone needs of the others. */
static int check_needs(struct cli *cli, const struct finetune *f)
{
    bool adapter = !f->init && finetune_is_adapter(f);
    const struct idle list[] = {
        { f->init && finetune_is_adapter(f), "method",
          "trains an adapter; --init trains all weights" },
        { f->init,
          "model as rank alpha targets merge force force-masked try examples "
          "override-terms",
          "goes with --task or --all, not with --init" },
        { !f->init, "data tokenizer loss validation", "goes with --init" },
        { !f->init && !adapter, "rank alpha targets merge",
          "goes with methods that train an adapter, not with --method full" },
        { f->adapter != NULL, "rank alpha targets",
          "is what the adapter of --adapter has; leave it out" },
        { adapter && !f->merge, "dtype",
          "is of a model's weights: it needs --merge, --method full or "
          "--init" },
        { !f->teacher, "temperature", "needs --teacher" },
        { !f->teacher && !f->logprobs, "mix", "needs --teacher or --logprobs" },
        { !f->preference, "beta", "needs --preference" },
        { f->tries,
          "output run as merge dry-run show-mask force override-terms",
          "goes with training that is kept, not with --try" },
        { f->patience == 0, "patience",
          "is 0: give a number of validations, or -1 for no limit" },
    };

    return check_idle(cli, list, sizeof(list) / sizeof(list[0]));
}

/* What would be done twice, or not at all. */
static int check_modes(struct cli *cli, const struct finetune *f)
{
    static const char *const lengths[] = { "epochs", "tokens", "minutes",
                                           NULL };

    if (!f->init == (!f->task && !f->all))
        return cli_usage(cli, "say one of --task TASK, --all, --init CONFIG");
    if (f->task && f->all)
        return cli_usage(cli, "--task names one task; --all takes all");
    if (f->all && f->tries)
        return cli_usage(cli, "--try tries one task");
    if (f->all && f->show_mask)
        return cli_usage(cli, "--show-mask shows one task");
    if (f->init &&
        (!f->tokenizer || f->data.count == 0 || (!f->output && !f->show_mask)))
        return cli_usage(cli, "--init needs --tokenizer, --data and --output");
    if (f->all && (f->output || f->run || f->name))
        return cli_usage(cli, "--output, --run and --as name one model; "
                              "--all makes many");
    if (count_typed(cli, lengths) > 1)
        return cli_usage(cli, "--epochs, --tokens and --minutes each say how "
                              "long to train; say one");
    return EXIT_DONE;
}

int finetune_check_usage(struct cli *cli, const struct finetune *f)
{
    int rc = check_modes(cli, f);

    if (rc != EXIT_DONE)
        return rc;
    if ((f->adapter || f->quantize || f->preference) &&
        (f->init || !finetune_is_adapter(f)))
        return cli_usage(cli, "--adapter, --quantize and --preference go with "
                              "methods that train an adapter");
    if ((f->preference != 0) + (f->logprobs != 0) + (f->teacher != NULL) > 1)
        return cli_usage(cli, "--preference, --logprobs and --teacher are "
                              "three losses; say one");
    if (f->init && f->logprobs)
        return cli_usage(cli, "--logprobs goes with --task or --all");
    return check_needs(cli, f);
}
