/*
 * router_keep.c - the calibration of a model as a row
 *
 * Data decides, detail describes; neither holds a text.
 */
#include "router/router_private.h"

#include "sql/sql.h"

int router_calibration_store(struct store *s, int64_t model,
                             const struct router_calibration *c, int64_t now_us,
                             struct err *err)
{
    struct buf data = { 0 }, detail = { 0 };
    struct json_writer w;
    struct sql_stmt *q;
    int rc = sql_get(store_sql(s),
                     "INSERT OR REPLACE INTO calibration(model, time, version, "
                     "data, detail) VALUES(?1, ?2, ?3, ?4, ?5)",
                     &q, err);

    if (rc < 0)
        return rc;
    router_calibration_save(c, &data);
    json_writer_init(&w, &detail, false);
    json_begin_object(&w, NULL);
    router_calibration_write(c, &w);
    json_end_object(&w);
    sql_bind_int(q, 1, model);
    sql_bind_int(q, 2, now_us);
    sql_bind_int(q, 3, ROUTER_CALIBRATION_VERSION);
    sql_bind_blob(q, 4, data.data, data.len);
    sql_bind_text(q, 5, buf_slice(&detail));
    rc = sql_run(q, err);
    buf_release(&data);
    buf_release(&detail);
    return rc;
}
