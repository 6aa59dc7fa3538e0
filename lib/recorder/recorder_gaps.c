/*
 * recorder_gaps.c - what was left out, counted where a full disk cannot stop it
 *
 * The counts stand in a page of a file that is mapped, whose block is there
 * before it is needed: a disk without room drops records, and if the process
 * then ends or is killed, the next one still writes the rows. Where there is
 * no room for the page at the start, they are in memory alone. The page also
 * counts the calls that run and could not be announced: a next process that
 * finds some was preceded by one that was killed, and makes them a gap.
 */
#include "recorder/recorder_private.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define CALLS_MAX (INT64_C(1) << 40)
_Static_assert(GAPS_KEPT * sizeof(struct recorder_gap) <= PAGE_BYTES,
               "one page");

/* What is no count of ours is begun anew. */
static bool is_sound(const struct recorder_gap *gaps)
{
    for (int i = 0; i < GAPS_KEPT; i++)
        if (gaps[i].calls < 0 || gaps[i].calls > CALLS_MAX ||
            gaps[i].bytes < 0 || gaps[i].from_us > gaps[i].until_us)
            return false;
    return true;
}

static struct recorder_gap *map_page(const char *path)
{
    static const char zeros[PAGE_BYTES];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    void *page = MAP_FAILED;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 &&
        (st.st_size == PAGE_BYTES ||
         (ftruncate(fd, 0) == 0 &&
          io_write_all(fd, zeros, sizeof(zeros), NULL) == ERR_OK)))
        page =
            mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return page == MAP_FAILED ? NULL : page;
}

static void take_running(struct recorder_gap *gaps)
{
    struct recorder_gap *to = &gaps[GAP_UNANNOUNCED], *from = &gaps[RUNNING];

    if (!from->calls)
        return;
    if (!to->calls || from->from_us < to->from_us)
        to->from_us = from->from_us;
    if (from->until_us > to->until_us)
        to->until_us = from->until_us;
    to->calls += from->calls;
    memset(from, 0, sizeof(*from));
}

void gaps_open(struct recorder *r)
{
    char *path = mem_printf("%s/spool/gaps", r->dir);

    r->gaps = map_page(path);
    r->gaps_mapped = r->gaps != NULL;
    if (!r->gaps)
        r->gaps = mem_zalloc(GAPS_KEPT * sizeof(*r->gaps));
    else if (!is_sound(r->gaps))
        memset(r->gaps, 0, PAGE_BYTES);
    take_running(r->gaps);
    free(path);
}

void gaps_close(struct recorder *r)
{
    char *path = mem_printf("%s/spool/gaps", r->dir);

    if (!r->gaps_mapped) {
        free(r->gaps);
    } else {
        if (!recorder_has_gaps(r) && !r->gaps[RUNNING].calls)
            (void)unlink(path);
        (void)munmap(r->gaps, PAGE_BYTES);
    }
    r->gaps = NULL;
    free(path);
}

void gaps_begin_call(struct recorder *r, int64_t time_us)
{
    recorder_widen_gap(&r->gaps[RUNNING], time_us, 0);
    r->stats.unannounced++;
}

void gaps_end_call(struct recorder *r, struct recorder_item *i)
{
    struct recorder_gap *g = &r->gaps[RUNNING];

    if (!i->unannounced)
        return;
    i->unannounced = false;
    if (--g->calls <= 0)
        memset(g, 0, sizeof(*g));
}

bool recorder_has_gaps(const struct recorder *r)
{
    for (int i = 0; i < GAPS; i++)
        if (r->gaps[i].calls)
            return true;
    return false;
}
