"""The nouns of WordNet 3.0, whose ids WebVision's and ImageNet's classes are.

``nouns.tsv.gz`` is WordNet's, under the licence beside it; ``benchmarks/build_wordnet.py`` made it.
"""
