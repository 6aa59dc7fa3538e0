"""Validators of lib/idnumber beside python-stdnum, and the golden of the unit
test.

    python3 -m venv venv && venv/bin/pip install python-stdnum==2.2
    make && venv/bin/python tests/reference/idnumber_stdnum.py [-n 100000] [KIND...]
    ... -g writes tests/reference/idnumber.golden.txt

Each kind is asked about numbers drawn at random within its shape, numbers that
its completer made valid, and both with characters changed, swapped, added,
taken away and written with separators. The golden holds what both agree on.
Where they differ on purpose, KNOWN says why; anything else makes it fail.
"""
import argparse, importlib, os, random, re, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KINDS = os.path.join(ROOT, "lib/idnumber/idnumber_kinds.h")
GOLDEN = os.path.join(ROOT, "tests/reference/idnumber.golden.txt")

ORACLE = {
    "luhn": "luhn", "iban": "iban", "bic": "bic", "us_aba": "us.rtn",
    "ar_cbu": "ar.cbu", "es_ccc": "es.ccc", "no_konto": "no.kontonr",
    "gb_nhs": "gb.nhs", "ca_bc_phn": "ca.bc_phn", "imei": "imei",
    "us_ssn": "us.ssn", "us_itin": "us.itin", "us_ein": "us.ein",
    "ca_sin": "ca.sin", "mx_curp": "mx.curp", "mx_rfc": "mx.rfc",
    "br_cpf": "br.cpf", "br_cnpj": "br.cnpj", "ar_cuit": "ar.cuit",
    "cl_rut": "cl.rut", "co_nit": "co.nit", "pe_ruc": "pe.ruc",
    "pe_dni": "pe.cui", "ec_ci": "ec.ci", "uy_rut": "uy.rut",
    "ve_rif": "ve.rif", "do_cedula": "do.cedula", "cu_ni": "cu.ni",
    "gt_nit": "gt.nit", "gb_utr": "gb.utr", "gb_vat": "gb.vat",
    "ie_pps": "ie.pps", "fr_nir": "fr.nir", "fr_spi": "fr.nif",
    "fr_siren": "fr.siren", "fr_siret": "fr.siret", "es_nif": "es.nif",
    "pt_nif": "pt.nif", "pt_cc": "pt.cc", "it_cf": "it.codicefiscale",
    "it_piva": "it.iva", "de_idnr": "de.idnr", "de_vat": "de.vat",
    "at_svnr": "at.vnr", "at_uid": "at.uid", "ch_ahv": "ch.ssn",
    "ch_uid": "ch.uid", "be_nn": ("be.nn", "be.bis"), "be_vat": "be.vat",
    "nl_bsn": "nl.bsn", "se_pnr": "se.personnummer", "se_orgnr": "se.orgnr",
    "fi_hetu": "fi.hetu", "fi_ytunnus": "fi.alv",
    "no_fnr": "no.fodselsnummer", "no_orgnr": "no.orgnr", "dk_cpr": "dk.cpr",
    "dk_cvr": "dk.cvr", "is_kt": "is_.kennitala", "ee_ik": "ee.ik",
    "lt_ak": "lt.asmens", "lv_pk": "lv.pvn", "pl_pesel": "pl.pesel",
    "pl_nip": "pl.nip", "pl_regon": "pl.regon", "cz_rc": "cz.rc",
    "hu_anum": "hu.anum", "ro_cnp": "ro.cnp", "bg_egn": "bg.egn",
    "bg_lnch": "bg.pnf", "gr_amka": "gr.amka", "gr_afm": "gr.vat",
    "hr_oib": "hr.oib", "rs_pib": "rs.pib", "jmbg": "si.emso",
    "si_tax": "si.ddv", "ru_inn": "ru.inn", "ru_ogrn": "ru.ogrn",
    "ua_rnokpp": "ua.rntrc", "ua_edrpou": "ua.edrpou",
    "tr_tckn": "tr.tckimlik", "tr_vkn": "tr.vkn",
    "in_aadhaar": ("in_.aadhaar", "in_.vid"), "in_pan": "in_.pan",
    "in_gstin": "in_.gstin", "in_epic": "in_.epic", "cn_ric": "cn.ric",
    "cn_uscc": "cn.uscc", "tw_ubn": "tw.ubn", "my_nric": "my.nric",
    "th_pin": "th.pin", "id_nik": "id.nik", "pk_cnic": "pk.cnic",
    "jp_mynumber": "jp.in_", "jp_corporate": "jp.cn", "kr_rrn": "kr.rrn",
    "kr_brn": "kr.brn", "il_id": "il.idnr", "za_id": "za.idnr",
    "mu_nid": "mu.nid", "au_tfn": "au.tfn", "au_abn": "au.abn",
    "au_acn": "au.acn", "nz_ird": "nz.ird",
}


def bare(v):
    return re.sub(r"[^0-9A-Za-z]", "", v).upper()


def length(*allowed):
    return lambda v, o, t: o == "0" and len(bare(v)) not in allowed


def beginning(*prefixes):
    return lambda v, o, t: bare(v).startswith(prefixes)


def looser(v, o, t):
    return o == "1"


def stricter(v, o, t):
    return o == "0"


# By kind: why the answers differ, and how such a number is told (value, our
# answer, stdnum's).
KNOWN = {
    "luhn": {"ours takes 2 to 24 digits": length(*range(2, 25))},
    "iban": {
        "stdnum asks national check digits of BE, ES, ME, NO, SI too":
            lambda v, o, t: o == "1" and bare(v)[:2] in (
                "BE", "ES", "ME", "NO", "SI", "BA", "RS", "MK"),
        "stdnum takes letters for check digits": lambda v, o, t:
            not bare(v)[2:4].isdigit()},
    "no_konto": {"stdnum leaves out four zeros in front": beginning("0000")},
    "us_aba": {"stdnum asks no ranges of the first two digits": stricter},
    "us_itin": {"groups 50 to 65 are given out since 2022, 89 and 93 never":
                looser},
    "imei": {"IMEI without check digit and IMEISV are not taken":
             length(15)},
    "co_nit": {"ours takes 8 to 11 digits": length(8, 9, 10, 11)},
    "pe_dni": {"ours wants the check digit": length(9)},
    "gt_nit": {"ours takes 7 to 9 characters, no leading zero": stricter},
    "pt_cc": {"ours takes the whole number only": length(12)},
    "gb_utr": {"ours takes one K in front": beginning("KK")},
    "be_nn": {"stdnum lets nobody be born in the future, and asks for one of "
              "two kinds": looser},
    "be_vat": {"ours takes ten digits only": stricter},
    "nl_bsn": {"stdnum fills with zeros": length(8, 9)},
    "il_id": {"stdnum fills with zeros": length(9)},
    "gr_afm": {"stdnum fills with zeros": length(9)},
    "se_pnr": {"stdnum knows no coordination numbers": looser,
               "a separator elsewhere": lambda v, o, t: v != bare(v)},
    "dk_cpr": {"stdnum lets nobody be born in the future": looser},
    "no_fnr": {"stdnum lets nobody be born in the future": looser},
    "lv_pk": {"stdnum's takes companies too":
              lambda v, o, t: o == "0" and bare(v)[:1] > "3"},
    "ru_ogrn": {"stdnum leaves out remainders of 13 over 9": looser},
    "in_gstin": {"38 is Ladakh, 97 and 99 other territory": beginning(
        "38", "97", "99")},
    "cn_ric": {"codes of provinces": stricter},
    "cn_uscc": {"stdnum wants a digit in front, 0 too": lambda v, o, t:
                not "1" <= bare(v)[:1] <= "9"},
    "my_nric": {"stdnum has the register of places":
                lambda v, o, t: bare(v)[6:8] != ""},
    "id_nik": {"codes of provinces": stricter},
    "kr_brn": {"stdnum asks no check digit": stricter,
               "stdnum wants some parts to be no zeros": looser},
}


def kinds():
    found = re.findall(r'^ *X\((\w+), "([^"]*)"', open(KINDS).read(), re.M)
    return dict(found)


def draw(shape, r):
    one, out = r.choice(shape.split("|")), ""
    for c, n in re.findall(r"(.)(?:\{(\d+)\})?", one):
        for _ in range(int(n or 1)):
            out += {"d": lambda: r.choice("0123456789"),
                    "a": lambda: r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                    "n": lambda: r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                    "x": lambda: r.choice("0123456789" * 2 +
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                    }.get(c, lambda: c)()
    return out


def mutate(v, r):
    how = r.randrange(8)
    i = r.randrange(len(v))
    if how < 3:
        new = r.choice("0123456789" if v[i].isdigit()
                       else "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return v[:i] + new + v[i + 1:]
    if how < 5 and i + 1 < len(v):
        return v[:i] + v[i + 1] + v[i] + v[i + 2:]
    if how == 5:
        return v[:i] + v[i + 1:] or v
    if how == 6:
        return v[:i] + r.choice("0123456789") + v[i:]
    return v


class Driver:
    def __init__(self):
        self.dir = tempfile.mkdtemp()
        exe = os.path.join(self.dir, "driver")
        subprocess.check_call(
            ["cc", "-std=c11", "-O1", "-I", os.path.join(ROOT, "lib"), "-o", exe,
             os.path.join(ROOT, "tests/reference/idnumber_driver.c"),
             os.path.join(ROOT, "build/release/libslm.a"), "-lm", "-lpthread"])
        self.exe = exe

    def ask(self, what, kind, values):
        text = "".join(f"{what} {kind} {v}\n" for v in values)
        out = subprocess.run([self.exe], input=text, text=True, check=True,
                             stdout=subprocess.PIPE).stdout
        return out.split("\n")[:-1]


def numbers(driver, kind, shape, module, n, r):
    plain = [draw(shape, r) for _ in range(n // 4)]
    made = driver.ask("complete", kind,
                      [draw(shape, r) for _ in range(n // 4)])
    out = plain + made
    fmt = getattr(module, "format", None)
    while len(out) < n:
        v = r.choice(made if r.random() < .7 else plain)
        if fmt and r.random() < .3:
            try:
                v = fmt(v)
            except Exception:
                pass
        else:
            v = mutate(v, r)
        out.append(v)
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-n", type=int, default=100000)
    p.add_argument("-g", action="store_true")
    p.add_argument("kind", nargs="*")
    a = p.parse_args()
    driver, shapes, bad = Driver(), kinds(), 0
    # Registers of places are not kept here.
    importlib.import_module("stdnum.cn.ric").get_birth_place = lambda v: None
    importlib.import_module("stdnum.id.nik")._check_registration_place = (
        lambda v: None)
    golden = []
    for kind, shape in shapes.items():
        if a.kind and kind not in a.kind:
            continue
        r = random.Random("idnumber " + kind)
        names = ORACLE.get(kind)
        if not names:
            print(f"{kind:14} no oracle")
            continue
        names = (names,) if isinstance(names, str) else names
        mods = [importlib.import_module("stdnum." + m) for m in names]
        values = numbers(driver, kind, shape, mods[0], a.n, r)
        ours = driver.ask("check", kind, values)
        valid = same = 0
        known, wrong, agreed = {}, [], {"0": [], "1": []}
        for v, o in zip(values, ours):
            t = "1" if any(m.is_valid(v) for m in mods) else "0"
            valid += t == "1"
            if o == t:
                same += 1
                agreed[t].append(v)
                continue
            why = next((k for k, f in KNOWN.get(kind, {}).items()
                        if f(v, o, t)), None)
            if why:
                known[why] = known.get(why, 0) + 1
            else:
                wrong.append((v, o, t))
        print(f"{kind:14} {len(values)} asked, {valid} valid, {same} agree, "
              f"{sum(known.values())} differ on purpose, {len(wrong)} wrong")
        for k, c in known.items():
            print(f"    {c}: {k}")
        for w in wrong[:6]:
            print("    value %r: ours %s, stdnum %s" % w)
        bad += len(wrong)
        for t in "10":
            r.shuffle(agreed[t])
            golden += [kind] * (t == "1")
            golden += ["-+"[int(t)] + v for v in agreed[t][:100]]
    if a.g:
        with open(GOLDEN, "w") as f:
            f.write("\n".join(golden) + "\n")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
