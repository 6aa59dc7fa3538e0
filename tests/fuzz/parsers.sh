#!/bin/sh
# parsers.sh TARGET - the source files that read what a fuzz target is given: the
# parser alone, without what it stands on (lib/json, lib/base) or feeds.
case $1 in
adapter) ls lib/model/model_peft.c ;;
exchange_stream) ls lib/wire/wire_assemble*.c lib/wire/wire_events.c \
    lib/wire/wire_exchange.c lib/wire/wire_to_chat*.c ;;
gguf) find lib/weights -name 'gguf_*.c' | grep -v -e _build -e _write |
    LC_ALL=C sort ;;
jinja) ls lib/jinja/*.c ;;
model_config) ls lib/model/model_config.c lib/model/model_family.c \
    lib/model/model_family_hybrid.c lib/model/model_whole.c ;;
template) ls lib/template/template.c lib/template/template_parse.c \
    lib/template/template_request.c ;;
tokenizer) find lib/tokenizer -name '*.c' | grep -v -e _train -e /unicode_ |
    LC_ALL=C sort ;;
weights) ls lib/weights/safetensors.c lib/weights/weights.c \
    lib/weights/weights_bnb.c ;;
esac
