"""Agreements in the forms of others: MAIS SharingPolicy, ODRL with W3C DPV, Cedar.

Other forms say less than an agreement does. What one cannot carry is listed with
its place (`Lost`), in both directions, and never dropped silently. What comes in is
a draft: the fields that could be filled in, for people to complete.
"""
