"""The code lists of the SSDA903 return, collection year 2024.

Source: the DfE guide to the children looked after return, as laid down in
``SSDA903_schema_2024.yml`` of liia-tools (0dd821c2968f).
"""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


REASON_FOR_NEW_EPISODE = _codes("S L P T B U")
LEGAL_STATUS = _codes("C1 C2 D1 E1 V2 V3 V4 L1 L2 L3 J1 J2 J3")
CATEGORY_OF_NEED = _codes("N1 N2 N3 N4 N5 N6 N7 N8")
PLACEMENT = _codes(
    "A3 A4 A5 A6 H5 K1 K2 P1 P2 P3 R1 R2 R3 R5 S1 T0 T1 T2 T3 T4 U1 U2 U3 U4 U5 U6 Z1"
)
PLACEMENT_PROVIDER = _codes("PR0 PR1 PR2 PR3 PR4 PR5")
REASON_EPISODE_CEASED = _codes(
    "X1 E2 E3 E4A E4B E5 E6 E7 E8 E9 E11 E12 E13 E14 E15 E16 E17 E41 E45 E46 E47 E48"
)
REASON_PLACE_CHANGE = _codes(
    "CARPL CLOSE ALLEG STAND APPRR CREQB CREQO CHILD LAREQ PLACE CUSTOD OTHER"
)
SEX = _codes("1 2")
ETHNICITY = _codes(
    "WBRI WIRI WOTH WIRT WROM MWBC MWBA MWAS MOTH AIND APKN ABAN AOTH "
    "BCRB BAFR BOTH CHNE OOTH REFU NOBT"
)
MISSING = _codes("M A")
