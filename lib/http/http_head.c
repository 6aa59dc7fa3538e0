/* http_head.c - heads of responses, and dates */
#include "http/http_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        { 100, "Continue" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].status == status)
            return known[i].reason;
    return "";
}

void http_head_begin(struct buf *out, int minor, int status, const char *reason)
{
    buf_printf(out, "HTTP/1.%d %03d %s\r\n", minor, status,
               reason ? reason : http_reason(status));
}

bool http_head_field(struct buf *out, struct slice name, struct slice value)
{
    if (!name.n || !http_all(name, HTTP_TOKEN) || !http_all(value, HTTP_TEXT))
        return false;
    buf_add_slice(out, name);
    buf_str(out, ": ");
    buf_add_slice(out, value);
    buf_str(out, "\r\n");
    return true;
}

void http_head_end(struct buf *out)
{
    buf_str(out, "\r\n");
}

void http_date(int64_t wall_us, char out[30])
{
    /* strftime's names follow the locale; these are the protocol's. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        memset(&tm, 0, sizeof(tm));
    (void)snprintf(out, 30, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                   days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100,
                   months + 3 * tm.tm_mon,
                   (unsigned)(tm.tm_year + 1900) % 10000,
                   (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
                   (unsigned)tm.tm_sec % 100);
}

void http_head_date(struct buf *out, int64_t wall_us)
{
    static _Thread_local int64_t second = -1;
    static _Thread_local char text[30];

    if (wall_us / 1000000 != second) {
        second = wall_us / 1000000;
        http_date(wall_us, text);
    }
    buf_str(out, "Date: ");
    buf_str(out, text);
    buf_str(out, "\r\n");
}

void http_head_begin_own(struct buf *out, int status, int64_t wall_us,
                         const char *content_type, size_t length)
{
    http_head_begin(out, 1, status, NULL);
    http_head_date(out, wall_us);
    buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type,
               length);
}
