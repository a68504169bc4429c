"""Plugins to begin with: a page of each kind, and the package that ``harness plugins new`` writes.

The pages are real modules, checked and tested as they are; writing a package only renames them.
"""
