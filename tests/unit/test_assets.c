/* test_assets.c - the embedded files are there, byte by byte */
#include "suite.h"

#include "assets/assets.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>

START_TEST(every_asset_equals_its_file)
{
    ck_assert_ptr_nonnull(assets_find("schema/0001_init.sql"));
    ck_assert_ptr_null(assets_find("schema/none.sql"));
    for (size_t i = 0; i < assets_count(); i++) {
        const struct asset *a = assets_at(i);
        char *path = io_path("data", a->name);
        struct buf file = { 0 };
        struct err err = { 0 };

        ck_assert_int_eq(io_read_file(path, (size_t)1 << 24, &file, &err), 0);
        ck_assert(slice_eq(buf_slice(&file), assets_text(a)));
        ck_assert_int_eq(a->data[a->size], 0);
        buf_release(&file);
        free(path);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("assets");

    tcase_add_test(t, every_asset_equals_its_file);
    return suite_run("assets", t);
}
