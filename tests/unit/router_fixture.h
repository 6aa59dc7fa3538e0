/* router_fixture.h - a request as the router's tests give it */
#ifndef ROUTER_FIXTURE_H
#define ROUTER_FIXTURE_H

#include "task_calls.h"

#include "router/router.h"
#include "router/router_private.h"

#include <string.h>

static struct json request;

static inline void parse(const char *text)
{
    ck_assert_msg(json_parse(&request, text, strlen(text), &err) == 0, "%s: %s",
                  err.msg, text);
}

#endif
