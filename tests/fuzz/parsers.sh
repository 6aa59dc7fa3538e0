#!/bin/sh
# parsers.sh TARGET - the source files that read what a fuzz target is given: the
# parser alone, without what it stands on (lib/json, lib/base) or feeds.
case $1 in
adapter) ls lib/model/model_peft.c ;;
body) ls lib/store/store_body.c lib/store/store_pack.c ;;
catalog) ls lib/catalog/catalog.c ;;
config) ls lib/cli/cli_config.c lib/cli/cli_options.c lib/cli/cli_parse.c ;;
constrain) ls lib/constrain/*.c ;;
exchange) ls lib/wire/wire_import.c lib/wire/wire_intake.c lib/wire/wire_join.c \
    lib/wire/wire_outcomes.c lib/wire/wire_pieces.c lib/wire/wire_record.c \
    lib/wire/wire_rejects.c ;;
exchange_stream) ls lib/wire/wire_assemble*.c lib/wire/wire_events.c \
    lib/wire/wire_exchange.c lib/wire/wire_to_chat*.c ;;
gguf) find lib/weights -name 'gguf_*.c' | grep -v -e _build -e _write |
    LC_ALL=C sort ;;
http) ls lib/http/*.c ;;
import) ls lib/wire/wire_bodies.c lib/wire/wire_chat.c lib/wire/wire_export*.c \
    lib/wire/wire_foreign.c lib/wire/wire_format.c lib/wire/wire_from_*.c \
    lib/wire/wire_marks.c lib/wire/wire_otlp_*.c lib/wire/wire_record.c \
    lib/wire/wire_to_litellm.c lib/wire/wire_to_otlp.c ;;
jinja) ls lib/jinja/*.c ;;
json) ls lib/json/*.c ;;
lines) ls lib/codec/*.c ;;
model_config) ls lib/model/model_config.c lib/model/model_family.c \
    lib/model/model_family_hybrid.c lib/model/model_whole.c ;;
names) ls lib/names/*.c ;;
pieces) ls lib/wire/wire_pieces.c lib/wire/wire_join.c lib/wire/wire_otlp_*.c \
    lib/wire/wire_from_otlp.c ;;
rules) ls lib/scrub/scrub_rules.c lib/scrub/scrub_check.c ;;
schema) ls lib/scoring/score_schema.c lib/scoring/score_sql_text.c ;;
scoring) ls lib/scoring/score_json.c lib/scoring/score_sql.c \
    lib/scoring/score_text.c lib/scoring/score_tool.c ;;
scrub) find lib/scrub -name '*.c' | grep -v -e _check -e _gate | LC_ALL=C sort ;;
serve) ls lib/serve/serve_request.c lib/serve/serve_paths.c ;;
template) ls lib/template/template.c lib/template/template_parse.c \
    lib/template/template_request.c ;;
tokenizer) find lib/tokenizer -name '*.c' | grep -v -e _train -e /unicode_ |
    LC_ALL=C sort ;;
weights) ls lib/weights/safetensors.c lib/weights/weights.c \
    lib/weights/weights_bnb.c ;;
esac
