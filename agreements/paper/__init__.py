"""An agreement as a paper that people read and sign: the very rules that run, in words.

`write` makes a tree, `to_markdown` and `to_html` write it down; PDF is made by the
broker, which has the library. Nothing that runs is left out: two agreements that read
the same decide the same.
"""

from agreements.paper.contents import write
from agreements.paper.html import to_html
from agreements.paper.markdown import to_markdown
from agreements.paper.tree import Paper

__all__ = ["Paper", "to_html", "to_markdown", "write"]
