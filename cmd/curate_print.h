/* curate_print.h - what the files of slmctl curate share */
#ifndef CURATE_PRINT_H
#define CURATE_PRINT_H

#include "cli/cli.h"
#include "curate/curate.h"

/* Takes in what waits in the spool of a sealed store, if the private key is
 * given. */
MUST_CHECK int curate_spool(struct cli *cli, struct err *err);
/* The key of --key-file, made if absent. */
MUST_CHECK int curate_load_key(struct cli *cli, struct crypto_key *key,
                               struct err *err);

/* A file that is there whole or not at all; "-" and what is no regular file
 * are written as they are. */
struct curate_output {
    struct curate_sink sink;
    int fd; /* 0: not open */
    char *path, *part;
};
MUST_CHECK int curate_output_open(struct curate_output *o, const char *path,
                                  struct err *err);
/* rc: how writing went; a failure leaves no file. Returns rc or a failure to
 * finish. */
MUST_CHECK int curate_output_close(struct curate_output *o, int rc,
                                   struct err *err);

/* Tells of splits that have no example, though they should. */
void curate_warn_empty(struct cli *cli, const struct curate_result *r);
void curate_summary_text(struct cli *cli, const struct curate_result *r,
                         const struct scrub_rules *rules, const char *changes,
                         double seconds, struct buf *out);
void curate_summary_json(const struct curate_result *r,
                         const struct scrub_rules *rules, const char *changes,
                         double seconds, struct buf *out);

/* --check-leaks; *code becomes EXIT_FAILED if anything survives. */
MUST_CHECK int curate_leaks(struct cli *cli, struct store *s, const char *file,
                            int *code, struct err *err);

/* --report: text, or with --json the document; *code becomes EXIT_FAILED if
 * it does not pass. canaries: persons. */
MUST_CHECK int curate_write_report(struct cli *cli, struct store *s,
                                   const struct scrub_rules *rules,
                                   const struct crypto_key *key,
                                   const char *file, unsigned canaries,
                                   int *code, struct err *err);
void curate_report_text(const struct curate_report *r,
                        const struct scrub_rules *rules, const char *key_id,
                        struct buf *out);
void curate_report_json(const struct curate_report *r,
                        const struct scrub_rules *rules, const char *key_id,
                        struct buf *out);

#endif
