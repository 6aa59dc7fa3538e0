#compdef slmctl
# completion of slmctl(1) for zsh; `slmctl completion zsh` prints it
_slmctl_names()
{
    local -a names
    names=(${(f)"$(slmctl --complete $1 2>/dev/null)"})
    compadd -a names
}
_slmctl_estimate()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--format=[what the lines are]:FORMAT:(auto exchange chat litellm otlp har langfuse pairs)' \
        '--prices=[another price table, slmctl'\''s or LiteLLM'\''s]:FILE:_files' \
        '--machine-cost=[cost of an hour of the machine that serves]:DOLLARS: ' \
        '--watts=[power that it draws, if that is paid apart]:W: ' \
        '--kwh-price=[of that power]:DOLLARS: ' \
        '--sample=[different requests in which tasks are looked for]:N: ' \
        '--markdown=[write it as Markdown too]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: ' \
        '*:operand:_files'
}
_slmctl_collect()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*--import=[add the calls of a file, of a directory'\''s files or of stdin]:FILE|DIR|-:_files' \
        '--format=[what imported lines are (default auto\: told by each)]:FORMAT:(auto exchange chat litellm otlp har langfuse pairs)' \
        '*--outcomes=[join rewards, labels or corrected answers to logged calls]:FILE|-:_files' \
        '*--follow=[add the calls of a log as it grows, until it is stopped]:FILE:_files' \
        '*--listen=[be a proxy that logs\: HOST\:PORT, unix\:PATH or fd\:N]:ADDRESS: ' \
        '*--upstream=[where calls go; those below /NAME/ to this one]:\[NAME=\]URL: ' \
        '*--private=[this upstream'\''s host may have a private address]:NAME: ' \
        '--admin=[listen for /healthz, /readyz, /metrics and /feedback]:ADDRESS: ' \
        '--durability=[when a call counts as logged (default batch)]:HOW:(sync batch spool)' \
        '--on-overload=[what if logging falls behind (default spill)]:POLICY:(spill drop reject block)' \
        '--on-abort=[what if a client leaves (default cancel)]:POLICY:(cancel drain)' \
        '--queue=[calls in memory that are not written yet (default 64M)]:SIZE: ' \
        '--spool=[calls on disk that are not written yet (default 1G)]:SIZE: ' \
        '--commit-after=[commit calls after this time (default 50)]:MS: ' \
        '--max-body=[longest body of a request (default 64M)]:SIZE: ' \
        '--max-capture=[longest body that is logged whole (default 64M)]:SIZE: ' \
        '--connections=[clients at a time (default 4096)]:N: ' \
        '--connect-timeout=[until an upstream is connected (default 10)]:SECONDS: ' \
        '--first-byte-timeout=[until its answer begins, 0 for ever (default 600)]:SECONDS: ' \
        '--idle-timeout=[silence within an answer, 0 for ever (default 300)]:SECONDS: ' \
        '--grace=[for calls that run when it is to stop (default 30)]:SECONDS: ' \
        '*--trust=[believe what these say about their clients'\'' addresses]:NETWORK: ' \
        '--proxy-protocol[trusted peers begin with a PROXY header]' \
        '--client-tokens=[serve only who has one of these tokens]:FILE:_files' \
        '*--keep-header=[header fields to log, instead of the usual ones]:NAME: ' \
        '--allow-no-log[honour X-SLM-No-Log\: log no bodies of that call]' \
        '--egress-proxy=[reach upstreams through this proxy]:URL: ' \
        '--ca-file=[certificates to trust instead of the system'\''s]:FILE:_files' \
        '--http2[speak HTTP/2 with upstreams that offer it]' \
        '--no-encryption[a store that is made now is not encrypted]' \
        '--seal-to=[seal a new store to this public key\: its digits, or their file]:PUBLIC:_files' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: '
}
_slmctl_curate()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--rules=[scrub by the rules of this directory too]:DIR:_files -/' \
        '*--action=[surrogate (default), tag, mask, drop or keep finds of TYPE]:TYPE=ACTION: ' \
        '--keep=[values that are not replaced, one a line]:FILE:_files' \
        '--names=[how far to go for names (default tagger)]:LEVEL:(off rules tagger paranoid)' \
        '--strict[replace also what has only the shape]' \
        '--no-strict[take back the --strict of earlier runs]' \
        '--vault=[keep there, encrypted, what surrogates stand for]:FILE:_files' \
        '--scope=[where equal values look equal (default conversation)]:SCOPE:(conversation client dataset)' \
        '--drop=[faults that drop a call, as changes\: refusal,-long]:LIST: ' \
        '*--require=[keep what has such an outcome, as outcome.reward>0]:CONDITION: ' \
        '--contradictory=[of different answers to one input (default keep)]:WHICH:(keep majority latest drop)' \
        '--similarity=[from where on texts are near-duplicates (default 0.8)]:S: ' \
        '--group-by=[what no split divides (default conversation)]:WHAT:(conversation client)' \
        '--split-by=[by time the latest are tested on (default task)]:WHAT:(task time)' \
        '*--split=[percent for train, validation and test; or what to export]:SHARES|NAME: ' \
        '--decisions=[write what became of each call, and why]:FILE|-:_files' \
        '--export=[write kept examples as chat JSON Lines]:FILE|-:_files' \
        ''{-t+,--task=}'[export the examples of this task only]:TASK:_slmctl_names tasks' \
        '--check-leaks=[search the examples for values that must be gone, one a line]:FILE:_files' \
        '--report=[write what was replaced, what is left, and whether anything survives]:FILE|-:_files' \
        '--canaries=[with --report\: plant N persons who do not exist]:N: ' \
        '--check-rules[run the examples that stand in the rules, and nothing else]' \
        '--filter[scrub lines of JSON from stdin to stdout, without a store]' \
        '--reveal[turn surrogates in lines from stdin back, by --vault]' \
        '--text[with --filter or --reveal\: lines are plain text]' \
        '--spans[with --filter\: write what was found instead]' \
        '--shard=[with --filter and --key-file\: only line I of each N]:I/N: ' \
        '--summary[with --filter\: tell at the end, on stderr, what was done]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: '
}
_slmctl_cluster()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--refit[find the tasks again from all examples]' \
        '--embedder=[compare texts by this encoder (default\: as the tasks were found)]:DIR|builtin:_files -/' \
        '--assignments=[write the task of each kept example]:FILE|-:_files' \
        '*--rename=[give a task another name, kept by later runs]:OLD=NEW:_slmctl_names tasks' \
        '*--merge=[make the calls of B calls of A, now and later]:A,B:_slmctl_names tasks' \
        '*--pin=[keep a task'\''s calls, name and kind when tasks are found again]:TASK:_slmctl_names tasks' \
        '*--unpin=[take a pin out]:TASK:_slmctl_names tasks' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: '
}
_slmctl_select()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*'{-t+,--task=}'[this task only]:TASK:_slmctl_names tasks' \
        '--max-memory=[memory for training (default\: 85 % of the machine'\''s, or a GPU'\''s free)]:BYTES: ' \
        '--device=[size for\: auto, cpu, cuda or cuda\:N (default cpu)]:DEVICE: ' \
        '--min-context=[context length (default\: the longest of the task'\''s calls)]:TOKENS: ' \
        '--license=[licences that are acceptable]:KIND:(any commercial)' \
        '--offline[only models whose weights are registered here]' \
        '--models=[another catalogue instead of the shipped one]:FILE:_files' \
        '--top=[candidates shown a task]:N: ' \
        '--all[show excluded models too, with their reasons]' \
        '--rank=[LoRA rank for the training estimate]:N: ' \
        '--batch-tokens=[tokens of a training step for the estimate]:N: ' \
        '--trial=[train the best that are here so long each, and rank by their scores]:MINUTES: ' \
        '--trial-top=[candidates a task to try]:K: ' \
        '--trial-examples=[newest examples to try them on; 0\: as finetune --try]:N: ' \
        '--save[store the ranks also where constraints are given]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]'
}
_slmctl_finetune()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-t+,--task=}'[the task to train for]:TASK:_slmctl_names tasks' \
        '--all[all tasks whose examples changed since their last model]' \
        '--force[train also where nothing has changed]' \
        '--force-masked[train also on examples with tags, masks or holes]' \
        '--override-terms=[train though terms forbid it; the reason is written down]:REASON: ' \
        ''{-m+,--model=}'[the base model (default\: the task'\''s best candidate that is here)]:NAME|DIR:_slmctl_names models' \
        '--method=[what is trained (default lora)]:METHOD:(lora rslora dora rslora+dora full)' \
        '--adapter=[go on from this PEFT adapter]:DIR:_files -/' \
        '--quantize=[keep the base'\''s weights in 4 or 8 bits while training (QLoRA)]:TYPE:(nf4 int8)' \
        '--teacher=[distil from this model; it must have the same tokenizer]:NAME|DIR:_slmctl_names models' \
        '--logprobs[distil from the log probabilities that logged answers carry]' \
        '--temperature=[of --teacher and its student (default 1)]:X: ' \
        '--mix=[share of the teacher in the loss (default 0.5)]:X: ' \
        '--preference[train on pairs of a better and a worse answer (DPO)]' \
        '--beta=[of --preference\: how near to the base to stay (default 0.1)]:X: ' \
        ''{-r+,--rank=}'[rank of the adapter (default 16)]:N: ' \
        '--alpha=[scale of the adapter is X/rank (default 2 * rank)]:X: ' \
        '--targets=[linear layers to adapt, by comma (default all-linear)]:LIST: ' \
        '--lr=[highest learning rate (default by method and size)]:X: ' \
        '--epochs=[passes over the data (default 3; 1 with --init)]:X: ' \
        '--tokens=[train on N tokens instead]:N: ' \
        '--minutes=[train for about X minutes instead]:X: ' \
        '--batch-tokens=[tokens of one step (default 8192; 2048 for narrow models)]:N: ' \
        '--pass-tokens=[tokens held in memory at once (default 4096, or what 1.5 GB hold)]:N: ' \
        '--max-length=[longest example in tokens (default 2048, at most the context)]:N: ' \
        '--over-long=[longer examples\: leave out, or drop their oldest turns (default refuse)]:RULE:(refuse cut)' \
        '--checkpoint-activations=[compute blocks again instead of keeping them (default auto)]:WHEN:(auto on off)' \
        '--dry-run[say what would be trained, its memory and time; train nothing]' \
        '--try[train for a few minutes, measure score, speed and memory; keep nothing]' \
        '--examples=[train on the newest N examples (default all; 2000 with --try)]:N: ' \
        '--replay=[train on what is new and X times as many older examples (default all)]:X: ' \
        '--decay=[weight decay (default 0.01; 0.1 with --init)]:X: ' \
        '--clip=[largest gradient norm (default 1)]:X: ' \
        '--warmup=[share of the steps that warm up (default 0.03)]:X: ' \
        '--patience=[stop after N validations without gain (default 3; -1 never)]:N: ' \
        '--validate-every=[steps between validations (default an eighth of the run)]:N: ' \
        '--checkpoint-every=[steps between checkpoints (default\: one a minute)]:N: ' \
        ''{-o+,--output=}'[where the result goes (default\: the store'\''s models)]:DIR:_files -/' \
        '--run=[run directory\: metrics and checkpoint (default\: the store'\''s runs)]:DIR:_files -/' \
        '--as=[name of the model (default\: task and a number)]:NAME: ' \
        '--merge[write a merged model beside the adapter]' \
        '--init=[train from random weights of this config.json, or on from this model]:CONFIG|DIR:_files' \
        '--tokenizer=[with --init\: the tokenizer'\''s directory]:DIR:_files -/' \
        '*'{-d+,--data=}'[with --init\: texts (.jsonl, or plain with blank lines between)]:FILE:_files' \
        '*--validation=[with --init\: held-out texts (default\: every 100th text)]:FILE:_files' \
        '--loss=[with --init\: what is trained of conversations (default all)]:PART:(all answer)' \
        '--show-mask=[print N examples with the trained tokens marked, and train nothing]:N: ' \
        '--dtype=[of written weights (default bf16 with --init, else the base'\''s)]:TYPE:(f32 bf16 f16)' \
        '--cpu=[kernels to use (default\: the best that this CPU has)]:KERNELS:(generic avx2 avxvnni avx512 avx512vnni neon)' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much memory (default 4/5 of it, a GPU'\''s free)]:SIZE: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: '
}
_slmctl_eval()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*'{-t+,--task=}'[evaluate this task]:TASK:_slmctl_names tasks' \
        ''{-m+,--model=}'[the model to judge, not the task'\''s newest]:NAME|DIR:_slmctl_names models' \
        '--adapter=[a PEFT adapter to put over --model]:DIR:_files -/' \
        '--split=[the examples to use; test is sealed, opening it is noted]:SPLIT:(validation test)' \
        '--margin=[how much worse than the LLM a model may be]:POINTS: ' \
        '--valid-margin=[how much rarer valid answers may be; 0\: no condition]:POINTS: ' \
        '--max-p95=[95th percentile of the latency, at most; 0\: no condition]:MS: ' \
        '--limit=[at most N examples a task; 0\: all]:N: ' \
        '--batch=[prompts answered at once]:N: ' \
        '--no-base[leave the untuned base model out]' \
        '--constrain=[keep answers to the form that the task asks for]:WHEN:(auto off)' \
        '--weights=[how the model'\''s matrices are kept (default auto)]:WAY:(auto stored f32 q8_0 q4_0)' \
        '--again[evaluate also what has not changed since it was]' \
        '--endpoint=[judge a model behind this OpenAI-type endpoint]:URL: ' \
        '--endpoint-model=[the model that --endpoint is asked for]:NAME: ' \
        '--endpoint-key-file=[the key of --endpoint, alone in a file]:FILE:_files' \
        '--no-cache[ask again what the models have answered before]' \
        '--kv-cache=[disk for what prompts begin with, 0\: none (default 512M)]:SIZE: ' \
        '--draft=[look tokens up in what was said (default auto)]:WHEN:(auto off)' \
        '--judge=[let a model behind this endpoint compare the answers]:URL: ' \
        '--judge-model=[the model that --judge is asked for]:NAME: ' \
        '--judge-key-file=[the key of --judge, alone in a file]:FILE:_files' \
        '--judge-items=[examples a task that the judge sees; 0\: all]:N: ' \
        '--judge-gate[the judge'\''s opinion is a condition of the gate]' \
        '--calibrate[learn from validation which answers serve may keep]' \
        '--floor=[with --calibrate\: how much worse the mix may be]:POINTS: ' \
        '--gold=[right answers for extra columns; the gate never sees them]:FILE:_files' \
        '--prices=[prices of hosted models, instead of the shipped ones]:FILE:_files' \
        '--machine-cost=[what this machine costs an hour]:DOLLARS: ' \
        '--show=[disagreements a task to show in Markdown and JSON]:N: ' \
        '--junit=[write the verdicts as JUnit XML]:FILE:_files' \
        '--markdown=[write the report as Markdown]:FILE:_files' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--kv=[keep keys and values of read tokens so (default f32)]:TYPE:(f32 f16 int8)' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: '
}
_slmctl_serve()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*--model=[serve this model, under this name]:\[NAME=\]DIR|NAME:_slmctl_names models' \
        '*--task=[serve this task'\''s model under the task'\''s name]:TASK:_slmctl_names tasks' \
        '*--embedder=[serve this encoder'\''s vectors, under this name]:\[NAME=\]DIR:_files' \
        '--default-model=[what answers to names that are none of these]:NAME: ' \
        '--slots=[answers of a base at a time (default 16)]:N: ' \
        '--queue-requests=[requests that may wait, others get 429 (default 64)]:N: ' \
        '--prefix-cache=[memory of what was read, with slots (default 1536M)]:SIZE: ' \
        '--kv-cache=[disk for what prompts begin with, 0\: none (default 512M)]:SIZE: ' \
        '--draft=[look tokens up in what was said (default auto)]:WHEN:(auto off)' \
        '--max-tokens=[longest answer, whatever is asked for (default 1024)]:N: ' \
        '--constrain=[answers keep to the form asked for (default auto)]:WHEN:(auto off)' \
        '--weights=[how the model'\''s matrices are kept (default auto)]:WAY:(auto stored f32 q8_0 q4_0)' \
        '*--allow-host=[clients may know this machine by this name]:NAME: ' \
        '--look-up=[look for promoted models so often, 0\: never (default 60)]:SECONDS: ' \
        '--resume=[end this task'\''s step back, and do nothing else]:TASK:_slmctl_names tasks' \
        '--explain=[say what would become of this request, and do nothing else]:FILE|-:_files' \
        '--generate[with --explain\: have the task'\''s champion answer, too]' \
        '--curve[print what quality costs in the log, and do nothing else]' \
        '--mode=[what to do with the upstream'\''s calls (default shadow)]:MODE:(off shadow canary on)' \
        '--canary=[of conversations, with --mode canary (default 10)]:PERCENT: ' \
        '*--route=[another mode for this task]:TASK=MODE\[\:PERCENT\]:_slmctl_names tasks' \
        '--audit=[of calls that could be answered, to compare (default 2)]:PERCENT: ' \
        '--step-back-agreement=[a task stops if it agrees so much less (default 5)]:POINTS: ' \
        '--step-back-errors=[of unusable answers, above it a task stops (default 10)]:PERCENT: ' \
        '--step-back-window=[of so many calls (default 200)]:N: ' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--kv=[keep keys and values of read tokens so (default f32)]:TYPE:(f32 f16 int8)' \
        '*--listen=[be a proxy that logs\: HOST\:PORT, unix\:PATH or fd\:N]:ADDRESS: ' \
        '*--upstream=[where calls go; those below /NAME/ to this one]:\[NAME=\]URL: ' \
        '*--private=[this upstream'\''s host may have a private address]:NAME: ' \
        '--admin=[listen for /healthz, /readyz, /metrics and /feedback]:ADDRESS: ' \
        '--durability=[when a call counts as logged (default batch)]:HOW:(sync batch spool)' \
        '--on-overload=[what if logging falls behind (default spill)]:POLICY:(spill drop reject block)' \
        '--on-abort=[what if a client leaves (default cancel)]:POLICY:(cancel drain)' \
        '--queue=[calls in memory that are not written yet (default 64M)]:SIZE: ' \
        '--spool=[calls on disk that are not written yet (default 1G)]:SIZE: ' \
        '--commit-after=[commit calls after this time (default 50)]:MS: ' \
        '--max-body=[longest body of a request (default 64M)]:SIZE: ' \
        '--max-capture=[longest body that is logged whole (default 64M)]:SIZE: ' \
        '--connections=[clients at a time (default 4096)]:N: ' \
        '--connect-timeout=[until an upstream is connected (default 10)]:SECONDS: ' \
        '--first-byte-timeout=[until its answer begins, 0 for ever (default 600)]:SECONDS: ' \
        '--idle-timeout=[silence within an answer, 0 for ever (default 300)]:SECONDS: ' \
        '--grace=[for calls that run when it is to stop (default 30)]:SECONDS: ' \
        '*--trust=[believe what these say about their clients'\'' addresses]:NETWORK: ' \
        '--proxy-protocol[trusted peers begin with a PROXY header]' \
        '--client-tokens=[serve only who has one of these tokens]:FILE:_files' \
        '*--keep-header=[header fields to log, instead of the usual ones]:NAME: ' \
        '--allow-no-log[honour X-SLM-No-Log\: log no bodies of that call]' \
        '--egress-proxy=[reach upstreams through this proxy]:URL: ' \
        '--ca-file=[certificates to trust instead of the system'\''s]:FILE:_files' \
        '--http2[speak HTTP/2 with upstreams that offer it]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--threads=[threads to use; 0\: one per CPU]:N: '
}
_slmctl_retrain()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*'{-t+,--task=}'[this task only]:TASK:_slmctl_names tasks' \
        ''{-n,--dry-run}'[say what is due and why; do nothing]' \
        '--force[train also what is not due]' \
        '--min-new=[new examples that make a task due (default 200)]:N: ' \
        '--psi=[drift that makes it due (default 0.25)]:X: ' \
        '--novel=[share of new calls like nothing known (default 10)]:PERCENT: ' \
        '--age=[of its newest data set (default 30; 0\: never)]:DAYS: ' \
        '--agreement=[fall of routed calls'\'' agreement below the gate (default 5)]:POINTS: ' \
        '--minutes=[train each task for about X minutes (default\: as finetune does)]:X: ' \
        '--replay=[train on what is new and X times as many older examples (default all)]:X: ' \
        '--margin=[how much worse than the LLM a model may be (default 3)]:POINTS: ' \
        '--champion-margin=[how much worse than the champion (default 1)]:POINTS: ' \
        '--keep=[versions of a task that stay (default 5; 0\: all)]:N: ' \
        '--override-terms=[though terms forbid it; the reason is written down]:REASON: ' \
        '--notify=[a program that is told what was done, as JSON on its input]:FILE:_files' \
        '--no-promote[train and gate, and leave champions as they are]' \
        '--lock-wait=[seconds to wait for another run (default 0)]:S: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]'
}
_slmctl_generate()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-m+,--model=}'[model directory, or a model of the store]:DIR|NAME:_slmctl_names models' \
        '--adapter=[PEFT adapter to apply]:DIR:_files -/' \
        ''{-t+,--task=}'[the model trained for this task, and the frame of its calls]:TASK:_slmctl_names tasks' \
        '--raw[continue the prompt as it is, without a chat template]' \
        '--system=[system prompt (with --task instead of the task'\''s)]:TEXT: ' \
        '--temperature=[0 takes the likeliest token each time]:T: ' \
        '--top-p=[sample among the likeliest tokens of this total probability]:P: ' \
        '--top-k=[sample among so many tokens; 0 is all]:K: ' \
        '--min-p=[sample among tokens of this share of the likeliest one'\''s probability]:P: ' \
        '--repetition-penalty=[above 1 makes tokens of the prompt and the answer less likely]:X: ' \
        '--sample[sample as the model'\''s generation_config.json asks]' \
        '*--stop=[end before this text; may be given again]:TEXT: ' \
        '--schema=[answer JSON that fits this JSON schema]:FILE:_files' \
        '--labels=[answer one of these labels]:A,B,...: ' \
        '--regex=[answer a text that this regular expression matches]:RE: ' \
        '--constrain=[with --task\: keep the answer to the form that the task asks for]:WHEN:(auto off)' \
        ''{-n+,--max-tokens=}'[end after so many tokens]:N: ' \
        '--kv-cache=[disk for what prompts begin with, 0\: none (default 512M)]:SIZE: ' \
        '--draft=[look tokens up in what was said (default auto)]:WHEN:(auto off)' \
        '--weights=[how the model'\''s matrices are kept (default auto)]:WAY:(auto stored f32 q8_0 q4_0)' \
        '--logprobs[print a JSON line for each token instead of the text]' \
        '--top-logprobs=[with --logprobs\: the N likeliest tokens at each place too]:N: ' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--kv=[keep keys and values of read tokens so (default f32)]:TYPE:(f32 f16 int8)' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: '
}
_slmctl_model()
{
    local state line
    _arguments -C '(- *)--help[print help]' \
        '1:command:->command' '*::operand:->rest'
    case $state in
    command)
        local -a list=(
            'add:register a base model'
            'list:models of the store'
            'show:what is in a model'
            'remove:forget a model; its files stay'
            'check:compare the engine with reference values'
            'tokenize:texts to token ids and back'
            'template:render a chat template'
            'train-tokenizer:make a byte-level tokenizer from texts'
            'verify:is a model whole, and does it fit here'
            'convert:write a model in another format or type, and check it'
            'merge:write a model with its adapter merged in, and check it'
            'promote:let a model answer its task'
            'rollback:back to the champion before'
            'retire:a model that is not to answer any more'
            'terms:may one learn from an LLM, and use a licence'
        )
        _describe command list ;;
    rest)
        case $line[1] in
        add) _slmctl_model_add ;;
        list) _slmctl_model_list ;;
        show) _slmctl_model_show ;;
        remove) _slmctl_model_remove ;;
        check) _slmctl_model_check ;;
        tokenize) _slmctl_model_tokenize ;;
        template) _slmctl_model_template ;;
        train-tokenizer) _slmctl_model_train_tokenizer ;;
        verify) _slmctl_model_verify ;;
        convert) _slmctl_model_convert ;;
        merge) _slmctl_model_merge ;;
        promote) _slmctl_model_promote ;;
        rollback) _slmctl_model_rollback ;;
        retire) _slmctl_model_retire ;;
        terms) _slmctl_model_terms ;;
        esac ;;
    esac
}
_slmctl_model_add()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--as=[its name here (default\: the directory'\''s)]:NAME: ' \
        '--license=[its licence (default\: what its README.md states)]:ID: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_files -/'
}
_slmctl_model_list()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-t+,--task=}'[versions of this task\: champion, verdict, terms]:TASK:_slmctl_names tasks' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]'
}
_slmctl_model_show()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_remove()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_check()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--adapter=[check this PEFT adapter on the model]:DIR:_files -/' \
        '--tolerance=[largest error that passes, relative to the largest value (default\: the family'\''s)]:X: ' \
        '--values=[write what was computed as safetensors]:FILE:_files' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_tokenize()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--special[add the tokens that the tokenizer itself puts around a text]' \
        '--offsets[also where each token begins and ends, in code points]' \
        '--decode[from ids to text]' \
        '--skip-special[leave special tokens out of the text]' \
        '*:operand:_files'
}
_slmctl_model_template()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--builtin[print slmctl'\''s own chat template]' \
        '--spans[also where each generation block'\''s text stands, in bytes]' \
        '*:operand:_files'
}
_slmctl_model_train_tokenizer()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-n+,--vocab=}'[size of the vocabulary]:N: ' \
        '*--special=[special token; the first one gets id 0]:TOKEN: ' \
        '--max-bytes=[use so much text at most; 0 is all]:BYTES: ' \
        ''{-o+,--output=}'[tokenizer.json to write]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_files'
}
_slmctl_model_verify()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_convert()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--to=[format to write]:FORMAT:(gguf safetensors)' \
        '--type=[type of matrices\: F32, F16, BF16; GGUF also Q8_0, Q4_0, Q4_K, Q6_K]:TYPE: ' \
        '--base=[of an adapter\: the model it is for]:DIR:_files -/' \
        ''{-o+,--output=}'[what to write]:PATH:_files' \
        '--shard-size=[safetensors\: bytes of data in one file at most, 0 for one file]:SIZE: ' \
        '--prompts=[compare on these lines instead of built-in ones]:FILE:_files' \
        ''{-t+,--task=}'[compare scores on this task'\''s validation examples too]:TASK:_slmctl_names tasks' \
        '--examples=[at most so many of them; 0\: none]:N: ' \
        '--max-drop=[largest loss of score that passes]:POINTS: ' \
        '--max-kl=[largest mean KL divergence that passes (default by type)]:X: ' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_merge()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--adapter=[PEFT adapter to merge]:DIR:_files -/' \
        '--type=[type of the weights\: F32, F16 or BF16 (default as stored)]:TYPE: ' \
        ''{-o+,--output=}'[what to write]:PATH:_files' \
        '--shard-size=[safetensors\: bytes of data in one file at most, 0 for one file]:SIZE: ' \
        '--prompts=[compare on these lines instead of built-in ones]:FILE:_files' \
        ''{-t+,--task=}'[compare scores on this task'\''s validation examples too]:TASK:_slmctl_names tasks' \
        '--examples=[at most so many of them; 0\: none]:N: ' \
        '--max-drop=[largest loss of score that passes]:POINTS: ' \
        '--max-kl=[largest mean KL divergence that passes (default by type)]:X: ' \
        '--device=[where to compute\: auto, cpu, cuda or cuda\:N]:DEVICE: ' \
        '--precision=[of a GPU'\''s products and activations (default bf16)]:PRECISION:(auto f32 tf32 bf16)' \
        '--max-memory=[use at most so much of a GPU'\''s memory (default all)]:SIZE: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_promote()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--force=[whatever the gate'\''s answer; the reason is written down]:REASON: ' \
        '--override-terms=[though terms forbid it; the reason is written down]:REASON: ' \
        '--weights=[answer with matrices kept so (default as judged)]:WAY:(stored f32 q8_0 q4_0)' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_rollback()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--reason=[why; it is written down]:TEXT: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_slmctl_names tasks'
}
_slmctl_model_retire()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--reason=[why; it is written down]:TEXT: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_slmctl_names models'
}
_slmctl_model_terms()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--set=[declare them]:allow|forbid|unknown:(allow forbid unknown)' \
        '--note=[where it is written; needs --set]:TEXT: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]'
}
_slmctl_status()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--hardware[show this machine, the kernels chosen for it, and their limits]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]'
}
_slmctl_report()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-o+,--output=}'[write it there]:FILE:_files' \
        '--format=[the form (default\: by the file'\''s suffix, else text)]:FORM:(html markdown text json)' \
        ''{-t+,--task=}'[this task only]:TASK:_slmctl_names tasks' \
        '--include-samples[show texts of answers]' \
        '--show=[answers a task, with --include-samples]:N: ' \
        '--title=[title of the report]:TEXT: ' \
        '--ascii[bars of # in text]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]'
}
_slmctl_store()
{
    local state line
    _arguments -C '(- *)--help[print help]' \
        '1:command:->command' '*::operand:->rest'
    case $state in
    command)
        local -a list=(
            'backup:copy the database while it is in use'
            'erase:remove what a client or a conversation said'
            'export:write the calls of the store as lines'
            'keygen:make a key, or a pair of keys'
            'prune:remove old calls, or so many that the rest fits'
            'rotate:encrypt a store, or give it other keys'
            'verify:check that all is there as it was logged'
        )
        _describe command list ;;
    rest)
        case $line[1] in
        backup) _slmctl_store_backup ;;
        erase) _slmctl_store_erase ;;
        export) _slmctl_store_export ;;
        keygen) _slmctl_store_keygen ;;
        prune) _slmctl_store_prune ;;
        rotate) _slmctl_store_rotate ;;
        verify) _slmctl_store_verify ;;
        esac ;;
    esac
}
_slmctl_store_backup()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_files'
}
_slmctl_store_erase()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--client=[calls of this client, user or address]:NAME: ' \
        '--conversation=[calls of this conversation]:NAME: ' \
        '--dry-run[say what would be removed, and what learnt from it]' \
        '--retire[retire the models that learnt from it]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)'
}
_slmctl_store_export()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--format=[form of the lines (default exchange)]:FORMAT:(exchange openai litellm otlp)' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_files'
}
_slmctl_store_keygen()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--sealed[a pair\: the private key in FILE, the public one in FILE.pub]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '*:operand:_files'
}
_slmctl_store_prune()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--older-than=[remove calls before that\: 90d, 12w, 36h]:TIME: ' \
        '--max-size=[then the oldest, until the database is no larger]:SIZE: ' \
        '--keep-examples[not those that became examples]' \
        '--dry-run[say what would be removed]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)'
}
_slmctl_store_rotate()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--new-key=[key file that opens the store from now on, made if absent]:FILE:_files' \
        '--data[encrypt everything anew with a new data key]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)'
}
_slmctl_store_verify()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--head=[a head that was printed before must be part of the chain]:HEX: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--key-file=[key of an encrypted store, and of surrogates]:FILE:_files' \
        '--private-key=[what opens a sealed store]:FILE:_files' \
        '--json[print one JSON document]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)'
}
_slmctl_completion()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*:operand:(bash zsh fish)'
}
_slmctl()
{
    local state line
    _arguments -C '(- *)--help[print help]' \
        '1:command:->command' '*::operand:->rest'
    case $state in
    command)
        local -a list=(
            'estimate:tell from a log what could move to small models'
            'collect:log calls of a large model\: as a proxy, or from files'
            'curate:turn logged calls into scrubbed, split examples'
            'cluster:find the recurring tasks'
            'select:pick candidate small models for each task'
            'finetune:train an adapter or a model for a task'
            'eval:score models against the logged LLM, and gate them'
            'serve:answer over HTTP with small models'
            'retrain:train anew what is due, and promote what is better'
            'generate:run a model from the shell'
            'model:add, list, show and check models; tokenize'
            'status:show what is in the store and what is due'
            'report:write what the store knows as a page, Markdown or text'
            'store:keys, backup, export, removal and verification of a store'
            'completion:print the completion for bash, zsh or fish'
        )
        _describe command list ;;
    rest)
        case $line[1] in
        estimate) _slmctl_estimate ;;
        collect) _slmctl_collect ;;
        curate) _slmctl_curate ;;
        cluster) _slmctl_cluster ;;
        select) _slmctl_select ;;
        finetune) _slmctl_finetune ;;
        eval) _slmctl_eval ;;
        serve) _slmctl_serve ;;
        retrain) _slmctl_retrain ;;
        generate) _slmctl_generate ;;
        model) _slmctl_model ;;
        status) _slmctl_status ;;
        report) _slmctl_report ;;
        store) _slmctl_store ;;
        completion) _slmctl_completion ;;
        esac ;;
    esac
}
if [[ $funcstack[1] == _slmctl ]]; then
    _slmctl "$@"
else
    compdef _slmctl slmctl
fi
