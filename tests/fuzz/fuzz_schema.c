/* fuzz_schema.c - SQL and schemas that stand in prompts and answers */
#include "scoring/scoring.h"
#include "sql/sql.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    struct sql_sandbox *sandbox = NULL;
    struct sql_rows rows = { 0 };
    struct err err;

    (void)score_schema_key(text);
    if (!sql_sandbox_open(&sandbox, &err)) {
        if (!sql_sandbox_fill(sandbox,
                              "CREATE TABLE t(a, b); "
                              "INSERT INTO t VALUES (1, 'x');",
                              &err) &&
            !sql_sandbox_query(sandbox, text, &rows, &err))
            (void)sql_rows_equal(&rows, &rows, true);
    }
    sql_rows_release(&rows);
    sql_sandbox_close(sandbox);
    return 0;
}
