/*
 * names_corpus.c - sentences with labels, from files in CoNLL's columns
 *
 * Words are joined to text again, since the tagger sees text: blanks stand
 * where English has them. Labels become three classes.
 */
#include "names_tool.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS_FILE_MAX ((size_t)256 << 20)

void names_corpus_release(struct names_corpus *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->item[i].text);
        free(c->item[i].label);
    }
    free(c->item);
}

void names_corpus_add(struct names_corpus *c, struct buf *text,
                      struct buf *label, bool made, bool blind)
{
    void *all = c->item;
    size_t n;

    if (!text->len) {
        buf_reset(label);
        return;
    }
    mem_grow(&all, &c->cap, c->count + 1, sizeof(*c->item));
    c->item = all;
    c->item[c->count] = (struct names_sample){
        .label = (unsigned char *)buf_take(label, &n),
        .made = made,
        .blind = blind,
    };
    c->item[c->count].text = buf_take(text, &c->item[c->count].n);
    c->count++;
}

static unsigned tag_class(struct slice tag)
{
    static const struct {
        const char *name;
        unsigned tag;
    } classes[] = {
        { "PER", TAG_B_PERSON },         { "person", TAG_B_PERSON },
        { "LOC", TAG_B_PLACE },          { "location", TAG_B_PLACE },
        { "ORG", TAG_B_ORGANIZATION },   { "corporation", TAG_B_ORGANIZATION },
        { "group", TAG_B_ORGANIZATION },
    };

    if (tag.n < 3)
        return TAG_O;
    tag.p += 2;
    tag.n -= 2;
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (slice_is(tag, classes[i].name))
            return classes[i].tag;
    return TAG_O;
}

struct sentence {
    struct buf text, label;
    unsigned last; /* class of the word before */
    bool glue;     /* no blank before the next word */
};

static bool closes(struct slice w)
{
    return w.n && (strchr(".,;:!?)]}%'", w.p[0]) || slice_is(w, "n't") ||
                   slice_is(w, "''"));
}

static void add_word(struct sentence *s, struct slice w, struct slice tag)
{
    unsigned class = tag_class(tag), label = class;

    if (s->text.len && !s->glue && !closes(w)) {
        buf_char(&s->text, ' ');
        buf_char(&s->label, 0);
    }
    s->glue = slice_is(w, "(") || slice_is(w, "[") || slice_is(w, "@") ||
              slice_is(w, "#");
    if (class && class == s->last && tag.p[0] == 'I')
        label++;
    buf_add_slice(&s->text, w);
    for (size_t i = 0; i < w.n; i++)
        buf_char(&s->label, (char)label);
    s->last = class;
}

static void end_sentence(struct names_corpus *c, struct sentence *s)
{
    names_corpus_add(c, &s->text, &s->label, false, false);
    s->last = TAG_O;
    s->glue = false;
}

static void read_columns(struct names_corpus *c, struct slice text)
{
    struct sentence s = { 0 };

    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n, from = n, to = 0;
        struct slice line = slice_trim((struct slice){ text.p, n });

        text.p += n + (end != NULL);
        text.n -= n + (end != NULL);
        while (to < line.n && line.p[to] != ' ' && line.p[to] != '\t')
            to++;
        from = line.n;
        while (from > to && line.p[from - 1] != ' ' && line.p[from - 1] != '\t')
            from--;
        if (!line.n || slice_starts(line, "-DOCSTART-"))
            end_sentence(c, &s);
        else if (from > to)
            add_word(&s, (struct slice){ line.p, to },
                     (struct slice){ line.p + from, line.n - from });
    }
    end_sentence(c, &s);
    buf_release(&s.text);
    buf_release(&s.label);
}

static int not_hidden(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int read_file(struct names_corpus *c, const char *path, struct err *err)
{
    struct buf text = { 0 };
    int rc = io_read_file(path, CORPUS_FILE_MAX, &text, err);

    if (rc == ERR_OK)
        read_columns(c, buf_slice(&text));
    buf_release(&text);
    return rc;
}

int names_corpus_read(struct names_corpus *c, const char *folder,
                      struct err *err)
{
    struct dirent **names;
    int n = scandir(folder, &names, not_hidden, alphasort), rc = ERR_OK;

    if (n < 0)
        return err_set(err, ERR_IO,
                       "%s: cannot be read; name a folder of "
                       "CoNLL files",
                       folder);
    for (int i = 0; i < n; i++) {
        char *path = io_path(folder, names[i]->d_name);

        if (rc == ERR_OK)
            rc = io_is_dir(path) ? names_corpus_read(c, path, err)
                                 : read_file(c, path, err);
        free(path);
        free(names[i]);
    }
    free(names);
    return rc;
}
