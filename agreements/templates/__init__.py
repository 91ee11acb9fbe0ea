"""National agreements as templates: fill in what is local, keep the link, see what departs.

- `model`: what a template is; `reading`: a text as a template, with every problem
- `filling`: bindings and the agreement that they make; `writing`: its text
- `matching`: which bindings a local text was made with; `departing`: where it departs
- `proposing`: a template from a local agreement, its local parts taken out
- `life`: proposed, consulting, assured, published, withdrawn, as one table
- `library`: the templates that come with this product (``national/*.yaml``)

Pure, as the rest of `agreements`: where templates and comments are kept is the
broker's business.
"""
