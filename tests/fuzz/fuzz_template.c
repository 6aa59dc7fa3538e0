/* fuzz_template.c - requests of arbitrary bytes, and answers read back */
#include "json/json.h"
#include "template/template.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The built-in template, opened as it lies beside a model. */
static const struct template *builtin(void)
{
    static struct template *t;
    char dir[] = "/tmp/slmctl-fuzz-XXXXXX";
    const char *text = template_builtin();
    struct err err;
    char *path;

    if (t)
        return t;
    if (!mkdtemp(dir))
        abort();
    path = io_path(dir, "chat_template.jinja");
    if (io_write_file(path, text, strlen(text), 0600, &err) ||
        template_open(dir, &t, &err))
        abort();
    unlink(path);
    rmdir(dir);
    free(path);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = { .data = NULL }, message = { .data = NULL };
    struct json j = { 0 }, back = { 0 };
    bool malformed;
    struct err err;

    if (!json_parse(&j, (const char *)data, size, &err)) {
        (void)!template_prompt(builtin(), &j, 0, &out, &err);
        buf_reset(&out);
        (void)!template_answer(builtin(), &j, 0, &j, 0, &out, &err);
    }
    if (utf8_valid((const char *)data, size) &&
        !template_parse(builtin(), (struct slice){ (const char *)data, size },
                        &message, &malformed, &err) &&
        json_parse(&back, message.data, message.len, &err))
        abort();
    json_release(&j);
    json_release(&back);
    buf_release(&out);
    buf_release(&message);
    return 0;
}
