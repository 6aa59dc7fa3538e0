#!/usr/bin/env python3
"""score_possible beside the AST check of the Berkeley Function-Calling
Leaderboard (ShishirPatil/gorilla, Apache-2.0), on its own data.

    make && SLMCTL_BFCL=DIR python3 tests/reference/bfcl_matcher.py [-n ROUNDS]

DIR is a work tree or a git directory of the repository (files are then read
with `git show HEAD:path`); without it nothing is done. Every item of the Python
categories is fed with right calls, with calls changed in each way below, and
with malformed ones; verdict and reason must be equal. Items of the Java and
JavaScript categories hold source code, not JSON, and are left out. On the
irrelevance categories a malformed call counts as a correct abstention there
(issue 1362) and never does here: these are counted, and nothing else may
differ.
"""
import argparse, collections, copy, enum, json, os, random, subprocess, sys
import tempfile, types

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EVAL = "berkeley-function-call-leaderboard/bfcl_eval/"
CATEGORIES = ["simple_python", "multiple", "parallel", "parallel_multiple",
              "live_simple", "live_multiple", "live_parallel",
              "live_parallel_multiple"]
IRRELEVANT = ["irrelevance", "live_irrelevance"]
REASONS = {"type_error:simple": "type_error", "type_error:nested": "type_error_nested",
           "value_error:list/tuple": "value_error_list",
           "value_error:list_dict_count": "value_error_list_count",
           "value_error:others": "value_error",
           "dict_checker:unclear": "value_error_dict",
           "list_dict_checker:unclear": "value_error_dict"}


def read(path):
    where = os.environ["SLMCTL_BFCL"]
    if os.path.isdir(os.path.join(where, EVAL)):
        with open(os.path.join(where, EVAL, path), encoding="utf-8") as f:
            return f.read()
    return subprocess.run(["git", "-C", where, "show", "HEAD:" + EVAL + path],
                          check=True, capture_output=True).stdout.decode()


def items(category):
    return [json.loads(s) for s in read("data/BFCL_v4_%s.json" % category).splitlines()]


class Language(enum.Enum):
    PYTHON, JAVA, JAVASCRIPT = range(3)


def checker(underscores):
    """Their file, with what it imports replaced: the names of models (does
    this one write dots as underscores?) and the converters of Java and
    JavaScript."""
    def module(name, **members):
        m = types.ModuleType(name)
        m.__dict__.update(members)
        sys.modules[name] = m
    package = "bfcl_eval.eval_checker.ast_eval.type_convertor."
    config = types.SimpleNamespace(underscore_to_dot=underscores)
    module("bfcl_eval.constants.enums", Language=Language)
    module("bfcl_eval.constants.model_config", MODEL_CONFIG_MAPPING={"m": config})
    module("bfcl_eval.constants.type_mappings", JAVA_TYPE_CONVERSION={},
           JS_TYPE_CONVERSION={})
    module(package + "java_type_converter", java_type_converter=None)
    module(package + "js_type_converter", js_type_converter=None)
    for name in ("bfcl_eval", "bfcl_eval.constants", "bfcl_eval.eval_checker",
                 "bfcl_eval.eval_checker.ast_eval", package[:-1]):
        module(name)
    space = {}
    exec(compile(read("eval_checker/ast_eval/ast_checker.py"), "ast_checker.py",
                 "exec"), space)
    return space["ast_checker"]


def theirs(check, item, gold, calls, category):
    try:
        r = check(item["function"], copy.deepcopy(calls), copy.deepcopy(gold),
                  Language.PYTHON, category, "m")
    except Exception as e:
        return None, "fails: " + type(e).__name__
    if r["valid"]:
        return True, "-"
    kind = r["error_type"]
    return False, REASONS.get(kind, kind.split(":")[-1] if not kind.startswith("value_error")
                              else kind.replace(":", "_"))


def choose(rng, allowed):
    """One of the allowed values, as a model would write it; None: left out."""
    v = rng.choice(allowed)
    if v == "" and rng.random() < .7:
        return None
    return concrete(rng, v)


def concrete(rng, v):
    if isinstance(v, dict):
        out = {}
        for k, values in v.items():
            w = rng.choice(values) if isinstance(values, list) and values else values
            if w != "":
                out[k] = concrete(rng, w) if isinstance(w, dict) else w
        return out
    if isinstance(v, list):
        return [concrete(rng, e) if isinstance(e, dict) else e for e in v]
    return v


def right(rng, gold, first=False):
    calls = []
    for g in gold:
        (name, params), = g.items()
        args = {}
        for key, allowed in params.items():
            if not allowed:  # nothing is: such an item cannot be answered
                continue
            v = concrete(random.Random(0), allowed[0]) if first else choose(rng, allowed)
            if v is not None and not (first and v == ""):
                args[key] = v
        calls.append({name: args})
    return calls


def other_value(rng, v):
    kinds = [None, True, 0, -7, 2.5, "", "x", [], ["x"], {}, {"x": 1}, [{}], [[]]]
    changes = [rng.choice(kinds)]
    if isinstance(v, bool):
        changes += [not v, int(v), str(v).lower()]
    elif isinstance(v, (int, float)):
        changes += [v + 1, -v, float(v), str(v), [v]]
        if float(v).is_integer():
            changes.append(int(v))
    elif isinstance(v, str):
        changes += [v + "x", v.upper(), v.lower(), " " + v.replace(" ", "-") + ".",
                    v.replace("'", '"'), v.swapcase(), [v], v[:-1], v + "é", "_" + v,
                    v.replace("a", "A").replace("é", "É")]
    elif isinstance(v, list):
        changes += [v[::-1], v[:-1], v + v[:1], v + [None], v + ["x"], [v], list(map(str, v)),
                    [other_value(rng, e) for e in v]]
        if v:
            i = rng.randrange(len(v))
            changes += [v[:i] + [other_value(rng, v[i])] + v[i + 1:]] * 3
    elif isinstance(v, dict):
        k = rng.choice(list(v)) if v else "k"
        changes += [{**v, "zz": 1}, {x: y for x, y in v.items() if x != k}, [v]]
        changes += [{**v, k: other_value(rng, v.get(k))}] * 3
    return rng.choice(changes)


def mutate(rng, calls, item):
    calls = copy.deepcopy(calls)
    at = rng.randrange(len(calls)) if calls else 0
    way = rng.randrange(12)
    if not calls or way == 0:
        return calls + [{rng.choice(item["function"])["name"]: {}}]
    (name, args), = calls[at].items()
    if way == 1:
        del calls[at]
    elif way == 2:
        calls[at] = {rng.choice([name + "x", name.replace(".", "_"), name.upper(),
                                 rng.choice(item["function"])["name"]]): args}
    elif way == 3:
        rng.shuffle(calls)
    elif way == 4:
        calls.insert(rng.randrange(len(calls) + 1), copy.deepcopy(calls[at]))
    elif way == 5:
        params = next((f["parameters"]["properties"] for f in item["function"]
                       if f["name"] == name), {})
        args[rng.choice(list(params) + ["unheard_of"])] = rng.choice(["", 1, "x", None])
    elif way == 6 and args:
        del args[rng.choice(list(args))]
    elif way == 7:
        rest = list(args.items())
        rng.shuffle(rest)
        calls[at] = {name: dict(rest)}
    elif args:
        key = rng.choice(list(args))
        args[key] = other_value(rng, args[key])
    return calls


def message(calls):
    return {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c%d" % i, "type": "function",
         "function": {"name": name, "arguments": json.dumps(args)}}
        for i, c in enumerate(calls) for name, args in c.items()]} if calls else {
            "role": "assistant", "content": "I cannot do that."}


def malformed(rng, calls):
    """Messages that hold a call nobody can read, and what a parser said."""
    name, args = next(iter((calls or [{"f": {"a": 1}}])[0].items()))
    text = json.dumps({"name": name, "arguments": args})
    broken = message([{name: args}])
    function = broken["tool_calls"][0]["function"]
    function["arguments"] = rng.choice(["{", '{"a": }', "[1]", "null", "{'a': 1}", "a=1"])
    return [({"role": "assistant", "content": "<tool_call>" + text[:-1]}, False),
            (broken, False),
            ({"role": "assistant", "content": text}, True)]


def request(item, underscores):
    tools = []
    for f in item["function"]:
        f = dict(f)
        if underscores:
            f["name"] = f["name"].replace(".", "_")
        tools.append({"type": "function", "function": f})
    return {"messages": [], "tools": tools}


def renamed(calls, underscores):
    return [{n.replace(".", "_"): a for n, a in c.items()} for c in calls] if underscores else calls


def cases(rounds, seed):
    """(category, item id, line for the driver, their verdict and reason)"""
    for underscores in (False, True):
        check = checker(underscores)
        for category in CATEGORIES:
            golds = {}
            for s in read("data/possible_answer/BFCL_v4_%s.json" % category).splitlines():
                g = json.loads(s)
                golds[g["id"]] = g["ground_truth"]
            for item in items(category):
                rng = random.Random("%d %s %d" % (seed, item["id"], underscores))
                gold = golds[item["id"]]
                fed = [("right", right(rng, gold, True)), ("right", right(rng, gold)),
                       ("right", right(rng, gold)), ("changed", [])]
                for _ in range(rounds):
                    calls = right(rng, gold)
                    for _ in range(rng.choice((1, 1, 1, 2, 3))):
                        calls = mutate(rng, calls, item)
                    fed.append(("changed", calls))
                line = {"request": request(item, underscores), "possible": gold,
                        "one": "parallel" not in category}
                for kind, calls in fed:
                    calls = renamed(calls, underscores)
                    yield (category, kind, item["id"], {**line, "answer": message(calls)},
                           theirs(check, item, gold, calls, category))
                for m, failed in malformed(rng, right(rng, gold, True)):
                    yield (category, "malformed", item["id"],
                           {**line, "answer": m, "malformed": failed}, (False, "malformed_call"))
    for category in IRRELEVANT:
        for item in items(category):
            rng = random.Random("%d %s" % (seed, item["id"]))
            line = {"request": request(item, False), "possible": [], "one": True}
            f = item["function"][0]["name"] if item["function"] else "f"
            yield category, "right", item["id"], {**line, "answer": message([])}, (True, "-")
            yield (category, "changed", item["id"], {**line, "answer": message([{f: {}}])},
                   (False, "unwanted_call"))
            for m, failed in malformed(rng, [{f: {"a": 1}}]):
                yield (category, "malformed", item["id"],
                       {**line, "answer": m, "malformed": failed}, (True, "-"))


def build(folder):
    driver = os.path.join(folder, "possible_driver")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-I" + os.path.join(ROOT, "lib"), "-o", driver,
                    os.path.join(ROOT, "tests/reference/possible_driver.c"),
                    os.path.join(ROOT, "build/release/libslm.a"), "-lsqlite3", "-lzstd",
                    "-lpcre2-8", "-lcjson", "-lsodium", "-lz", "-ldl", "-lm", "-lpthread"],
                   check=True)
    return driver


def compare(driver, rounds, seed, show):
    known = {"agreed": 0, "issue 1362": 0, "their check fails": 0, "differ": 0}
    table = collections.defaultdict(collections.Counter)
    reasons, seen = collections.Counter(), set()
    with tempfile.TemporaryFile("w+") as lines:
        expected = []
        for category, kind, name, line, verdict in cases(rounds, seed):
            lines.write(json.dumps(line) + "\n")
            expected.append((category, kind, name, verdict, line["answer"]))
            seen.add((category, name))
        lines.seek(0)
        out = subprocess.run([driver], stdin=lines, capture_output=True, check=True)
    answers = out.stdout.decode().splitlines()
    assert len(answers) == len(expected), "the driver left lines out"
    for (category, kind, name, (valid, why), answer), got in zip(expected, answers):
        value, reason = got.split()
        if valid is None:
            what = "their check fails" if value == "0" else "differ"
        elif (value == "1") == valid and reason == why:
            what = "agreed"
        elif category in IRRELEVANT and kind == "malformed" and reason == "malformed_call":
            what = "issue 1362"
        else:
            what = "differ"
        known[what] += 1
        table[category][kind] += 1
        if valid:
            table[category]["theirs right"] += 1
        reasons[reason] += 1
        if what == "differ" and show > 0:
            show -= 1
            print("differ: %s %s: theirs %s %s, ours %s\n  %s" %
                  (name, kind, valid, why, got, json.dumps(answer)))
    for category in table:
        table[category]["items"] = sum(1 for c, _ in seen if c == category)
    return known, table, reasons


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-n", type=int, default=20, help="changed answers an item")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=10, help="differences to print")
    opt = p.parse_args()
    if not os.environ.get("SLMCTL_BFCL"):
        print("skip: SLMCTL_BFCL names no copy of ShishirPatil/gorilla")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        known, table, reasons = compare(build(folder), opt.n, opt.seed, opt.show)
    print("category\titems\tright\tchanged\tmalformed\ttheirs right")
    for category, c in table.items():
        print("\t".join([category] + [str(c[k]) for k in
                                      ("items", "right", "changed", "malformed", "theirs right")]))
    print("reasons: " + ", ".join("%s %d" % r for r in reasons.most_common()))
    print("items %d; " % sum(c["items"] for c in table.values()) +
          ", ".join("%s %d" % r for r in known.items()))
    return known["differ"] > 0


if __name__ == "__main__":
    sys.exit(main())
