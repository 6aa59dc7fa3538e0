# One line that says what is wrong and what to do.
slmctl generate hello; echo "$?"
slmctl generate --model nowhere hello 2>&1 | sed "s|$HOME|HOME|"
mkdir empty
slmctl generate --model empty hello; echo "$?"
slmctl generate --model empty --raw --system x hello; echo "$?"
slmctl generate --model empty --logprobs --json hello; echo "$?"
slmctl generate --model empty --task t hello 2>&1 | sed "s|$HOME|HOME|"
