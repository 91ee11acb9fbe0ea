"""Which letters the font of the papers can show, and what stands for those it cannot.

DejaVu Sans has the Latin letters of every European language (Welsh ŵ and ŷ too), Greek,
Cyrillic and many signs. Scripts that run from right to left or join their letters need
shaping that the library does not do: wrong letters would be worse than none. A letter
that cannot be shown is named by its number, and never left out.
"""

import unicodedata
from importlib.resources import files
from typing import Final

from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
from reportlab.pdfbase.ttfonts import TTFont

REGULAR: Final = "DejaVuSans"
BOLD: Final = "DejaVuSans-Bold"
_LAST_OF_PLANE: Final = 0xFFFF
# Whose letters stand alone, from left to right, as the library draws them.
_SCRIPTS: Final = ("LATIN ", "GREEK ", "CYRILLIC ", "ARMENIAN ", "GEORGIAN ")


class Letters:
    """The two fonts, registered, and the check of what they have."""

    __slots__ = ("_glyphs",)

    def __init__(self) -> None:
        glyphs = []
        for name in (REGULAR, BOLD):
            font = TTFont(name, str(files(__package__) / "fonts" / f"{name}.ttf"))
            registerFont(font)
            glyphs.append(frozenset(font.face.charToGlyph))
        registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
        self._glyphs = frozenset.intersection(*glyphs)

    def shown(self, text: str) -> str:
        """Return text in which every letter can be drawn: others are named, as [U+0627].

        Accents go with their letters where there is one sign for both.
        """
        composed = unicodedata.normalize("NFC", text)
        return "".join(one if self._is_drawn(one) else f"[U+{ord(one):04X}]" for one in composed)

    def _is_drawn(self, one: str) -> bool:
        if one.isascii():
            return True
        # Beyond the first plane the library's table of what the glyphs mean is wrong, so
        # they could be seen but not searched for or read aloud.
        if ord(one) > _LAST_OF_PLANE or ord(one) not in self._glyphs:
            return False
        if unicodedata.category(one)[0] in "LM":
            return unicodedata.name(one, "").startswith(_SCRIPTS)
        return unicodedata.bidirectional(one) not in {"R", "AL", "AN"}
