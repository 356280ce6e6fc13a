"""What a user may rely on when names are matched: a free name is taken apart where its signs are plain, stays whole
where they are not, and two spellings of one name have the same words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.exchange.loose_names import MAX_LENGTH, LooseName, read_name, words
from tests.support import costs

bounded = settings(derandomize=True, deadline=None, max_examples=500)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("World Health Organization (WHO)", LooseName("World Health Organization", "WHO")),
        ("World Health Organization ( W.H.O. )", LooseName("World Health Organization", "WHO")),
        ("World Health Organization (WHO) (OMS)", LooseName("World Health Organization", "WHO", (), ("OMS",))),
        ("Council of Europe (CoE)", LooseName("Council of Europe", "CoE")),
        ("Interparliamentary Assembly (IPA CIS)", LooseName("Interparliamentary Assembly", "IPA CIS")),
        ("Radiocommunication Sector (ITU-R)", LooseName("Radiocommunication Sector", "ITU-R")),
        ("Группа Двадцати (G20)", LooseName("Группа Двадцати", "G20")),
        (
            "Organisation mondiale de la Santé / World Health Organization",
            LooseName("Organisation mondiale de la Santé", None, (), ("World Health Organization",)),
        ),
        (
            "Organisation mondiale de la Santé (OMS) / World Health Organization (WHO)",
            LooseName("Organisation mondiale de la Santé", "OMS", (), ("World Health Organization", "WHO")),
        ),
        ("Lake Fund | Fonds du lac", LooseName("Lake Fund", None, (), ("Fonds du lac",))),
        (
            "UNICEF (f.k.a. United Nations International Children's Emergency Fund)",
            LooseName("UNICEF", "UNICEF", ("United Nations International Children's Emergency Fund",)),
        ),
        ("Lake Bank (formerly Bank of the Lake)", LooseName("Lake Bank", None, ("Bank of the Lake",))),
        ("Lake Bank (LB) (formerly known as Hill Bank)", LooseName("Lake Bank", "LB", ("Hill Bank",))),
        ("Lake Bank (formerly A) (formerly B)", LooseName("Lake Bank", None, ("A", "B"))),
        ("Francophonie (anciennement ACCT)", LooseName("Francophonie", None, ("ACCT",))),
        ("Lake Bank (a.k.a. Bank by the Lake)", LooseName("Lake Bank", None, (), ("Bank by the Lake",))),
        ("Int'l Org. for X", LooseName("International Organization for X")),
        ("Int’l Org. for X", LooseName("International Organization for X")),
        (
            "Org. for Econ. Co-op. & Dev.",
            LooseName("Organization for Economic Co-operation and Development"),
        ),
        ("Nat'l Inst. of univ. sci.", LooseName("National Institute of university sciences")),
        ("U.N. Lake Fund", LooseName("UN Lake Fund")),
        ("The World Bank Group", LooseName("World Bank Group")),
        ("World Bank Group, The", LooseName("World Bank Group")),
        ("World Bank (WB), The", LooseName("World Bank", "WB")),
        ("Theatre Union", LooseName("Theatre Union")),
        ("The", LooseName("The")),
        ("World Bank\u00a0", LooseName("World Bank")),
        ("World\nBank", LooseName("World Bank")),
        ("World\r\n Bank (WB)\n", LooseName("World Bank", "WB")),
        # what stays whole
        ("(Colombo Plan) Special Fund", LooseName("(Colombo Plan) Special Fund")),
        ("(Colombo Plan) Special Fund (SF)", LooseName("(Colombo Plan) Special Fund", "SF")),
        ("(Lake) Fund (except for roads)", LooseName("(Lake) Fund (except for roads)")),
        ("Joint Programme on HIV/AIDS", LooseName("Joint Programme on HIV/AIDS")),
        ("Joint Programme on HIV/AIDS (UNAIDS)", LooseName("Joint Programme on HIV/AIDS", "UNAIDS")),
        ("Fund (lakes / hills)", LooseName("Fund (lakes / hills)")),
        ("Polish Academy of Sciences, Institute X", LooseName("Polish Academy of Sciences, Institute X")),
        ("Bank for Hills - Western Trust Fund", LooseName("Bank for Hills - Western Trust Fund")),
        ("Lake Aid - UK", LooseName("Lake Aid - UK")),
        ("Ministry of Health (UK)", LooseName("Ministry of Health (UK)")),
        ("Ministry of Health (Kenya)", LooseName("Ministry of Health (Kenya)")),
        ("Phase Fund (II)", LooseName("Phase Fund (II)")),
        ("Fund () (", LooseName("Fund () (")),
        ("(WHO)", LooseName("(WHO)")),
        ("WORLD BANK", LooseName("WORLD BANK")),
        ("ECO", LooseName("ECO", "ECO")),
        ("منظمة الصحة العالمية", LooseName("منظمة الصحة العالمية")),
        ("منظمة الصحة العالمية (WHO)", LooseName("منظمة الصحة العالمية", "WHO")),
        ("Ελλάδα", LooseName("Ελλάδα")),
        ("Ø", LooseName("Ø")),
        ("e\u0301cole", LooseName("école")),
        ("", LooseName("")),
        (" \n", LooseName("")),
    ],
)
def test_a_name_is_taken_apart_where_its_signs_are_plain(text: str, expected: LooseName) -> None:
    assert read_name(text) == expected


def test_a_name_of_300_characters_is_read_and_a_text_that_is_no_name_stays_whole() -> None:
    assert read_name("x" * 294 + " (WHO)") == LooseName("x" * 294, "WHO")
    assert read_name("x " * MAX_LENGTH + "(WHO)").acronym is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("International Labour Organisation", "International Labor Organization"),
        ("The World Bank", "World Bank"),
        ("Centre for Defence Programmes", "Center for Defense Programs"),
        ("Organisation for Economic Co-operation and Development", "Org. for Econ. Co-op. & Dev."),
        (
            "Organization for Economic Cooperation and Development",
            "ORGANISATION FOR ECONOMIC CO\u2011OPERATION & DEVELOPMENT",
        ),
        ("Office for Co-ordination", "Office for Coordination"),
        ("Int'l Org. for X", "International Organization for X"),
        ("Intl Orgn for X", "International Organization for X"),
        ("Children’s Fund", "Children's Fund"),
        ("Université de l’Été", "UNIVERSITE d'Ete"),
        ("Organización de los Estados", "organizacion estados"),
        ("O'Brien Fund", "OBrien fund"),
        ("Straße", "STRASSE"),
        ("World\u00a0Bank", "world, bank."),
        ("U.N. Fund", "UN Fund"),
        ("HIV/AIDS", "hiv aids"),
    ],
)
def test_two_spellings_of_one_name_have_the_same_words(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Organisation mondiale de la Santé", ["organization", "mondiale", "sante"]),
        ("Unión de los Lagos y del Mar", ["union", "lagos", "mar"]),
        ("United Nations Children's Fund", ["united", "nations", "children", "fund"]),
        ("Joint HIV/AIDS Programme (2014)", ["joint", "hiv", "aids", "program", "2014"]),
        ("منظمة الصحة العالمية", ["منظمة", "الصحة", "العالمية"]),
        ("हिन्दी संस्थान", None),
        ("Ελλάδα", ["ελλαδα"]),
        ("Ø", ["ø"]),
        ("The", ["the"]),
        ("", []),
        ("--- / ()", []),
    ],
)
def test_the_words_of_a_name_are_its_significant_ones(name: str, expected: list[str] | None) -> None:
    found = words(name)
    assert len(found) == len(name.split()) if expected is None else found == expected


@pytest.mark.parametrize(
    ("one", "other"), [("World Bank", "World Bank 2"), ("Lake Institute A1", "Lake Institute B1"), ("кот", "кит")]
)
def test_two_names_have_other_words(one: str, other: str) -> None:
    assert words(one) != words(other)


SIGNS = """( ) / | , . & ' ’ - – WHO W.H.O. The the , The Int'l int. Org. org intl co-op. Co- operation f.k.a. a.k.a. formerly
    ex organisation labour Ａssn. II UK Santé l' d' 's منظمة Ø e\u0301 x"""
NAMES = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(SIGNS.split()), max_size=9).map(" ".join),
    st.lists(st.sampled_from(SIGNS.split()), max_size=9).map("".join),
    st.lists(st.sampled_from(SIGNS.split()), max_size=6).map(lambda parts: f"Lake ({' '.join(parts)})"),
)


@bounded
@given(NAMES)
def test_the_name_of_a_name_is_itself(text: str) -> None:
    found = read_name(text)
    assert read_name(found.name).name == found.name
    assert found.name == " ".join(found.name.split())
    assert found.name not in found.alternatives
    assert len(set(found.alternatives)) == len(found.alternatives)


@bounded
@given(NAMES)
def test_the_words_of_words_are_themselves(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found


@pytest.mark.parametrize(
    "piece",
    ["(", ")", "(A) ", "()", " / ", "the ", ", the", "a.", "W.", "(x (", "co-", "'", "l'", "org. ", "\u0301\u0323"],
)
def test_the_worst_text_takes_a_moment(piece: str) -> None:
    with costs.within(1):
        read_name((piece * MAX_LENGTH)[:MAX_LENGTH])
        read_name("x " + (piece * MAX_LENGTH)[: MAX_LENGTH - 2])
        read_name(piece * 100_000)
        words(piece * 100_000)
