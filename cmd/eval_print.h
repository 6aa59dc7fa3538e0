/* eval_print.h - an evaluation for people: tables and notes */
#ifndef EVAL_PRINT_H
#define EVAL_PRINT_H

#include "cmd.h"
#include "report/report.h"

void eval_print(const struct report_eval *e, struct buf *out);

#endif
