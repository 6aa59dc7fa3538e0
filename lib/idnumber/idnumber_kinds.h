/*
 * idnumber_kinds.h - the kinds of numbers, one a line
 *
 * X(name, shape, ranges, rule, mend, positions that are turned to make a drawn
 * value valid: from 1, from the end below 0, the fastest first). A shape has d
 * for a digit, a for a letter, x for either, n for a letter or &. Ranges are
 * described in idnumber.c; of those with ~ the rule decides.
 */
#ifndef IDNUMBER_KINDS_H
#define IDNUMBER_KINDS_H

/* clang-format off */
#define IDNUMBER_KINDS(X) \
    /* Money */ \
    X(card, "d{14}|d{15}|d{16}|d{19}", "", card, idnumber_mend_card, -1, -2) \
    X(luhn, "d{2}|d{3}|d{4}|d{5}|d{6}|d{7}|d{8}|d{9}|d{10}|d{11}|d{12}|d{13}|d{14}|d{15}|d{16}|d{17}|d{18}|d{19}|d{20}|d{21}|d{22}|d{23}|d{24}", "", luhn, NULL, -1) \
    X(iban, "aaddx{11}|aaddx{12}|aaddx{13}|aaddx{14}|aaddx{15}|aaddx{16}|aaddx{17}|aaddx{18}|aaddx{19}|aaddx{20}|aaddx{21}|aaddx{22}|aaddx{23}|aaddx{24}|aaddx{25}|aaddx{26}|aaddx{27}|aaddx{28}|aaddx{29}|aaddx{30}", "~3=02-98", iban, idnumber_mend_iban, 4, 3) \
    X(bic, "aaaaaaxx|aaaaaaxxx{3}", "~5=DE,FR,GB,US,CH,NL,ES,IT,SE,JP,BR,IN", bic, NULL, 0) \
    X(us_aba, "d{9}", "1=00-12,21-32,61-72,80-80", us_aba, NULL, -1, -2) \
    X(mx_clabe, "d{18}", "", mx_clabe, NULL, -1) \
    X(ar_cbu, "d{22}", "", ar_cbu, NULL, 8, -1) \
    X(es_ccc, "d{20}", "", es_ccc, NULL, 9, 10) \
    X(no_konto, "d{11}", "", no_konto, NULL, -1, -2) \
    /* Health */ \
    X(us_npi, "d{10}|80840d{10}", "", us_npi, NULL, -1) \
    X(us_dea, "axd{7}", "1=A-H,J-M,P-U,X-X 2=A-Z,9-9", us_dea, NULL, -1) \
    X(us_mbi, "daxdaxdaadd", "1=1-9 2=A-A,C-H,J-K,M-N,P-R,T-Y 3=0-9,A-A,C-H,J-K,M-N,P-R,T-Y 5=A-A,C-H,J-K,M-N,P-R,T-Y 6=0-9,A-A,C-H,J-K,M-N,P-R,T-Y 8=A-A,C-H,J-K,M-N,P-R,T-Y 9=A-A,C-H,J-K,M-N,P-R,T-Y", shape, NULL, 0) \
    X(gb_nhs, "d{10}", "", gb_nhs, NULL, -1, -2) \
    X(gb_chi, "d{10}", "~3=01-12 ~1=01-28", gb_chi, NULL, -1, -2) \
    X(ca_bc_phn, "9d{9}", "", ca_bc_phn, NULL, -1, -2) \
    X(ca_ohip, "d{10}|d{10}aa", "1=1-9", ca_ohip, NULL, 10) \
    X(au_medicare, "d{10}|d{11}", "1=2-6", au_medicare, NULL, 9) \
    X(br_cns, "d{15}", "1=1-2,7-9", br_cns, NULL, -1, -2) \
    X(de_kvnr, "ad{9}", "", de_kvnr, NULL, -1) \
    X(hu_taj, "d{9}", "", hu_taj, NULL, -1) \
    X(nz_nhi, "aaadddd", "1=A-H,J-N,P-Z 2=A-H,J-N,P-Z 3=A-H,J-N,P-Z", nz_nhi, NULL, -1, -2) \
    /* Vehicles and devices */ \
    X(vin, "x{17}", "~1=1-5,A-H,J-N,P-P,R-Z ~2=0-9,A-H,J-N,P-P,R-Z ~3=0-9,A-H,J-N,P-P,R-Z ~4=0-9,A-H,J-N,P-P,R-Z ~5=0-9,A-H,J-N,P-P,R-Z ~6=0-9,A-H,J-N,P-P,R-Z ~7=0-9,A-H,J-N,P-P,R-Z ~8=0-9,A-H,J-N,P-P,R-Z ~9=0-9,X-X ~10=0-9,A-H,J-N,P-P,R-Z ~11=0-9,A-H,J-N,P-P,R-Z ~12=0-9,A-H,J-N,P-P,R-Z ~13=0-9,A-H,J-N,P-P,R-Z ~14=0-9,A-H,J-N,P-P,R-Z ~15=0-9,A-H,J-N,P-P,R-Z ~16=0-9,A-H,J-N,P-P,R-Z ~17=0-9,A-H,J-N,P-P,R-Z", vin, NULL, 9, -1, -2) \
    X(imei, "d{15}", "", imei, NULL, -1) \
    X(iccid, "89d{17}|89d{18}", "", luhn, NULL, -1) \
    /* America */ \
    X(us_ssn, "d{9}", "~1=100-199,200-599,700-772 ~4=01-99", us_ssn, NULL, -1) \
    X(us_itin, "9d{8}", "4=50-65,70-88,90-92,94-99", shape, NULL, 0) \
    X(us_ein, "d{9}", "1=01-06,10-16,20-27,30-48,50-68,71-77,80-88,90-95,98-99", us_ein, NULL, -1) \
    X(ca_sin, "d{9}", "1=1-7,9-9", ca_sin, NULL, -1) \
    X(mx_curp, "aaaad{6}aaaaaaxd", "~7=01-12 ~9=01-28 11=H,M 12=AS,BC,BS,CC,CH,CL,CM,CS,DF,DG,GR,GT,HG,JC,MC,MN,MS,NE,NL,NT,OC,PL,QR,QT,SL,SP,SR,TC,TL,TS,VZ,YN,ZS", mx_curp, NULL, -1, 1) \
    X(mx_rfc, "nnnnd{6}xxx|nnnd{6}xxx|nnnnd{6}", "", mx_rfc, idnumber_mend_rfc, 0) \
    X(br_cpf, "d{11}", "", br_cpf, NULL, -1, -2) \
    X(br_cnpj, "x{12}dd", "", br_cnpj, NULL, -1, -2) \
    X(br_pis, "d{11}", "", br_pis, NULL, -1) \
    X(ar_cuit, "d{11}", "1=20,23,24,27,30,33,34,50,51,55", ar_cuit, NULL, -1, -2) \
    X(cl_rut, "d{7}x|d{8}x", "", cl_rut, NULL, -1, -2, -3) \
    X(co_nit, "d{8}|d{9}|d{10}|d{11}", "", co_nit, NULL, -1) \
    X(pe_ruc, "d{11}", "1=10,15,17,20", pe_ruc, NULL, -1) \
    X(pe_dni, "d{8}x", "", pe_dni, NULL, -1, -2) \
    X(ec_ci, "d{10}", "1=01-24,30,50 3=0-6", ec_ci, NULL, -1) \
    X(uy_ci, "d{8}", "", uy_ci, NULL, -1) \
    X(uy_rut, "d{12}", "1=01-22 9=001", uy_rut, NULL, -1, -5) \
    X(ve_rif, "ad{9}", "1=V,E,J,P,G", ve_rif, NULL, -1) \
    X(do_cedula, "d{11}", "", do_cedula, NULL, -1) \
    X(cu_ni, "d{11}", "~3=01-12 ~5=01-28", cu_ni, NULL, 0) \
    X(gt_nit, "d{6}x|d{7}x|d{8}x", "1=1-9", gt_nit, NULL, -1, -2, -3) \
    /* Western Europe */ \
    X(gb_nino, "aad{6}a", "1=A-C,E-E,G-H,J-P,R-T,W-Z 2=A-C,E-E,G-H,J-N,P-P,R-T,W-Z 9=A-D", gb_nino, NULL, 1) \
    X(gb_utr, "d{10}|Kd{10}", "", gb_utr, NULL, -10, -1) \
    X(gb_dl, "x{5}d{6}x{2}xaa", "~7=01-12 ~9=01-28 ~13=9-9,A-Z", gb_dl, idnumber_mend_dl, 0) \
    X(gb_vat, "d{9}|d{12}", "", gb_vat, NULL, 9, 8) \
    X(ie_pps, "d{7}a|d{7}aa", "9=A,B,H,T,W,X", ie_pps, NULL, 8) \
    X(fr_nir, "d{5}xxd{8}", "~14=01-97", fr_nir, idnumber_mend_nir, -1, -2) \
    X(fr_spi, "d{13}", "1=0-3 ~11=000-510", fr_spi, NULL, -1, -2, -3) \
    X(fr_siren, "d{9}", "", fr_siren, NULL, -1) \
    X(fr_siret, "d{14}", "", fr_siret, NULL, 9, -1) \
    X(es_nif, "xd{7}x", "~1=A-H,J-N,P-S,U-Z,0-9", es_nif, idnumber_mend_nif, -1) \
    X(es_nss, "d{12}", "", es_nss, NULL, -1, -2) \
    X(pt_nif, "d{9}", "1=1-9", pt_nif, NULL, -1) \
    X(pt_cc, "d{9}xxd", "", pt_cc, NULL, -1) \
    X(it_cf, "a{6}xxaxxaxxxa", "~9=A-E,H-H,L-M,P-P,R-T", it_cf, idnumber_mend_cf, -1) \
    X(it_piva, "d{11}", "8=001-100,120,121,888,999", it_piva, NULL, -1) \
    X(de_idnr, "d{11}", "1=1-9", de_idnr, idnumber_mend_idnr, -1) \
    X(de_vat, "DEd{9}|d{9}", "~3=1-9", de_vat, NULL, -1) \
    X(de_rvnr, "d{8}ad{3}", "~3=01-28 ~5=01-12", de_rvnr, NULL, -1) \
    X(de_document, "x{9}d", "1=C-C,F-H,J-N,P-P,R-R,T-T,V-Z", de_document, NULL, -1) \
    X(at_svnr, "d{10}", "1=1-9 ~5=01-28 ~7=01-12", at_svnr, NULL, 4, 3) \
    X(at_uid, "Ud{8}|ATUd{8}", "", at_uid, NULL, -1) \
    X(ch_ahv, "756d{10}", "", ch_ahv, NULL, -1) \
    X(ch_uid, "CHEd{9}", "", ch_uid, NULL, -1, -2) \
    X(be_nn, "d{11}", "~3=01-12 ~5=01-28", be_nn, NULL, -1, -2) \
    X(be_vat, "0d{9}|1d{9}|BE0d{9}|BE1d{9}", "", be_vat, NULL, -1, -2) \
    X(nl_bsn, "d{8}|d{9}", "", nl_bsn, NULL, -1, -2) \
    X(lu_nin, "d{13}", "~1=1920-2019 ~5=01-12 ~7=01-28", lu_nin, NULL, -1, -2) \
    /* Northern Europe */ \
    X(se_pnr, "d{10}|d{12}", "", se_pnr, idnumber_mend_pnr, -1) \
    X(se_orgnr, "d{10}", "", se_orgnr, NULL, -1) \
    X(fi_hetu, "d{6}ad{3}x|d{6}d{3}x", "~1=01-28 ~3=01-12 ~7=A-F,U-Y,0-8", fi_hetu, NULL, -1, -2, -3, -4) \
    X(fi_ytunnus, "d{8}|FId{8}", "", fi_ytunnus, NULL, -1, -2) \
    X(no_fnr, "d{11}", "~1=01-28 ~3=01-12 ~7=000-499", no_fnr, NULL, -1, -2, -3) \
    X(no_orgnr, "d{9}", "", no_orgnr, NULL, -1, -2) \
    X(dk_cpr, "d{10}", "~1=01-28 ~3=01-12", dk_cpr, NULL, 0) \
    X(dk_cvr, "d{8}", "1=1-9", dk_cvr, NULL, -1, -2) \
    X(is_kt, "d{10}", "1=0-7 10=9,0 ~1=01-28 ~3=01-12", is_kt, NULL, 9, 8) \
    X(ee_ik, "d{11}", "1=1-8 ~4=01-12 ~6=01-28", ee_ik, NULL, -1) \
    X(lt_ak, "d{11}", "1=1-9 ~4=01-12 ~6=01-28", lt_ak, NULL, -1) \
    X(lv_pk, "d{11}", "1=0-3 ~1=01-28,32 ~3=01-12 ~7=0-2", lv_pk, NULL, -1) \
    /* Eastern and southern Europe */ \
    X(pl_pesel, "d{11}", "~3=01-12,21-32 ~5=01-28", pl_pesel, NULL, -1) \
    X(pl_nip, "d{10}", "", pl_nip, NULL, -1, -2) \
    X(pl_regon, "d{9}|d{14}", "", pl_regon, NULL, -1, 9) \
    X(pl_id, "aaad{6}", "", pl_id, NULL, 4) \
    X(pl_passport, "aad{7}", "", pl_passport, NULL, 3) \
    X(cz_rc, "d{9}|d{10}", "~3=01-12,51-62 ~5=01-28", cz_rc, idnumber_mend_rc, -1) \
    X(hu_id, "d{11}", "1=1-8 ~4=01-12 ~6=01-28", hu_id, NULL, -1, -2) \
    X(hu_tax, "8d{9}", "", hu_tax, NULL, -1, -2) \
    X(hu_anum, "d{8}", "", hu_anum, NULL, 8) \
    X(ro_cnp, "d{13}", "1=1-9 8=01-48,51,52,70,80-83 ~4=01-12 ~6=01-28", ro_cnp, NULL, -1) \
    X(bg_egn, "d{10}", "~3=01-12,41-52 ~5=01-28", bg_egn, NULL, -1) \
    X(bg_lnch, "d{10}", "", bg_lnch, NULL, -1) \
    X(gr_amka, "d{11}", "~1=01-28 ~3=01-12", gr_amka, NULL, -1) \
    X(gr_afm, "d{9}", "", gr_afm, NULL, -1) \
    X(hr_oib, "d{11}|HRd{11}", "", hr_oib, NULL, -1) \
    X(rs_pib, "d{9}", "", rs_pib, NULL, -1) \
    X(jmbg, "d{13}", "~1=01-28 ~3=01-12 ~5=900-999,000-024", jmbg, NULL, -1) \
    X(si_tax, "d{8}", "1=1-9", si_tax, NULL, -1, -2) \
    X(ru_inn, "d{10}|d{12}", "", ru_inn, NULL, -1, -2) \
    X(ru_snils, "d{11}", "", ru_snils, NULL, -1, -2) \
    X(ru_ogrn, "d{13}|d{15}", "1=1-9", ru_ogrn, idnumber_mend_ogrn, -1) \
    X(ua_rnokpp, "d{10}", "", ua_rnokpp, NULL, -1) \
    X(ua_edrpou, "d{8}", "", ua_edrpou, NULL, -1) \
    X(tr_tckn, "d{11}", "1=1-9", tr_tckn, NULL, -1, -2) \
    X(tr_vkn, "d{10}", "", tr_vkn, NULL, -1) \
    X(kz_iin, "d{12}", "7=0-6 ~3=01-12 ~5=01-28", kz_iin, NULL, -1, -2) \
    /* Asia, Africa, Oceania */ \
    X(in_aadhaar, "d{12}|d{16}", "1=2-9", in_aadhaar, NULL, -1, -2) \
    X(in_pan, "aaaaad{4}a", "4=A-C,F-H,J-L,P-P,T-T", in_pan, NULL, 9) \
    X(in_gstin, "dda{5}d{4}axZx", "1=01-38,97,99 6=A-C,F-H,J-L,P-P,T-T 13=1-9,A-Z", in_gstin, NULL, -1, -3, 9, 10) \
    X(in_epic, "aaad{7}", "", in_epic, NULL, -1) \
    X(cn_ric, "d{17}x", "1=11-15,21-23,31-37,41-46,50-54,61-65,71-71,81-83 ~7=1940-2019 ~11=01-12 ~13=01-28", cn_ric, NULL, -1, -2, -3) \
    X(cn_uscc, "xd{7}x{10}", "1=1-9,A-A,N-N,Y-Y", cn_uscc, idnumber_mend_uscc, -1, -2, -3) \
    X(tw_id, "ad{9}|aad{8}", "2=1-2,8-9,A-D", tw_id, NULL, -1) \
    X(tw_ubn, "d{8}", "", tw_ubn, NULL, -1) \
    X(hk_id, "ad{6}x|aad{6}x", "", hk_id, NULL, -1, -2, -3) \
    X(sg_nric, "ad{7}a", "1=F-G,M-M,S-T", sg_nric, NULL, -1) \
    X(my_nric, "d{12}", "~3=01-12 ~5=01-28 7=01-16,21-61,63-68,71-72,74-79,82-93,98-99", my_nric, NULL, 0) \
    X(th_pin, "d{13}", "1=1-8", th_pin, NULL, -1) \
    X(id_nik, "d{16}", "1=11-19,21,31-36,51-53,61-65,71-76,81-82,91-97 ~7=01-28 ~9=01-12", id_nik, NULL, 0) \
    X(pk_cnic, "d{13}", "1=1-7 13=1-9", shape, NULL, 0) \
    X(jp_mynumber, "d{12}", "", jp_mynumber, NULL, -1) \
    X(jp_corporate, "d{13}", "1=1-9", jp_corporate, NULL, 1) \
    X(kr_rrn, "d{13}", "~3=01-12 ~5=01-28 7=0-9 8=00-96", kr_rrn, NULL, -1) \
    X(kr_brn, "d{10}", "1=101-999", kr_brn, NULL, -1) \
    X(il_id, "d{9}", "", il_id, NULL, -1) \
    X(ae_eid, "784d{12}", "~4=1930-2019", ae_eid, NULL, -1) \
    X(sa_id, "d{10}", "1=1-2", sa_id, NULL, -1) \
    X(kw_civil, "d{12}", "1=2-3 ~4=01-12 ~6=01-28", kw_civil, NULL, -1, -2) \
    X(eg_nid, "d{14}", "1=2-3 ~4=01-12 ~6=01-28 8=01-04,11-19,21-29,31-35,88-88", eg_nid, NULL, 0) \
    X(za_id, "d{13}", "11=0-1 ~3=01-12 ~5=01-28", za_id, NULL, -1) \
    X(mu_nid, "ad{12}x", "~4=01-12 ~2=01-28", mu_nid, NULL, -1, -2, -3) \
    X(au_tfn, "d{8}|d{9}", "", au_tfn, NULL, -1, -2) \
    X(au_abn, "d{11}", "1=11-99", au_abn, NULL, 2, 1) \
    X(au_acn, "d{9}", "", au_acn, NULL, -1) \
    X(nz_ird, "d{8}|d{9}", "", nz_ird, idnumber_mend_ird, -1, -2)
/* clang-format on */

#endif
