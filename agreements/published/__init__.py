"""What is generated from the model and the rules for others to use: schema and pages.

The files are kept in the repository; a test says when they are no longer what is
generated, and ``concordat agreement schema`` or ``rules`` writes them again.
"""
