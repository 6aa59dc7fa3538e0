/* price_warning.h - prices of a table that cannot be any */
#ifndef PRICE_WARNING_H
#define PRICE_WARNING_H

#include "cmd.h"
#include "scoring/scoring.h"

/* Tells the first and how many there are; nothing where all are fine. */
void cmd_warn_prices(struct cli *cli, const struct score_prices *p);

#endif
