# add, list, show and remove of a real model; what cannot be added says why.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
here=$(pwd -P)
cp -R "$SLMCTL_REFERENCE/fixtures/stories260k" tiny
rm tiny/expected.*
slmctl model template --builtin >tiny/chat_template.jinja
printf -- '---\nlicense: mit\n---\n' >tiny/README.md
slmctl model list 2>&1 | sed "s|$HOME|HOME|"
slmctl model add tiny
slmctl model add tiny; echo "again: $?"
slmctl model add tiny --as other --license apache-2.0
slmctl model list | sed "s|$here|HERE|"
slmctl model show other | sed "s|$here|HERE|"
slmctl model list --json | sed "s|$here|HERE|" | jq -c '.schema, .models[0]'
slmctl generate --model other --raw -n 3 Lily; echo
slmctl model remove other
slmctl model list --json | jq '.models | length'
slmctl model remove other; echo "exit $?"
cp -R tiny cut
head -c 100000 tiny/model.safetensors >cut/model.safetensors
slmctl model add cut 2>&1 | sed "s|$here|HERE|"
rm cut/tokenizer.json
cp tiny/model.safetensors cut
slmctl model add cut 2>&1 | sed "s|$here|HERE|"
slmctl model add nowhere
mkdir different && cp -R tiny different/
printf x >>different/tiny/config.json
slmctl model add different/tiny 2>&1 | sed "s|$here|HERE|"
cp tiny/config.json different/tiny
slmctl model add different/tiny 2>&1 | sed "s|$here|HERE|"
