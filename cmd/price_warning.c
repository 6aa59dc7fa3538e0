/*
 * price_warning.c - prices of a table that cannot be any
 *
 * One bad row of a public table of thousands is no reason to stop; without a
 * word its model would look as if nobody knew its price.
 */
#include "price_warning.h"

void cmd_warn_prices(struct cli *cli, const struct score_prices *p)
{
    const char *what;
    size_t n = score_prices_odd(p, &what);

    if (n == 1)
        cli_warn(cli, "%s; the model is passed over", what);
    else if (n > 1)
        cli_warn(cli, "%s; it and %zu other models are passed over", what,
                 n - 1);
}
