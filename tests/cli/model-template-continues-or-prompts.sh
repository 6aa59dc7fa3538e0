# To continue the last message and to begin a new one exclude each other.
echo '{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}' >t.jinja
line() {
    printf '{"context":{"messages":[{"role":"assistant","content":"a"}],'
    printf '"add_generation_prompt":%s},"continue_final_message":%s}\n' "$1" "$2"
}
{
    line true true
    line true '"content"'
    line true false
    line false true
} | slmctl model template t.jinja
echo "exit $?"
