"""The story that `concordat demo` plays, and the invented people in it."""
